"""Kin: the runs that are one piece of work.

An action that a door makes within a run (`act(run=...)`) is a run of its own that belongs to that one. All of them
spend its budget, and each begins with what the others have read, done and been denied until then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from flyball.core.identity import Principal
from flyball.core.journal import RunRow
from flyball.core.record import Opened
from flyball.ports.journal import View
from flyball.runtime.flow.history import History

NOTHING: dict[str, Any] = {}


class Kin(NamedTuple):
    """What a run shares: the request that all of it serves, the run it belongs to, and the others' histories."""

    request: Any
    above: Opened | None
    others: tuple[tuple[str, History], ...]


def kin_of(view: View, row: RunRow, started: Opened, opened: Callable[[RunRow], list[Opened]]) -> Kin:
    """The kin of a run that began with `started`, as this view shows them; `opened` gives a run's records."""
    root = row.parent or row.id
    others = [r for r in view.rows(RunRow, parent=root) if r.id != row.id]
    if not row.parent:
        return Kin(request_of(started), None, _histories(others, opened))
    over = view.row(RunRow, root)
    above = opened(over if over is not None else row)
    return Kin(request_of(above[0]), above[0], ((root, History(above)), *_histories(others, opened)))


def _histories(runs: list[RunRow], opened: Callable[[RunRow], list[Opened]]) -> tuple[tuple[str, History], ...]:
    return tuple((run.id, History(opened(run))) for run in runs)


def request_of(started: Opened) -> Any:
    """What the person behind a run asked for. What an agent starts on somebody's behalf is the agent's words, not
    theirs: it is no request, or whatever it proposes would be trusted."""
    private = started.private
    if private is None or msgspec.convert(private["principal"], Principal).agent is not None:
        return NOTHING
    return private["input"]
