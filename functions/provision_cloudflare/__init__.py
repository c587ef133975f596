"""Live inputs at Cloudflare Stream."""
