"""Histories: what a run recorded, as text to keep beside the code, and its replay on the code of today.

A replay gives the flow what it was told then, in the same order, and executes nothing: the first thing that the code
would write beyond the history ends it. A golden history in CI shows that a change of the code strands no waiting run.

A history holds arguments and results in plain text: make it of data that may be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from flyball.app.opening import enter
from flyball.app.wiring import Rooms
from flyball.core.errors import FlyballError
from flyball.core.journal import Answered, Append, Appended, Entry, PendingRow, RunRow, Stored
from flyball.core.kinds import Kind
from flyball.core.outcome import HALTED
from flyball.core.record import Event, Opened
from flyball.core.steps import start
from flyball.testing.clock import VirtualClock
from flyball.testing.crash import Crash, LabJournal

FORMAT: Final = 1
STEPS: Final = ("intent", "decision", "timer", "asked", "state", "signal", "not_awaited")
ENDS: Final = ("run_parked", "run_ended")


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a history, readable."""

    kind: Kind
    path: str
    attempt: int
    time: int
    facts: dict[str, Any]
    private: dict[str, Any]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """A run that waits or has ended: its row, what it waits for, its records."""

    flyball_history: int = FORMAT
    tenant: str
    run: RunRow
    pending: list[PendingRow]
    records: list[Line]


@dataclass(frozen=True, slots=True)
class Replayed:
    """`ok`: the code of today does the same; else `difference` says what differs first. `steps` were given back."""

    ok: bool
    difference: str
    steps: int


def history_of(tenant: str, run: RunRow, pending: Sequence[PendingRow], records: Sequence[Opened]) -> str:
    """The history as JSON, one record a line; raises FlyballError for a run that is being driven."""
    if run.state not in ("waiting", "ended"):
        raise FlyballError("not_settled", f"run {run.id} is {run.state}", fix="keep a run that waits or has ended")
    lines = [
        Line(
            kind=cast("Kind", r.kind), path=r.path, attempt=r.attempt, time=r.time, facts=dict(r.facts),
            private=dict(r.private or {}),
        )
        for r in records
    ]  # fmt: skip
    made = History(tenant=tenant, run=run, pending=list(pending), records=lines)
    return msgspec.json.format(msgspec.json.encode(made), indent=1).decode() + "\n"


def read_history(source: str | Path) -> History:
    """A history from its text or file; raises FlyballError `bad_history`."""
    text = source.read_text("utf-8") if isinstance(source, Path) else source
    try:
        history = msgspec.json.decode(text, type=History)
    except msgspec.MsgspecError as bad:
        raise FlyballError("bad_history", "this is no history of a run", str(bad), "write it with Lab.history") from bad
    if history.flyball_history != FORMAT:
        raise FlyballError("bad_history", f"this history has format {history.flyball_history}, not {FORMAT}")
    return history


class ReplayJournal(LabJournal):
    """Once sealed, lets a run be taken and its own start conclude; the next thing that anybody would write ends the
    process, and is kept as `beyond`."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.sealed = False
        self.start = ""
        self.beyond: tuple[Entry, ...] = ()

    async def append(self, append: Append) -> Answered:
        """As the journal beneath while the history is loaded."""
        concludes = all(entry.kind == "outcome" and entry.path == self.start for entry in append.entries)
        if self.sealed and not concludes and not self.dead:
            self.beyond, self.dead = append.entries, "the history ends here"
            raise Crash(self.dead)
        return await super().append(append)


async def replayed(rooms: Rooms, journal: ReplayJournal, clock: VirtualClock, history: History) -> Replayed:
    """Drives the run on its history alone, and compares where the code comes out."""
    tenant, run = history.tenant, history.run
    await enter(rooms, tenant)
    await _load(rooms, history)
    clock.move(history.records[-1].time)
    journal.start, journal.sealed = _start(history), True
    rooms.driver.wake(tenant, run.id)
    try:
        await rooms.driver.settled(tenant, run.id)
    except Crash:
        pass
    finally:
        await rooms.driver.close()
    steps = len({line.path for line in history.records if line.kind in STEPS})
    difference = _difference(history, [_opened(rooms, tenant, entry) for entry in journal.beyond])
    return Replayed(not difference, difference, steps)


async def _load(rooms: Rooms, history: History) -> None:
    subject = str(history.records[0].private["subject"])
    kept = [r for r in history.records if not _of_the_end(r, _start(history))]
    entries = tuple(
        rooms.record.seal(history.tenant, Event(
            kind=line.kind, run=history.run.id, path=line.path, attempt=line.attempt, facts=line.facts,
            private=line.private, subjects=(subject,),
        ), line.time)
        for line in kept
    )  # fmt: skip
    row = msgspec.structs.replace(
        history.run, state="ready", reason="", ended=0, since=-1
    )  # its indices are another log's
    answer = await rooms.record.append(Append(
        id=f"history/{history.run.id}", tenant=history.tenant, entries=entries, put=(row, *history.pending),
    ))  # fmt: skip
    if not isinstance(answer, Appended):
        raise FlyballError("bad_history", "this history cannot be loaded", str(answer), "write it with Lab.history")


def _opened(rooms: Rooms, tenant: str, entry: Entry) -> Opened:
    stored = Stored(
        index=0, id=entry.id, kind=entry.kind, run=entry.run, path=entry.path, attempt=entry.attempt, time=entry.time,
        leaf=entry.leaf, payload=entry.payload,
    )  # fmt: skip
    return rooms.record.open(tenant, stored, rooms.ports.journal.view(tenant))


def _start(history: History) -> str:
    return start(1 + sum(line.kind == "run_continued" for line in history.records))


def _of_the_end(line: Line, own: str) -> bool:
    """Was this written when the run was over? Then the code of today has to come to it by itself."""
    outcome = line.kind == "outcome" and (line.path == own or line.facts["code"] == HALTED)
    return outcome or line.kind == "run_ended"


def _difference(history: History, beyond: Sequence[Opened]) -> str:
    written = next((r for r in beyond if r.kind in ENDS), next((r for r in beyond if r.kind != "marker"), None))
    if written is None:
        return "the code came to no end"
    if written.kind not in ENDS:
        what = written.facts.get("action") or written.facts.get("what") or ""
        return f"step {written.path}: the history has nothing there, the code now writes {written.kind} {what}".rstrip()
    ending = next(line for line in reversed(history.records) if line.kind in ENDS)
    now = _came_out(written.kind, written.facts, written.private or {})
    then = _came_out(ending.kind, ending.facts, ending.private)
    return "" if now == then else f"the history {then}, the code now {now}"


def _came_out(kind: str, facts: Any, private: Any) -> str:
    if kind == "run_parked":
        return f"waits for {', '.join(facts['waits']) or 'a time'}"
    told = private.get("detail") or msgspec.json.encode(private.get("result")).decode()
    return f"ends as {facts['reason']}: {told}"
