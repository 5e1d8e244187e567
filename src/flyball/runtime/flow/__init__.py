"""Plan: flows as plain async Python, replayed from the log; runs that start, park, wake and end."""
