"""Finding: one thing that was looked at, what was seen, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import msgspec

from flyball.core.errors import FlyballError

Level = Literal["ok", "warn", "bad"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at."""

    name: str
    level: Level
    detail: str
    fix: str = ""


def wrong(name: str, bad: FlyballError, level: Level = "bad") -> Finding:
    """An error as a finding."""
    return Finding(name=name, level=level, detail=f"{bad.what}: {bad.why}" if bad.why else bad.what, fix=bad.fix)


@contextmanager
def reported(name: str) -> Iterator[list[Finding]]:
    """Turns an error of its block into a finding, which is in the list afterwards."""
    found: list[Finding] = []
    try:
        yield found
    except FlyballError as bad:
        found.append(wrong(name, bad))
