"""The sockets in the wall: one small Protocol per file."""
