"""Who does what, in order: the path and one room per station."""
