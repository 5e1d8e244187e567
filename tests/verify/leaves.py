"""Leaves for the readers' own tests, without bytes around them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from typing import Any, cast

from flyball.core.kinds import Kind
from flyball.core.record import Event
from flyball.verify.leaf import Leaf
from flyball.verify.report import Check

_INDEX = count()


def at(kind: str, path: str = "", facts: dict[str, Any] | None = None, **more: Any) -> Leaf:
    """A leaf of run r-1 in tenant acme, later than the one before it."""
    index = next(_INDEX)
    run, attempt, commit = more.get("run", "r-1"), more.get("attempt", 0), more.get("commit", {})
    id = f"{run}/{path}/{attempt}/{kind}"
    return Leaf(
        at=index, id=id, kind=cast("Kind", kind), time=more.get("time", index), tenant="acme", run=run, path=path,
        attempt=attempt, facts=facts or {}, commit=commit,
    )  # fmt: skip


def of(event: Event, commit: dict[str, str] | None = None, time: int | None = None) -> Leaf:
    """The leaf of an event."""
    index = next(_INDEX)
    moment = index if time is None else time
    return Leaf(
        at=index, id=event.id, kind=event.kind, time=moment, tenant="acme", run=event.run, path=event.path,
        attempt=event.attempt, facts=dict(event.facts), commit=commit or {},
    )  # fmt: skip


def found(checks: Iterable[Check]) -> dict[str, tuple[str, ...]]:
    """The findings by check, where there are any."""
    return {check.name: check.findings for check in checks if not check.ok}
