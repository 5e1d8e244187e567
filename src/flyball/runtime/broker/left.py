"""Left: calls that were given up on when their time was over, and what they came to all the same.

A thread cannot be stopped, and a coroutine may ignore its cancellation. Such a call is left alone: its outcome is
unknown by then, but while it is at work nobody believes that it did not happen, and what it comes to is evidence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import partial
from typing import Any

from flyball.core.call import Call
from flyball.core.proposal import Proposal

CALLED_OFF_SECONDS = 0.25
Keep = Callable[[asyncio.Task[Any]], None]


class Left:
    """What this process has given up on, by step and attempt."""

    def __init__(self) -> None:
        self._works: dict[tuple[str, str, str, int], asyncio.Task[Any]] = {}
        self._following: set[asyncio.Task[None]] = set()

    @property
    def any(self) -> bool:
        """Is there any that was given up on?"""
        return bool(self._works)

    def keep(self, p: Proposal, work: asyncio.Task[Any]) -> None:
        """Remembers a call that nobody waits for any more."""
        self._works[_step(p)] = work

    def still(self, p: Proposal) -> bool:
        """May this attempt still be at work here?"""
        work = self._works.get(_step(p))
        return work is not None and not work.done()

    def ended(self, p: Proposal) -> asyncio.Task[Any] | None:
        """The call of this attempt, where it was left alone and has ended since. Told once: then it is no secret."""
        work = self._works.get(_step(p))
        if work is None or not work.done():
            return None
        del self._works[_step(p)]
        return None if work.cancelled() else work

    def follow(self, p: Proposal, tell: Callable[[], Awaitable[None]]) -> None:
        """Once a call that was left alone has ended, tells so."""
        work = self._works.get(_step(p))
        if work is None:
            return

        async def following() -> None:
            try:
                await asyncio.wait({work})
                await tell()
            finally:
                self._works.pop(_step(p), None)

        task = asyncio.get_running_loop().create_task(following())
        self._following.add(task)
        task.add_done_callback(self._followed)

    def _followed(self, task: asyncio.Task[None]) -> None:
        self._following.discard(task)
        if not task.cancelled():
            task.exception()  # what cannot be recorded stays unknown: a person can still say

    async def close(self) -> None:
        """Nobody follows any more."""
        for task in tuple(self._following):
            task.cancel()
        await asyncio.gather(*self._following, return_exceptions=True)


def _step(p: Proposal) -> tuple[str, str, str, int]:
    return p.place.tenant, p.place.run, p.place.path, p.attempt


async def bounded(work: Coroutine[Any, Any, Any], seconds: float | None, keep: Keep) -> Any:
    """The work's result in time. In a task of its own, because work that ignores its cancellation must hold up nobody:
    it is left alone then (`keep`), and what it may still do is unknown."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    task = loop.create_task(_telling(work, over))
    timer = loop.call_later(seconds, _is_over, over) if seconds is not None else None
    try:
        await over  # what asyncio.wait does for any number of tasks costs three times as much
    except asyncio.CancelledError:
        await _called_off(task)
        keep(task)
        raise
    finally:
        if timer is not None:
            timer.cancel()
    if not task.done() and not await _called_off(task):
        keep(task)
        raise TimeoutError(f"not done after {seconds:g} s")
    return task.result()


async def _telling(work: Coroutine[Any, Any, Any], over: asyncio.Future[None]) -> Any:
    try:
        return await work
    finally:
        _is_over(over)


def _is_over(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)


async def _called_off(task: asyncio.Task[Any]) -> bool:
    """Cancels a task and gives it a moment to end. True where it has a result all the same."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody else asks for it
    await asyncio.wait({task}, timeout=CALLED_OFF_SECONDS)
    return task.done() and not task.cancelled() and task.exception() is None


async def threaded(function: Callable[..., Any], call: Call, names: Mapping[str, Any]) -> Any:
    """Calls a plain function in a thread, so that it does not hold up every other run.

    A thread cannot be stopped: called off, this goes on until the function returns, and gives its result.
    """
    given = partial(copy_context().run, partial(function, call, **names))
    work = asyncio.get_running_loop().run_in_executor(None, given)
    called_off = False
    while not work.done():
        try:
            await asyncio.wait({work})
        except asyncio.CancelledError:
            called_off = True
    value = work.result()
    if not isinstance(value, Awaitable):
        return value
    if called_off:  # what it would have waited for has not begun, and must not begin now
        if isinstance(value, Coroutine):
            value.close()
        raise asyncio.CancelledError
    return await value
