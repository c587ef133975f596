"""What Headwater costs at AWS: measured calls and durations against a table of prices."""
