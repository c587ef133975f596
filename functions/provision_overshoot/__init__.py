"""Overshoot streams, v1beta and v0.2: the function that holds their key and makes every call to their API."""
