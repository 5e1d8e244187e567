"""Approve: what stops here for a person, and what a person may do about it."""
