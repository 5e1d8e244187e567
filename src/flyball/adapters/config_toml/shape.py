"""What may stand in `flyball.toml`: one reader per key, and the error for everything else.

A reader takes a value and where it stood, and gives what the record keeps or raises; no error repeats a secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import isfinite
from typing import Any, Final, TypeAlias, get_args
from urllib.parse import urlsplit

from flyball.core.budget import micro_dollars
from flyball.core.config import (
    OPEN,
    Handle,
    NamedPolicy,
    OnExpiry,
    Synchronous,
    WaitingRuns,
    check_name,
    dotted,
    parse_duration,
    parse_handle,
)
from flyball.core.errors import FlyballError
from flyball.core.guard import PLACES, GuardAdapter, Mode, OnError
from flyball.core.model import Adapter
from flyball.core.route import Prefer
from flyball.core.signals import FURTHEST
from flyball.core.telemetry import SELECTOR, Preset

_KINDS: Final = ((bool, "true or false"), (int, "a whole number"), (float, "a number with a point"), (str, "text"),
                 (list, "an array"), (dict, "a table"))  # fmt: skip

KeyPath: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Value:
    """One value as read, and where it stood. `table` marks a table that is there even when it is empty."""

    value: Any
    source: str
    table: bool = False


@dataclass(frozen=True, slots=True)
class At:
    """Where the reader is: which file and line, which key path, and what paths are relative to."""

    file: str
    lines: Mapping[KeyPath, int]
    directory: str
    home: str
    path: KeyPath = ()
    overlay: KeyPath = ()

    def down(self, key: str) -> At:
        """One key further in."""
        return At(self.file, self.lines, self.directory, self.home, (*self.path, key), self.overlay)

    @property
    def place(self) -> str:
        """File and line, or the file where the line is not known."""
        line = self.lines.get((*self.overlay, *self.path))
        return f"{self.file}:{line}" if line else self.file

    @property
    def source(self) -> str:
        """The place, and the overlay that it belongs to."""
        return f"{dotted(self.overlay)} ({self.place})" if self.overlay else self.place

    def refuse(self, why: str, fix: str = "", code: str = "config_value", **data: object) -> FlyballError:
        """The error that names this place, table and key."""
        table, key = dotted((*self.overlay, *self.path[:-1])), dotted(self.path[-1:])
        what = f"{self.place} {f'[{table}] ' if table else ''}{key}".rstrip()
        facts = {"file": self.file, "key": dotted((*self.overlay, *self.path)), **data}
        return FlyballError(code, what, why, fix, facts)


Reader: TypeAlias = Callable[[Any, At], Any]
Flat: TypeAlias = dict[KeyPath, Value]


@dataclass(frozen=True, slots=True)
class Each:
    """A table whose keys are names that the user chose; `named` ones must be fit for file names."""

    inside: Any
    named: bool = False


def read(raw: Any, shape: Any, at: At) -> Iterator[tuple[KeyPath, Value]]:
    """Every value below `at`, checked against a shape: a reader, an `Each`, or a table of shapes by key."""
    if callable(shape):
        yield from _leaf(shape(raw, at), at)
        return
    if not isinstance(raw, dict):
        raise wrong_type(raw, "a table", at)
    if isinstance(shape, Each):
        # [tenants.acme] with nothing in it is still a tenant.
        yield at.path, Value(None, at.source, table=True)
        for key, value in raw.items():
            if shape.named:
                check_name(f"{at.down(key).place} {dotted(at.down(key).path)}", key)
            yield from read(value, shape.inside, at.down(key))
        return
    if at.path:
        yield at.path, Value(None, at.source, table=True)
    for key, value in raw.items():
        below = at.down(key)
        if key not in shape:
            known = ", ".join(shape)
            near = nearest(key, shape) or f"Known here: {known}."
            raise below.refuse("unknown key", near, "config_unknown_key", known=known)
        else:
            yield from read(value, shape[key], below)


def _leaf(value: Any, at: At) -> Iterator[tuple[KeyPath, Value]]:
    if isinstance(value, dict):
        # Only settings are free tables: they merge like the others.
        yield at.path, Value(None, at.source, table=True)
        for key, one in value.items():
            yield from _leaf(one, at.down(key))
    else:
        yield at.path, Value(value, at.source)


def nearest(key: str, known: Mapping[str, Any]) -> str:
    """A question that names the known key most like this one, or nothing."""
    near = get_close_matches(key, known, 1)
    return f"Did you mean {near[0]}?" if near else ""


def wrong_type(value: Any, wanted: str, at: At, fix: str = "") -> FlyballError:
    """The error for a value of the wrong type; it names both types and not the value."""
    got = next((name for kind, name in _KINDS if isinstance(value, kind)), "a date or time")
    return at.refuse(f"{got} stands where {wanted} belongs", fix, "config_type", wanted=wanted, got=got)


def _text(value: Any, at: At) -> str:
    if not isinstance(value, str):
        raise wrong_type(value, "text", at)
    if not value.strip() or "\0" in value:
        raise at.refuse("empty text", "Write a value, or remove the key.")
    return value


def _texts(value: Any, at: At) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise wrong_type(value, "an array of text", at, f'Write {at.path[-1]} = ["...", "..."].')
    return tuple(_text(one, at) for one in value)


def _person(value: Any, at: At) -> str:
    text = _text(value, at)
    kind, _, name = text.partition(":")
    if kind != "user" or not name.strip():
        raise at.refuse(f"{text!r} names no person", f'Write {at.path[-1]} = "user:NAME".')
    return text


def _modules(value: Any, at: At) -> tuple[str, ...]:
    names = _texts(value, at)
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")):
            raise at.refuse(f"{name!r} is no module name", 'Write it as in an import: "desk.tools", not a file name.')
    return names


def _path(value: Any, at: At) -> str:
    return _absolute(_text(value, at), at)


def _absolute(path: str, at: At) -> str:
    if path == "~" or path.startswith("~/"):
        path = at.home + path[1:]
    elif path.startswith("~"):
        raise at.refuse("only ~ itself is a home directory", "Write the path in full.")
    return os.path.normpath(os.path.join(at.directory, path))


def read_handle(value: Any, at: At) -> Handle:
    """A handle to a secret; its file is made absolute."""
    fix = f'Write {at.path[-1]} = "env:NAME" or "file:PATH", and put the secret there.'
    if not isinstance(value, str):
        raise wrong_type(value, "env:NAME or file:PATH", at, fix)
    try:
        handle = parse_handle(value)
    except ValueError:
        why = "a secret itself, where only a handle to it may stand"
        raise at.refuse(why, fix, "secret_literal") from None
    return Handle("file", _absolute(handle.name, at)) if handle.source == "file" else handle


def _duration(value: Any, at: At) -> int:
    fix = 'Write a number and ms, s, m, h or d: "30s", "15m", "48h".'
    if not isinstance(value, str):
        raise wrong_type(value, "a duration", at, fix)
    try:
        return parse_duration(value)
    except ValueError as bad:
        raise at.refuse(str(bad), fix) from None


def _whole(least: int) -> Reader:
    def read(value: Any, at: At) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(value, "a whole number", at)
        if value < least:
            raise at.refuse(f"{value} is less than {least}")
        return value

    return read


def _flag(value: Any, at: At) -> bool:
    if not isinstance(value, bool):
        raise wrong_type(value, "true or false", at)
    return value


def _seconds(value: Any, at: At) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(value, "a number of seconds", at)
    if value < 0 or not isfinite(value):
        raise at.refuse(f"{value} is no number of seconds")
    return value


def _bound(value: Any, at: At) -> int | float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(value, "a number", at)
    if not -FURTHEST <= value <= FURTHEST:
        raise at.refuse(f"{value} is no end of a range", f"Write a number from -{FURTHEST} to {FURTHEST}.")
    return value


def _money(value: Any, at: At) -> str:
    fix = f'Write {at.path[-1]} = "0.05", in quotes.'
    if not isinstance(value, str):
        raise wrong_type(value, "dollars as text", at, fix)
    try:
        micro_dollars(value)
    except FlyballError as bad:
        raise at.refuse(bad.what, fix) from None
    return value


def _choice(options: Any) -> Reader:
    known: dict[str, None] = dict.fromkeys(get_args(options))

    def read(value: Any, at: At) -> str:
        text = _text(value, at)
        if text not in known:
            raise at.refuse(f"{text!r} is none of {', '.join(known)}", nearest(text, known))
        return text

    return read


read_adapter: Final = _choice(Adapter)


def read_url(value: Any, at: At) -> str:
    """An http or https address without credentials in it."""
    text = _text(value, at)
    try:
        parts = urlsplit(text)
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        parts, secret = urlsplit(""), False
    if secret:
        raise at.refuse("an address with a user or password in it", 'Use key = "env:NAME".', "secret_literal")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise at.refuse("this is no http or https address", 'Write "https://host/v1".')
    return text


def _digest(value: Any, at: At) -> str:
    text = _text(value, at)
    if re.fullmatch("[0-9a-f]{64}", text) is None:
        raise at.refuse(f"{text[:80]!r} is no digest", "Write the 64 hex digits that flyball budget show says.")
    return text


def _stages(value: Any, at: At) -> tuple[str, ...]:
    stages = _texts(value, at)
    for stage in stages:
        if stage not in PLACES:
            raise at.refuse(f"{stage!r} is none of {', '.join(PLACES)}", nearest(stage, PLACES))
    return stages


def _selectors(value: Any, at: At) -> tuple[str, ...]:
    chosen = _texts(value, at)
    for one in chosen:
        if not SELECTOR.fullmatch(one):
            fix = "Write arguments, arguments.NAME, result, result.NAME, messages or error."
            raise at.refuse(f"{one!r} names nothing that can leave", fix)
    return chosen


def _floor(value: Any, at: At) -> float:
    if type(value) not in (int, float) or not 0 <= value < 1:
        raise at.refuse(f"{value!r} is no number from 0 to below 1", "Write floor = 0.25.")
    return float(value)


def _setting(value: Any, at: At) -> Any:
    if isinstance(value, float) and not isfinite(value):
        raise at.refuse(f"{value} is no number that can be compared or written")
    return value


_LIMITS: Final[dict[str, Reader]] = {
    "steps": _whole(0), "seconds": _seconds, "tokens": _whole(0), "usd": _money, "calls": _whole(0),
    "effects": _whole(0),
}  # fmt: skip

_CREDENTIAL: Final[dict[str, Reader]] = {"owner": _person}
_CAPS: Final[dict[str, Reader]] = {"asks": _whole(0), "denials": _whole(0)}
_OPEN: Final[dict[str, Reader]] = {OPEN: _whole(0)}
_DAY: Final[dict[str, Reader]] = {f"{name}_per_day": read for name, read in (_LIMITS | _CAPS).items()} | _OPEN

_RULE: Final[dict[str, Reader]] = {
    "roles": _texts, "agents": _texts, "tenants": _texts, "sensitivities": _texts, "complexity": _whole(0),
    "models": _texts, "prefer": _choice(Prefer), "regions": _texts, "max_usd": _money, "max_latency": _duration,
}  # fmt: skip

TABLES: Final[dict[str, Any]] = {
    "project": {"name": _text, "modules": _modules, "policies": _path, "policy": _choice(NamedPolicy)},
    "journal": {"path": _path, "synchronous": _choice(Synchronous)},
    "signer": {"file": _path},
    "models": Each({
        "adapter": read_adapter, "model": _text, "key": read_handle, "base_url": read_url, "fallback": _texts,
        "region": _text, "vendor": _text, "max_tokens": _whole(1), "timeout": _duration, "script": _path,
        "at_once": _whole(1), "cache": _flag, "stream": _flag, "latency": _duration,
        "files": _texts,
    }),
    "routes": Each({
        "models": _texts, "prefer": _choice(Prefer), "deadline": _duration, "rules": Each(_RULE),
    }, named=True),
    "keys": {"root": read_handle},
    "limits": {
        "run": _LIMITS | _CAPS | _OPEN, "agent": _LIMITS | _DAY, "agents": Each(_DAY), "tenant": _DAY,
        # How long a step takes is its tool's timeout, and it is one step.
        "step": {name: _LIMITS[name] for name in ("tokens", "usd", "calls", "effects")},
    },
    "approvals": {"expires": _duration, "on_expiry": _choice(OnExpiry)},
    "release": {"waiting": _choice(WaitingRuns)},
    "tenants": Each({
        "settings": Each(_setting), "secrets": Each(read_handle), "credentials": Each(_CREDENTIAL),
    }, named=True),
    "secrets": Each(read_handle),
    "credentials": Each(_CREDENTIAL),
    "prices": {"file": _path, "digest": _digest},
    "platform": {"policies": _path},
    "directory": {"people": Each(_texts)},
    "input": {"max_bytes": _whole(1)},
    "context": {"tokens": _whole(1)},
    "signals": Each({"least": _bound, "most": _bound}),
    "sessions": {"queue": _whole(0)},
    "memory": {
        "tenant_items": _whole(0), "tenant_bytes": _whole(0), "principal_items": _whole(0),
        "principal_bytes": _whole(0), "episodes": _flag, "episode_ttl": _duration,
        "embedding": {"model": _text, "base_url": read_url, "key": read_handle, "floor": _floor},
    },
    "artifacts": {"file_bytes": _whole(1), "run_bytes": _whole(1), "tenant_bytes": _whole(1)},
    "guards": Each({
        "adapter": _choice(GuardAdapter), "stages": _stages, "tools": _texts, "on_error": _choice(OnError),
        "mode": _choice(Mode), "timeout": _duration, "group": _text, "key": read_handle, "url": read_url,
        "settings": Each(_setting),
    }),
    "telemetry": Each({
        "preset": _choice(Preset), "url": read_url, "key": read_handle, "headers": Each(read_handle), "project": _text,
        "content": Each(_selectors), "tenants": _texts, "metrics": _flag, "inside": _flag, "timeout": _duration,
    }, named=True),
}  # fmt: skip
