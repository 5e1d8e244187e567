"""`flyball.toml`: `load` reads it, `bare` stands in where there is none, `find_project` looks for it."""

from flyball.adapters.config_toml.load import FILE_NAME, Loaded, bare, find_project, load

__all__ = ["FILE_NAME", "Loaded", "bare", "find_project", "load"]
