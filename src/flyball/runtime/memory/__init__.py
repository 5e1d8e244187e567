"""Memory: written and read through the gate, found by an index that is derived from the log."""
