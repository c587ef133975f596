"""What grows with the table and what saturates first: measured on a local table, modelled beyond it."""
