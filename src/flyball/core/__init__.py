"""Words and decisions: frozen records and pure functions; no clock, no randomness, no input or output, no waiting."""
