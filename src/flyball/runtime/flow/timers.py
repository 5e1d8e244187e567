"""Timers: recorded moments that a run waits for as a row.

A span (`sleep`, `timeout`) is as long as was said: where the machine's clock is set forward meanwhile, it ends as much
later. A moment (`until`) is what the clock says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from flyball.core.errors import FlyballError, Superseded
from flyball.core.journal import RunRow
from flyball.core.jumps import ahead
from flyball.core.record import Event, Opened
from flyball.core.result import Pending
from flyball.ports.clock import Clock
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.step import TIMED, Halted, Suspended, Timed


class _Timer(NamedTuple):
    """A recorded moment, and when it was recorded, in microseconds; a span of time, or what the clock says."""

    until: int
    since: int
    span: bool

    def due(self, clock: Clock) -> int:
        """When it fires, by the clock as it stands."""
        return self.until + (ahead(clock.jumps(), self.since) if self.span else 0)


async def pause_until(at: Activation, branch: Branch, path: str, what: str, when: Callable[[int], int]) -> None:
    """Returns once the recorded moment has come; until then the run parks."""
    until = (await _timer(at, branch, path, what, when)).due(at.record.clock)
    if at.record.clock.now() < until:
        at.wake(until)
        raise Suspended


async def _timer(at: Activation, branch: Branch, path: str, what: str, when: Callable[[int], int]) -> _Timer:
    timer, span = at.history.past(path).last("timer"), what != "until"
    if timer is not None:
        if timer.facts["what"] != what:
            raise Halted(
                "replay_diverged", f"step {path}: the log holds {timer.facts['what']}, the code now does {what}"
            )
        return _Timer(int(timer.facts["until"]), timer.time, span)
    at.check_limits(branch)
    now = at.record.clock.now()
    until = when(now)
    await at.note(branch, Event(kind="timer", run=at.row.id, path=path, facts={"what": what, "until": until}))
    return _Timer(until, now, span)


async def first_of(
    at: Activation, branch: Branch, path: str, work: Coroutine[Any, Any, Any], limit: timedelta,
    inner: Sequence[str] = (),
) -> Any:  # fmt: skip
    """The work's value, or None where the recorded timer won. The work is not cancelled: what began is recorded, and
    nothing new begins. `inner` are the paths of what is timed."""
    told = at.history.past(path).last("delivered")
    if told is not None and told.facts["status"] == "timer":
        await _closed(at, inner, work)
        return None
    try:
        timer = await _timer(at, branch, path, "timeout", lambda now: now + limit // timedelta(microseconds=1))
    except BaseException:  # it goes on; what was not begun is given up first
        work.close()
        raise
    timed = Timed(outer=TIMED.get())
    context = copy_context()
    context.run(TIMED.set, timed)
    task = at.spawn(work, context)
    if told is not None:
        return await task
    late = await _late(at, task, timer)
    timed.lost = late and at.record.clock.now() >= timer.due(at.record.clock)
    task.add_done_callback(_heard)
    return await _told(at, branch, path, task, late=late, until=timer.due(at.record.clock), inner=inner)


async def _late(at: Activation, task: asyncio.Task[Any], timer: _Timer) -> bool:
    """Waits for the work or its timer. Has the work not come to an end by then?"""
    clock = at.record.clock
    while True:
        fires = at.spawn(clock.wait(timer.due(clock)))
        try:
            await asyncio.wait({task, fires}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            fires.cancel()
        if task.done() or clock.now() >= timer.due(clock):
            return not task.done() or _parked(task)


async def _closed(at: Activation, inner: Sequence[str], work: Coroutine[Any, Any, Any]) -> None:
    """It lost then; whatever became of it later changes nothing of what the flow was told.

    But a call that was in flight when the process ended, of the step or inside it, is closed, or asked about, like
    every other. Nothing new begins meanwhile.
    """
    for path in inner:
        at.history.past(path)  # its flow has asked for it, whatever became of it
    intents = [intent for path in inner for intent in at.history.open_calls(path)]
    deadline = max((int(intent.facts["deadline"]) for intent in intents), default=0)
    if at.record.clock.now() < deadline:
        at.wake(deadline)  # until then it may still be in flight here
        intents = []
    if not intents:
        work.close()
        return
    context = copy_context()
    context.run(TIMED.set, Timed(outer=TIMED.get(), lost=True))
    task = at.spawn(work, context)
    task.add_done_callback(_heard)
    await asyncio.wait({task})
    if not task.cancelled() and isinstance(task.exception(), (Halted, Superseded)):
        await task


def timers_of(row: RunRow, records: Iterable[Opened], now: int) -> tuple[Pending, ...]:
    """The moments that a parked run still waits for, as what waits. `now` in microseconds."""
    if row.state != "waiting":
        return ()
    timers, told = dict[str, Opened](), set[str]()
    for r in records:
        if r.kind == "timer":
            timers[r.path] = r
        elif r.kind == "delivered":
            told.add(r.path)
    return tuple(
        Pending(
            id=f"{row.id}/{path}", kind="timer", run=row.id, about=str(r.facts["what"]),
            expires=datetime.fromtimestamp(r.facts["until"] / 1_000_000, UTC),
        )
        for path, r in timers.items() if path not in told and r.facts["until"] > now
    )  # fmt: skip


def unbroken(*tasks: asyncio.Task[Any]) -> None:
    """Raises Superseded where somebody cancelled a branch: the run goes on from its log, and is not ended by that."""
    if any(task.cancelled() for task in tasks):
        raise Superseded(FlyballError("cancelled", "a branch of the run was cancelled", fix="flyball resume RUN"))


def _heard(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # nobody waits for it any more


async def _told(
    at: Activation, branch: Branch, path: str, task: asyncio.Task[Any], *, late: bool, until: int, inner: Sequence[str]
) -> Any:
    if late and at.record.clock.now() < until:
        at.wake(until)  # the work has parked, and the timer has not fired: both wait
        raise Suspended
    unbroken(*([] if late else [task]))
    facts: dict[str, Any] = {"what": "timeout", "status": "timer" if late else "step"}
    if late:
        facts["steps"] = list(inner)  # which the run goes on without, and which need not have begun
    await at.note(branch, Event(kind="delivered", run=at.row.id, path=path, facts=facts))
    return None if late else await task


def _parked(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), Suspended)
