"""Turns: which turn of its session a run is, and when it may begin.

Rules:

* A turn's number is a claim in the append that starts its run: of two runs that start at once one claims the next.
* Whether a turn may begin is read from rows alone: no earlier turn of its session is under way. There is no wake-up to
  lose: whoever ended a turn, started one or opened the journal looks, and so does the poll.
* At most `queue` turns of a session wait; one more is refused as `session_busy`, before anything is recorded.
"""

from __future__ import annotations

from typing import Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import Claim, Conflict, RunRow
from flyball.core.lifecycle import LIVE, QUEUED
from flyball.core.result import Pending
from flyball.core.session import scope
from flyball.ports.recording import Recording

SCOPE: Final = "turn"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands in its session: its pseudonym, the turn's number, and whether it waits. Empty: in none."""

    session: str = ""
    turn: int = 0
    waits: bool = False

    def claims(self, run: str) -> tuple[Claim, ...]:
        """What makes this turn the run's, and nobody else's."""
        if not self.turn:
            return ()
        return (Claim(scope=SCOPE, key=f"{self.session}/{self.turn}", digest="", owner=run),)

    @property
    def facts(self) -> dict[str, str | int]:
        """What the leaf of its start says."""
        return {"session": self.session, "turn": self.turn} if self.turn else {}


class Sessions:
    """The order of turns. `queue`: how many of one session may wait for those before them."""

    def __init__(self, record: Recording, queue: int) -> None:
        self._record, self._queue = record, queue

    def place(self, by: Principal, name: str) -> Place:
        """The place of a run that starts now; raises FlyballError `session_busy`."""
        if not name:
            return Place()
        session = self._record.person(by.tenant, scope(by, name))
        turns = self._record.journal.view(by.tenant).rows(RunRow, session=session)
        under_way = _in_order([row for row in turns if row.state in LIVE])
        if len(under_way) > self._queue:
            first = under_way[0]
            raise FlyballError(
                "session_busy", f"session {name} has a turn under way: run {first.id} ({first.what}, {first.state})",
                f"{len(under_way) - 1} more wait behind it, and [sessions] queue lets {self._queue}",
                f"Wait for it, decide what it waits for (flyball approvals), or flyball stop {first.id}.",
                {"run": first.id, "waiting": len(under_way) - 1},
            )  # fmt: skip
        return Place(session=session, turn=1 + max((row.turn for row in turns), default=0), waits=bool(under_way))

    def ahead(self, tenant: str, row: RunRow) -> RunRow | None:
        """The turn under way that this one waits for; None where it may begin."""
        before = (r for r in self._turns(tenant, row.session) if r.turn < row.turn and r.state in LIVE)
        return next(iter(before), None)

    def waiting_for(self, tenant: str, row: RunRow) -> tuple[Pending, ...]:
        """What a queued turn waits for, as what waits."""
        ahead = self.ahead(tenant, row) if row.state == QUEUED else None
        if ahead is None:
            return ()
        about = f"turn {ahead.turn}: run {ahead.id}, {ahead.what} ({ahead.state})"
        return (Pending(id=f"{row.id}/turn", kind="turn", run=row.id, about=about),)

    def _turns(self, tenant: str, session: str) -> list[RunRow]:
        return _in_order(self._record.journal.view(tenant).rows(RunRow, session=session)) if session else []


def lost_its_place(answer: object) -> bool:
    """Did another run become this turn meanwhile?"""
    return isinstance(answer, Conflict) and answer.what == "claim" and answer.detail.startswith(f"{SCOPE}|")


def _in_order(rows: list[RunRow]) -> list[RunRow]:
    return sorted(rows, key=lambda row: row.turn)
