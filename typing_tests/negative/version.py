"""The version is text."""

from flyball import __version__

number: int = __version__  # error
