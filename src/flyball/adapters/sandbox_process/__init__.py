"""Isolation by a process of its own for each call: a fresh interpreter with limits, killed with all that it started."""
