"""The shared middle of Headwater: what every function needs and no provider owns."""
