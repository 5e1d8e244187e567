"""The price table that comes with the package, and how a project's own is read."""
