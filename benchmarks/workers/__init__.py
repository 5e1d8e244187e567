"""The contestants: each is a process of its own that does one round for every line it is given."""
