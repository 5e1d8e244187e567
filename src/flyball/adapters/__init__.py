"""How the world is touched: one plug per file or folder, in-memory twins included."""
