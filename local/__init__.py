"""The cloud on one machine: simulated providers and the doors that watch and disturb them."""
