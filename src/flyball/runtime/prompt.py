"""Prompts: text files that are part of the release, read when the module that names them is imported."""

from __future__ import annotations

import inspect
from pathlib import Path

from flyball.core.agent import Prompt
from flyball.core.errors import FlyballError


def prompt(path: str) -> Prompt:
    """A prompt by its path relative to the file that calls this; raises `no_prompt` where there is none."""
    frame = inspect.currentframe()
    caller = frame.f_back.f_globals if frame is not None and frame.f_back is not None else {}
    here = Path(caller.get("__file__", "."))
    file = (here.parent / path).resolve()
    try:
        return Prompt(path, file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as bad:
        raise FlyballError("no_prompt", f"prompt {path!r} cannot be read", str(bad), f"it should be {file}") from bad
