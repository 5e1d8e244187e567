"""Prompts: text files that are part of the release, read when the module that names them is imported."""

from __future__ import annotations

import sys
from pathlib import Path

from flyball.core.agent import Prompt
from flyball.core.errors import FlyballError


def prompt(path: str) -> Prompt:
    """A prompt by its path relative to the file that calls this; raises `no_prompt` where there is none."""
    here = Path(sys._getframe(1).f_globals.get("__file__", "."))
    file = (here.parent / path).resolve()
    try:
        return Prompt(path, file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as bad:
        raise FlyballError("no_prompt", f"prompt {path!r} cannot be read", str(bad), f"it should be {file}") from bad
