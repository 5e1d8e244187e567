"""The file itself: its text, its TOML, and the line on which each key stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flyball.adapters.config_toml.shape import KeyPath
from flyball.core.errors import FlyballError

MAX_FILE_BYTES: Final = 1_048_576

_MAX_STATEMENT_LINES: Final = 500
_AT_LINE: Final = re.compile(r" ?\(at line (\d+), column \d+\)")
_ENDS: Final = ("]", "}", '"""', "'''")


def text_of(file: Path) -> str:
    """The file's text, at most `MAX_FILE_BYTES`. Raises FlyballError `config_not_found` or `config_invalid`."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise FlyballError("config_invalid", f"{file} is too large", f"more than {MAX_FILE_BYTES} bytes")
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        fix = "Name the project's file or directory, or write a flyball.toml there."
        raise FlyballError("config_not_found", f"{file} is not there", fix=fix) from None
    except UnicodeDecodeError as bad:
        why = f"the bytes at {bad.start} are no UTF-8"
        raise FlyballError("config_invalid", f"{file} cannot be read", why, "Save it as UTF-8.") from None
    except OSError as bad:
        raise FlyballError("config_invalid", f"{file} cannot be read", bad.strerror or str(bad)) from bad


def parsed(file: Path, text: str) -> dict[str, Any]:
    """The tables of the text. Raises FlyballError `config_invalid` with the line."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        at = _AT_LINE.search(str(bad))
        place = f"{file.name}:{at[1]}" if at else file.name
        why = _AT_LINE.sub("", str(bad))
        raise FlyballError("config_invalid", f"{place} is no TOML", why, data={"file": str(file)}) from bad
    except RecursionError:
        raise FlyballError("config_invalid", f"{file.name} is no TOML", "it is nested too deeply") from None


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of each key; keys behind a statement of more than 500 lines have none.

    A statement is the least run of lines that is TOML by itself, so no string can look like a key.
    """
    found: dict[KeyPath, int] = {}
    table: KeyPath = ()
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        pending.append(line)
        if len(pending) > _MAX_STATEMENT_LINES:
            return found
        if len(pending) > 1 and not any(end in line for end in _ENDS):
            continue
        try:
            statement = tomllib.loads("\n".join(pending))
        except tomllib.TOMLDecodeError:
            continue
        first, pending = number - len(pending) + 1, []
        keys = list(_paths((), statement))
        header = line.lstrip().startswith("[") and bool(keys) and first == number
        for key in keys:
            found.setdefault(key if header else (*table, *key), first)
        table = keys[-1] if header else table
    return found


def _paths(path: KeyPath, value: Any) -> Iterator[KeyPath]:
    if isinstance(value, dict):
        for key, one in value.items():
            yield (*path, key)
            yield from _paths((*path, key), one)
