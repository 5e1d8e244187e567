"""An index of memories in SQLite: one file for each tenant."""
