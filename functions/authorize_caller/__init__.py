"""Call with a bearer token → whether it may pass, and as which tenant."""
