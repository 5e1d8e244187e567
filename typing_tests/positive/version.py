"""The version is text."""

from flyball import __version__

length: int = len(__version__)
