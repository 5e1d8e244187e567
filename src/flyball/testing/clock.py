"""Time that only a test moves: everything that waits for the clock waits until somebody moves it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from flyball.ports.clock import Jump

# 2 March 2026, 09:00 UTC: a Monday morning, far from any change of clocks.
START_US: Final = 1_772_442_000_000_000


class VirtualClock:
    """Implements `ports.clock.Clock`. `start` in microseconds since 1970."""

    def __init__(self, start: int = START_US) -> None:
        self._now = start
        self._jumps: tuple[Jump, ...] = ()
        self._waiting: dict[asyncio.Future[None], tuple[int, asyncio.Task[object] | None]] = {}

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        return self._now

    def begin_at(self, at: int) -> None:
        """Time goes on from `at` at least, in microseconds."""
        self.move(at)

    async def wait(self, until: int) -> None:
        """Returns once somebody has moved the clock to `until`, in microseconds."""
        if self._now >= until:
            return
        moved = asyncio.get_running_loop().create_future()
        self._waiting[moved] = (until, asyncio.current_task())
        try:
            await moved
        finally:
            self._waiting.pop(moved, None)

    def waits(self) -> dict[asyncio.Task[object], int]:
        """Who waits, and until when."""
        return {task: until for until, task in self._waiting.values() if task is not None and not task.done()}

    def move(self, to: int) -> None:
        """Sets the time, which never goes back, and wakes everybody whose time has come, in order."""
        self._now = max(self._now, to)
        due = [(until, future) for future, (until, _) in self._waiting.items() if until <= self._now]
        for _, future in sorted(due, key=lambda each: each[0]):
            if not future.done():
                future.set_result(None)

    def set_forward(self, by: int) -> None:
        """Somebody sets the machine's clock `by` microseconds forward."""
        self._jumps = (*self._jumps, Jump(self._now + by, by))
        self.move(self._now + by)

    def jumps(self) -> Sequence[Jump]:
        """How often it was set forward."""
        return self._jumps

    def forget(self) -> None:
        """Nobody waits any more: the loop in which they waited is gone."""
        self._waiting.clear()
