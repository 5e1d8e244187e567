"""Leaves for the readers' own tests, without bytes around them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any

from flyball.core.record import Event
from flyball.verify.leaf import Leaf
from flyball.verify.report import Check

_INDEX = count()


def at(kind: str, path: str = "", facts: dict[str, Any] | None = None, **more: Any) -> Leaf:
    """A leaf of run r-1 in tenant acme, later than the one before it."""
    index = next(_INDEX)
    run, attempt, commit = more.get("run", "r-1"), more.get("attempt", 0), more.get("commit", {})
    id = f"{run}/{path}/{attempt}/{kind}"
    return Leaf(index, id, kind, more.get("time", index), "acme", run, path, attempt, facts or {}, commit)


def of(event: Event, commit: dict[str, str] | None = None, time: int | None = None) -> Leaf:
    """The leaf of an event."""
    index = next(_INDEX)
    moment = index if time is None else time
    return Leaf(
        index, event.id, event.kind, moment, "acme", event.run, event.path, event.attempt, event.facts, commit or {}
    )


def found(checks: Iterable[Check]) -> dict[str, tuple[str, ...]]:
    """The findings by check, where there are any."""
    return {check.name: check.findings for check in checks if not check.ok}
