"""Replay: what the log says and what is derived from it again, compared; nothing is executed and nothing is written.

Rules:

* Every verdict is derived again from the recorded inputs and the recorded bundles: outcome, final arguments,
  determining policies, cures and modifiers must be the recorded ones.
* The run's code is folded over its log with a recording that only reads. What is not in the log is a difference, said
  in words: the log holds this, the code now does that.
* Where a run has not ended, the code may go on beyond the log; where it waits, it must wait for the same things.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from flyball.core.approval import cure_names
from flyball.core.decision import Decision
from flyball.core.effect import REQUIRES
from flyball.core.journal import Answered, Append, Appended, Entry, Row, Stored
from flyball.core.merkle import Frontier
from flyball.core.outcome import HALTED
from flyball.core.record import Event, Opened
from flyball.core.route import Choice, mistaken
from flyball.core.steps import bare, parent
from flyball.ports.clock import Clock, Jump
from flyball.ports.journal import Journal, View
from flyball.ports.recording import Recording

R = TypeVar("R", bound=Row)
# What a driver says of its run as a whole; everything else that it writes belongs to a step.
ENDINGS = ("run_ended", "run_parked", "run_continued")
# A later station refused what policy had let through: the verdict behind it was none of these.
BY_POLICY = frozenset({"policy_denied"})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as the log says: at which step or record, what the log holds, what comes out now."""

    at: str
    what: str
    log: Any = None
    now: Any = None

    def __str__(self) -> str:
        if self.log is None and self.now is None:
            return f"{self.at}: {self.what}"
        return f"{self.at}: {self.what}: the log holds {self.log}, now {self.now}"


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found. `verdicts` were derived again, `refused` never reached a policy, `steps` were folded (not
    `folded`: no code was loaded); `release` is the run's, `loaded` the code's."""

    run: str
    release: str
    loaded: str
    verdicts: int
    refused: int
    steps: int
    folded: bool = True
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Is everything as the log says?"""
        return not self.differences


# verdicts -------------------------------------------------------------------------------------------------------------
def verdict_differences(record: Opened, now: Decision) -> Iterator[Difference]:
    """Where a decision derived again is not the recorded one."""
    facts, private = record.facts, record.private or {}
    held = facts["covers"] if record.kind == "asked" else facts
    pairs: list[tuple[str, Any, Any]] = [
        ("arguments", private.get("args"), _plain(now.arguments)),
        ("policies", sorted(held["policies"]), sorted(now.determining)),
        ("cures", list(held["cures"]), list(cure_names(now))),
    ]
    if record.kind != "asked":
        pairs.append(("modifiers", list(facts.get("modifiers", ())), [f"{c.layer}/{c.policy}" for c in now.modifiers]))
    if not _same_outcome(record, now):
        pairs.insert(0, ("verdict", _outcome(record), f"{now.outcome} ({now.reason})"))
    for what, log, derived in pairs:
        if log != derived:
            yield Difference(at=record.id, what=what, log=log, now=derived)


def _outcome(record: Opened) -> str:
    return "require_approval" if record.kind == "asked" else str(record.facts["outcome"])


def _same_outcome(record: Opened, now: Decision) -> bool:
    if record.kind != "decision" or now.outcome == "deny":
        return now.outcome == _outcome(record)
    # Refused after a verdict that let it go on: by budget, precondition, rate, or by whoever was asked.
    late = bool(record.facts["cures"]) or "precondition" in record.facts
    return record.facts["reason"] not in BY_POLICY or late


def precondition_differences(records: Sequence[Opened]) -> Iterator[Difference]:
    """Where an action went on, or was refused, otherwise than the read of what it requires says."""
    known = {r.id: r for r in records}
    for record in records:
        name = record.facts.get("precondition")
        if record.kind not in ("intent", "decision") or name is None:
            continue
        read, now = known.get(name), "no such record before it"
        if read is not None and read.index < record.index and parent(read.path) == record.path:
            asked = known.get(read.id.removesuffix("outcome") + "intent", read)
            now = _required(read) if asked.facts["action"] == f"{record.facts['action']}{REQUIRES}" else "another read"
        log = "met" if record.kind == "intent" else str(record.facts["reason"])
        if log != now:
            yield Difference(at=record.id, what="precondition", log=log, now=now)


def route_differences(record: Opened) -> Iterator[Difference]:
    """Where the choice of a model does not follow from what was recorded with it, or another one was asked. A replay
    takes the choice that was made: which models rest is known only then."""
    told = record.facts.get("route")
    if told is None:
        return
    choice, asked = msgspec.convert(told, Choice), ((record.private or {}).get("request") or {}).get("resource") or {}
    wrong = mistaken(choice)
    if wrong:
        yield Difference(at=record.id, what=f"the choice of its model does not follow: {wrong}")
    if asked and asked.get("id") != choice.chosen:
        yield Difference(at=record.id, what="model", log=choice.chosen, now=asked.get("id"))


def approval_differences(records: Sequence[Opened]) -> Iterator[Difference]:
    """Approvals that were given by people whose credentials the action would use."""
    owners = {r.facts["pending"]: r.facts.get("owners", ()) for r in records if r.kind == "asked"}
    for record in records:
        if record.kind == "approved" and record.facts["by"] in owners.get(record.facts["pending"], ()):
            yield Difference(at=record.id, what="it is by a person whose credential it uses")


def _required(read: Opened) -> str:
    """What a read of what an action requires comes to for the action, from the record that it ended with."""
    facts, private = read.facts, read.private or {}
    if read.kind == "decision":
        return str(facts["reason"])
    if facts["status"] == "not_started":
        return str(facts["code"])
    good = facts["status"] == "executed" and not facts["result_invalid"]
    return "met" if good and private.get("result", "") is None else "precondition"


def _plain(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


# a recording that only reads ------------------------------------------------------------------------------------------
class _Until:
    """The log as it was before an index: what came later is not known yet."""

    def __init__(self, view: View, before: int, hidden: frozenset[str]) -> None:
        self._view, self._before, self._hidden = view, before, hidden

    def records(self, *, run: str | None = None, after: int = -1, limit: int = 10_000) -> list[Stored]:
        found = self._view.records(run=run, after=after, limit=limit)
        return [s for s in found if s.index < self._before and s.id not in self._hidden]

    def record(self, id: str) -> Stored | None:
        found = self._view.record(id)
        return found if found is None or (found.index < self._before and id not in self._hidden) else None

    def row(self, kind: type[R], id: str) -> R | None:
        return self._view.row(kind, id)

    def rows(self, kind: type[R], /, **where: Any) -> list[R]:
        return self._view.rows(kind, **where)

    def page(self, kind: type[R], after: str, limit: int) -> list[R]:
        return self._view.page(kind, after, limit)

    def latest(self) -> int:
        return self._view.latest()

    def body(self, mac: str) -> bytes | None:
        return self._view.body(mac)

    def tree(self) -> tuple[str, Frontier]:
        return self._view.tree()

    def node(self, level: int, index: int) -> bytes:
        return self._view.node(level, index)


class _Looking:
    """A journal that can be looked at."""

    def __init__(self, journal: Journal, before: int, hidden: frozenset[str]) -> None:
        self._journal, self._before, self._hidden = journal, before, hidden

    def view(self, tenant: str) -> View:
        return _Until(self._journal.view(tenant), self._before, self._hidden)

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        return self.view(tenant).row(kind, id)

    async def append(self, append: Append) -> Answered:
        return Appended(first=0, size=0)

    def flaws(self) -> list[str]:
        return self._journal.flaws()

    def tenants(self) -> list[str]:
        return self._journal.tenants()

    async def close(self) -> None:
        return None


class _Stopped:
    """Time as it was at the last record. Nobody waits in a replay: what the log does not hold has not happened."""

    def __init__(self, now: int) -> None:
        self._now = now

    def now(self) -> int:
        return self._now

    def begin_at(self, at: int) -> None:
        self._now = max(self._now, at)

    async def wait(self, until: int) -> None:
        if until > self._now:
            await asyncio.Event().wait()

    def jumps(self) -> tuple[Jump, ...]:
        return ()


class LogOnly:
    """A `Recording` for replays: reads the log before an index, without the `hidden` records that an ending closed what
    was under way with, and keeps what would be written in `said`."""

    def __init__(self, record: Recording, *, before: int, now: int, hidden: frozenset[str] = frozenset()) -> None:
        self._record = record
        self.journal: Journal = _Looking(record.journal, before, hidden)
        self.clock: Clock = _Stopped(now)
        self.said: list[Event] = []

    def person(self, tenant: str, name: str) -> str:
        """The keyed pseudonym of a person."""
        return self._record.person(tenant, name)

    def salt(self) -> bytes:
        """A fresh salt."""
        return self._record.salt()

    def seal(self, tenant: str, event: Event, time: int | None = None) -> Entry:
        """Keeps the event; its entry is never appended."""
        self.said.append(event)
        return Entry(
            id=event.id, kind=event.kind, run=event.run, path=event.path, attempt=event.attempt, time=self.clock.now(),
            leaf=b"", hash=b"",
        )  # fmt: skip

    def open(self, tenant: str, stored: Stored, view: View) -> Opened:
        """A stored record with its private fields."""
        return self._record.open(tenant, stored, view)

    async def append(self, append: Append) -> Answered:
        """Says that it was appended, and appends nothing."""
        return await self.journal.append(append)

    async def write(self, tenant: str, *events: Event, id: str = "", **rest: Any) -> Appended:
        """Keeps the events."""
        for event in events:
            self.seal(tenant, event)
        return Appended(first=0, size=0)


# how a fold ended -----------------------------------------------------------------------------------------------------
class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold must come to: the record that the log holds there (None: the run is open), or `waits`."""

    end: Opened | None = None
    waits: tuple[str, ...] | None = None


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """What a fold came to: what the code would have written, and what it would have done next, with its place; steps of
    the log that it never asked for."""

    said: Sequence[Event]
    beyond: Sequence[str] = ()
    place: str = ""
    unasked: Sequence[str] = ()


def _closes(event: Event) -> bool:
    # What was in flight when a run ended is closed by recovery; that the log holds it open is no other code.
    return event.kind == "outcome" and event.facts["code"] == HALTED


def fold_differences(run: str, known: frozenset[str], folded: Folded, expected: Expected) -> Iterator[Difference]:
    """Where folding a run's code over its log did not come to what the log says. `known`: ids of its records."""
    closed = expected.end is not None or expected.waits is not None
    place = f" ({folded.place})" if folded.place else ""
    ending = next((e for e in reversed(folded.said) if e.kind in ENDINGS), None)
    diverged = _diverged(ending)
    if diverged and not _is_that(expected.end, ending):
        yield Difference(at=run, what=f"{diverged}{place}")
        return
    if closed:
        news = [e for e in folded.said if e.kind not in ENDINGS and e.id not in known and not _closes(e)]
        yield from (
            Difference(at=f"step {bare(e.path)}", what=f"the log ends before this {e.kind}{place}") for e in news
        )
        yield from (
            Difference(at=run, what=f"the log ends here, the code now does {what}{place}") for what in folded.beyond
        )
        if news or folded.beyond:
            return
    if folded.unasked and not _stopped_short(ending):
        yield Difference(at=run, what=f"the code never asks for steps that the log holds: {', '.join(folded.unasked)}")
    if expected.end is not None:
        yield from _end_differences(run, expected.end, ending, place)
    elif expected.waits is not None:
        yield from _wait_differences(run, expected.waits, ending, place)


def _stopped_short(ending: Event | None) -> bool:
    # An error of the code's own, or where it parted from the log, says more than the steps that it never came to.
    return ending is not None and ending.facts.get("reason") in ("internal_error", "replay_diverged")


def _diverged(ending: Event | None) -> str:
    if ending is None or ending.kind != "run_ended" or ending.facts["reason"] != "replay_diverged":
        return ""
    return str(ending.private.get("detail", "the code does something else now"))


def _is_that(end: Opened | None, ending: Event | None) -> bool:
    return end is not None and ending is not None and end.facts.get("reason") == ending.facts.get("reason")


def _end_differences(run: str, end: Opened, now: Event | None, place: str) -> Iterator[Difference]:
    held, derived = (
        _ending(end.kind, end.facts, end.private),
        _ending(now.kind, now.facts, now.private) if now else "none",
    )
    if held != derived:
        detail = str(now.private.get("detail", "")) if now is not None else ""
        yield Difference(at=run, what=f"the end{place}", log=held, now=f"{derived}: {detail}" if detail else derived)


def _ending(kind: str, facts: Mapping[str, Any], private: Mapping[str, Any] | None) -> str:
    told = private or {}
    if kind == "run_continued":
        return f"continued with {_text(told.get('input'))}"
    if kind == "run_parked":
        return f"waiting for {', '.join(facts['waits']) or 'a time'}"
    result = f" {_text(told['result'])}" if "result" in told else ""
    return f"{facts['reason']}{result}"


def _wait_differences(run: str, waits: Iterable[str], now: Event | None, place: str) -> Iterator[Difference]:
    held = f"waiting for {', '.join(waits) or 'a time'}"
    derived = _ending(now.kind, now.facts, now.private) if now else "none"
    if held != derived:
        yield Difference(at=run, what=f"what it waits for{place}", log=held, now=derived)


def _text(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()
