"""Step paths: a branch's prefix and an ordinal. `3` is the third step, `5.1` the first inside the step at `5`.

>>> child("5", 1), child("", 3), parent("5.1"), root(2)
('5.1', '3', '5', '@2')
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Final

START = "0"
TRACED: Final = frozenset({
    "decision", "intent", "outcome", "late", "asked", "delivered", "state", "signal", "marker", "timer", "not_awaited",
})  # fmt: skip
"""Kinds of records that a step leaves under its own path."""


def child(prefix: str, ordinal: int) -> str:
    """The path of the n-th step of a branch."""
    return f"{prefix}.{ordinal}" if prefix else str(ordinal)


def parent(path: str) -> str:
    """The branch that a path belongs to."""
    return path.rpartition(".")[0]


def root(generation: int) -> str:
    """The prefix of a run's own branch: empty at first, `@n` after `continue_as`."""
    return "" if generation == 1 else f"@{generation}"


def start(generation: int) -> str:
    """The path of a run's own start."""
    return child(root(generation), 0)


def generation_of(path: str) -> str:
    """The root prefix of the generation that a path belongs to."""
    first = path.partition(".")[0]
    return first if first.startswith("@") else root(1)


def bare(path: str) -> str:
    """A path without its suffix for decisions (`!n`), late outcomes (`~n`), asks (`#n`) and unknowns (`?`)."""
    for mark in "!~#?":
        path = path.partition(mark)[0]
    return path


def after(path: str, others: frozenset[str]) -> bool:
    """Does the log hold a later step of the same branch?"""
    prefix, _, ordinal = path.rpartition(".")
    for other in others:
        before, _, number = other.rpartition(".")
        if before == prefix and number.isdigit() and ordinal.isdigit() and int(number) > int(ordinal):
            return True
    return False


def gaps(paths: Iterable[str]) -> list[str]:
    """The first missing step under each parent that has a later one.

    >>> gaps(["1", "3", "3.1", "@2.2"])
    ['2', '@2.1']
    """
    ordinals: dict[str, set[int]] = {}
    for path in paths:
        prefix = ""
        for part in bare(path).split("."):
            if part.isascii() and part.isdigit() and len(part) <= 9:
                ordinals.setdefault(prefix, set()).add(int(part))
            prefix = f"{prefix}.{part}" if prefix else part
    missing: list[str] = []
    for prefix, present in sorted(ordinals.items()):
        present.discard(0)
        if present and max(present) != len(present):
            first = next(n for n in count(1) if n not in present)
            missing.append(f"{prefix}.{first}" if prefix else str(first))
    return missing
