"""Timers: recorded moments that a run waits for as a row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any

from flyball.core.errors import FlyballError, Superseded
from flyball.core.journal import RunRow
from flyball.core.record import Event, Opened
from flyball.core.result import Pending
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.step import TIMED, Halted, Suspended, Timed


async def pause_until(at: Activation, branch: Branch, path: str, what: str, when: Callable[[int], int]) -> None:
    """Returns once the recorded moment has come; until then the run parks."""
    until = await _timer(at, branch, path, what, when)
    if at.record.clock.now() < until:
        at.wake(until)
        raise Suspended


async def _timer(at: Activation, branch: Branch, path: str, what: str, when: Callable[[int], int]) -> int:
    timer = at.history.past(path).last("timer")
    if timer is not None:
        if timer.facts["what"] != what:
            raise Halted(
                "replay_diverged", f"step {path}: the log holds {timer.facts['what']}, the code now does {what}"
            )
        return int(timer.facts["until"])
    at.check_limits()
    until = when(at.record.clock.now())
    await at.note(branch, Event(kind="timer", run=at.row.id, path=path, facts={"what": what, "until": until}))
    return until


async def first_of(
    at: Activation, branch: Branch, path: str, work: Coroutine[Any, Any, Any], limit: timedelta, inner: str = ""
) -> Any:
    """The work's value, or None where the recorded timer won. The work is not cancelled: what began is recorded, and
    nothing new begins. `inner` is the path of the step that is timed."""
    told = at.history.past(path).last("delivered")
    if told is not None and told.facts["status"] == "timer":
        await _closed(at, inner, work)
        return None
    try:
        until = await _timer(at, branch, path, "timeout", lambda now: now + limit // timedelta(microseconds=1))
    except BaseException:  # it goes on; what was not begun is given up first
        work.close()
        raise
    timed = Timed(outer=TIMED.get())
    context = copy_context()
    context.run(TIMED.set, timed)
    task = at.spawn(work, context)
    if told is not None:
        return await task
    clock = at.spawn(at.record.clock.wait(until))
    done, _ = await asyncio.wait({task, clock}, return_when=asyncio.FIRST_COMPLETED)
    late = task not in done or _parked(task)
    timed.lost = late and at.record.clock.now() >= until
    task.add_done_callback(_heard)
    try:
        return await _told(at, branch, path, task, late=late, until=until)
    finally:
        clock.cancel()


async def _closed(at: Activation, inner: str, work: Coroutine[Any, Any, Any]) -> None:
    """It lost then; whatever became of it later changes nothing of what the flow was told.

    But a call that was in flight when the process ended, of the step or inside it, is closed, or asked about, like
    every other. Nothing new begins meanwhile.
    """
    at.history.past(inner)  # its flow has asked for it, whatever became of it
    intents = at.history.open_calls(inner) if inner else []
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


async def _told(at: Activation, branch: Branch, path: str, task: asyncio.Task[Any], *, late: bool, until: int) -> Any:
    if late and at.record.clock.now() < until:
        at.wake(until)  # the work has parked, and the timer has not fired: both wait
        raise Suspended
    unbroken(*([] if late else [task]))
    status = "timer" if late else "step"
    await at.note(
        branch, Event(kind="delivered", run=at.row.id, path=path, facts={"what": "timeout", "status": status})
    )
    return None if late else await task


def _parked(task: asyncio.Task[Any]) -> bool:
    return task.done() and not task.cancelled() and isinstance(task.exception(), Suspended)
