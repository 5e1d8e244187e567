"""Where a provider's key comes from: the environment or a file, never a configuration file.

>>> read_key("env:DESK_KEY", {"DESK_KEY": "k-123"})
<secret env:DESK_KEY>
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from flyball.core.call import Secret
from flyball.core.errors import FlyballError

_MOST: Final = 8_192


def read_key(source: str, environ: Mapping[str, str] | None = None) -> Secret:
    """The key that `env:NAME` or `file:PATH` names, as a handle.

    Raises FlyballError `literal_key` for anything else, which it never quotes: it may be a key; `no_key` where there
    is none; `bad_key` for what cannot stand in a header.
    """
    kind, _, place = source.partition(":")
    if kind not in ("env", "file") or not place:
        raise FlyballError(
            "literal_key", "a model's key is not named by env:NAME or file:PATH",
            "a key in a configuration file is a key that leaks", 'Write key = "env:OPENAI_API_KEY"',
        )  # fmt: skip
    text = _from_file(place) if kind == "file" else (os.environ if environ is None else environ).get(place, "")
    key = text.strip()
    if not key:
        raise FlyballError("no_key", f"{source} holds no key", fix="Set it, or name another source")
    if len(key) > _MOST or not key.isascii() or not key.isprintable() or " " in key:
        raise FlyballError("bad_key", f"{source} does not hold a key", "a key is one line of printable ASCII")
    return Secret(source, key)


def _from_file(place: str) -> str:
    try:
        with Path(place).expanduser().open(encoding="ascii", errors="replace") as file:
            return file.read(_MOST + 2)
    except OSError as bad:
        raise FlyballError("no_key", f"file:{place} cannot be read", bad.strerror or str(bad)) from bad
