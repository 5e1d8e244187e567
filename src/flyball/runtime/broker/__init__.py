"""Execute: carries out what T1 allowed, under its key, and says how it ended."""
