"""Refold: a run's code over its log, without effects. Every governed action is answered by the log alone.

Rules:

* Nothing is decided, executed or written here: what the log does not hold ends the fold, and is said.
* Folding as a driver would (`deep=False`) takes a finished agent or flow by its recorded result; folding deep goes
  inside, so that its prompts, model requests and tools are compared too.
* Each generation of a run (`continue_as`) is folded over its own part of the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, cast

import msgspec

from flyball.app.bodies import Bodies
from flyball.app.wiring import Rooms, run_limits
from flyball.core.errors import said
from flyball.core.guard import GUARD_BLOCKED, Edit, rewritten
from flyball.core.journal import RunRow
from flyball.core.lifecycle import DUE
from flyball.core.outcome import HALTED, Past
from flyball.core.proposal import Proposal
from flyball.core.record import Opened
from flyball.core.result import Blocked, Executed, Failed, Governed, Pending
from flyball.core.signature import to_json
from flyball.ports.recording import Recording
from flyball.runtime.flow.activation import Branch, worded
from flyball.runtime.flow.history import History
from flyball.runtime.flow.step import Halted, Suspended
from flyball.runtime.flow.turn import Turn
from flyball.runtime.replay import Difference, Expected, Folded, LogOnly, fold_differences

NOT_OURS = frozenset({"site-packages", ".venv", "venv"})


class _Part(NamedTuple):
    """One generation: its records lie above index `since` and below `before`, and should come to `expected`."""

    since: int
    before: int
    now: int
    expected: Expected


class _Answers:
    """Stands where the path stands in a driven run, and answers from the log."""

    def __init__(self, rooms: Rooms, *, deep: bool) -> None:
        self._known, self._deep = rooms.stations.recover.known, deep
        self.beyond: list[str] = []

    async def __call__(self, p: Proposal, past: Past) -> Governed[Any]:
        if not past.records and not past.checks:
            self.beyond.append(_named(p))
            raise Suspended
        told = self._told(p, past)
        if p.performer.lasting and past.last("intent") is not None and (told is None or self._deep):
            return await self._inside(p, past, told)
        if told is not None:
            return told
        asked = past.last("asked") or next((a for c in past.checks[-1:] if (a := c.last("asked"))), None)
        id = str(asked.facts["pending"]) if asked is not None else f"{p.place.run}/{p.place.path}"
        return Pending(id=id, kind="approval", run=p.place.run, about=p.action.name)

    def _told(self, p: Proposal, past: Past) -> Governed[Any] | None:
        try:
            return self._known(p, past)
        except msgspec.ValidationError as bad:
            what = f"step {p.place.path}: what {_named(p)} gave in the log does not fit its type now: {bad}"
            raise Halted("replay_diverged", what) from bad

    async def _inside(self, p: Proposal, past: Past, told: Governed[Any] | None) -> Governed[Any]:
        """Folds an agent or flow over its own steps, and compares what it comes to with what it came to."""
        intent = cast("Opened", past.last("intent"))
        arguments = (intent.private or {})["args"]
        now: Executed[Any] | Failed
        try:
            value = await p.performer.perform(cast("Any", None), arguments)
            now = Executed(value, "")
        except Suspended:
            if told is not None:
                next_ = f"the code now does {self.beyond[-1]} in it" if self.beyond else "the code now waits in it"
                what = f"step {p.place.path}: {_named(p)} ended in the log, {next_}"
                raise Halted("replay_diverged", what) from None
            raise
        except Exception as bad:  # noqa: BLE001 - a station boundary: whatever a flow raises is how it ended, compared below
            now = Failed(str(getattr(bad, "code", "") or "internal_error"), said(bad))
        now = _screened(now, past)
        if told is not None and _ending(told) != _ending(now):
            what = f"step {p.place.path}: {_named(p)} came to {_ending(told)}, and now comes to {_shown(now)}"
            raise Halted("replay_diverged", what)
        return now if told is None else told


def _screened(now: Executed[Any] | Failed, past: Past) -> Executed[Any] | Failed:
    """What it comes to once guards have looked at it: they are not asked again, what they did is in the log."""
    outcome = past.last("outcome")
    if outcome is None or not outcome.facts.get("guards") or isinstance(now, Failed):
        return now
    private = outcome.private or {}
    if outcome.facts["code"] == GUARD_BLOCKED:
        return Failed(GUARD_BLOCKED, str(private.get("error", "")))
    data = to_json(now.value)
    for batch in msgspec.convert(private.get("edits", []), list[list[Edit]]):
        data = rewritten(data, batch)
    return Executed(data, now.action)


def _named(p: Proposal) -> str:
    return worded(p.action.kind, p.action.name)


def _ending(told: Governed[Any]) -> str:
    if isinstance(told, Executed):
        return msgspec.json.encode(to_json(told.value), order="sorted").decode()
    return told.reason if isinstance(told, (Blocked, Failed)) else told.kind


def _shown(now: Executed[Any] | Failed) -> str:
    return f"{now.reason}: {now.message}" if isinstance(now, Failed) else _ending(now)


class Refold:
    """Folds the runs of one tenant."""

    def __init__(self, rooms: Rooms, tenant: str) -> None:
        self._rooms, self._tenant = rooms, tenant

    async def __call__(self, row: RunRow, records: Sequence[Opened], *, deep: bool = False) -> list[Difference]:
        """What the code, as it is loaded now, does otherwise than the log of this run says."""
        found: list[Difference] = []
        known = frozenset(r.id for r in records)
        for part in _parts(row, records):
            # While a person is asked whether the run was told the truth it does not go on; its code is folded anyway.
            asked = {r.id for r in History(r for r in records if part.since < r.index < part.before).contradicted()}
            expected = Expected() if asked and part.expected.end is None else part.expected
            folded = await self._fold(row, records, part, frozenset(asked), deep=deep)
            found += fold_differences(f"run {row.id}", known, folded, expected)
        return found

    async def _fold(
        self, row: RunRow, records: Sequence[Opened], part: _Part, hidden: frozenset[str], *, deep: bool
    ) -> Folded:
        rooms = self._rooms
        hidden |= {r.id for r in records if r.kind == "outcome" and _closed_from_outside(r)}
        log = LogOnly(rooms.record, before=part.before, now=part.now, hidden=hidden)
        bodies = Bodies(rooms.project, rooms.thinking, rooms.memories, rooms.episodes)
        places: list[str] = []

        async def body(at: Any, branch: Branch, kind: str, what: str, input: Any, /) -> Any:
            try:
                return await bodies(at, branch, kind, what, input)
            except (Halted, Suspended) as ended:
                places.append(_place(ended.__traceback__, Path(rooms.project.directory)))
                raise

        answers = _Answers(rooms, deep=deep)
        limits = run_limits(rooms.config)
        turn = Turn(
            cast("Recording", log), answers, body, bodies.unproven, bodies.trusted, limits, deep=deep,
            scales=rooms.config.signals,
        )  # fmt: skip
        at = turn.activation(self._tenant, msgspec.structs.replace(row, since=part.since))
        await turn.one(at)
        return Folded(
            said=log.said, beyond=answers.beyond, place=places[-1] if places else "",
            unasked=at.history.unasked(deep=True) if deep else (),
        )  # fmt: skip


def _parts(row: RunRow, records: Sequence[Opened]) -> Iterator[_Part]:
    """Where each generation ends in the log, and what it should come to there."""
    before: Opened = records[0]
    since = -1
    for record in records:
        if record.kind == "run_stopped":  # a person ended it, wherever it stood
            yield _Part(since, record.index, before.time, Expected())
            return
        if record.kind in ("run_continued", "run_ended"):
            yield _Part(since, record.index, before.time, Expected(end=record))
            since = record.index - 1
        if record.kind == "run_ended":
            return
        before = record
    parked = next((r for r in reversed(records) if r.kind == "run_parked"), None)
    waits = tuple(parked.facts["waits"]) if parked is not None and row.state not in DUE else None
    yield _Part(since, records[-1].index + 1, before.time, Expected(waits=waits))


def _closed_from_outside(outcome: Opened) -> bool:
    # When a run is halted, what was under way is closed with it; the flow was never told.
    return bool(outcome.facts["status"] == "interrupted" and outcome.facts["code"] == HALTED)


def _place(trace: TracebackType | None, root: Path) -> str:
    """The innermost line of the project's own code that led here, as `flows.py:41`."""
    found = ""
    while trace is not None:
        path = Path(trace.tb_frame.f_code.co_filename)
        if path.is_relative_to(root) and not NOT_OURS.intersection(path.parts):
            found = f"{path.relative_to(root)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found
