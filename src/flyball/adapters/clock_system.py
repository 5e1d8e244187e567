"""The machine's own clock and entropy."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from flyball.ports.clock import Jump

# A wait is cut into pieces, so that a clock that was set forward is noticed.
MOST_SLEEP = 60.0
PORTION = 4096
# What a clock may go beside another one between two looks; more than that, and somebody has set it.
STEP = 5_000_000


# Where there is one: the clock that nobody can set and that goes on while the machine sleeps.
_steady = partial(time.clock_gettime_ns, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SystemClock:
    """Wall-clock microseconds that never go back within this process, whichever of its threads asks."""

    def __init__(self, wall: Callable[[], int] = time.time_ns, steady: Callable[[], int] = _steady) -> None:
        """`wall` and `steady` are the machine's clocks in nanoseconds: the one that can be set, one that cannot."""
        self._wall, self._steady = wall, steady
        self._last = self._ahead = 0
        self._lock = threading.Lock()
        now, since = self._both()
        self._apart = (now - since) // 1000
        self._jumps: tuple[Jump, ...] = ()

    def now(self) -> int:
        """Microseconds since 1970, UTC. Where the machine's clock is set back this one goes on, ahead of it."""
        with self._lock:
            return self._now()

    def _now(self) -> int:
        wall, steady = self._both()
        apart = (wall - steady) // 1000
        jump, self._apart = apart - self._apart, apart
        if jump <= -STEP:
            self._ahead -= jump
        now = wall // 1000 + self._ahead
        if now > self._last:
            self._last = now
        if not -STEP < jump < STEP:
            self._jumps = (*self._jumps, Jump(self._last, jump))
        return self._last

    def _both(self) -> tuple[int, int]:
        # At one moment: a thread that was kept waiting between the two would have seen a jump where there is none.
        while True:
            before, wall = self._steady(), self._wall()
            if (self._steady() - before) // 1000 < STEP:
                return wall, before

    def begin_at(self, at: int) -> None:
        """Time goes on from `at` at least, in microseconds.

        Where the machine's clock was set back while nobody ran, this one stays ahead of it by as much: standing still
        until it catches up could take years, and nothing would ever expire or wake.
        """
        with self._lock:
            self._ahead += max(0, at - self._now())

    def jumps(self) -> Sequence[Jump]:
        """How often the machine's clock was set in this process's life. What happened before nobody can tell."""
        return self._jumps

    async def wait(self, until: int) -> None:
        """Returns when `now() >= until`."""
        while (left := until - self.now()) > 0:  # noqa: ASYNC110 - time passes by itself: no event would tell of it
            await asyncio.sleep(min(left / 1_000_000, MOST_SLEEP))


class SystemEntropy:
    """The operating system's random bytes, fetched in portions: a system call for each salt would cost more than it."""

    def __init__(self) -> None:
        self._pool, self._at = b"", 0
        self._lock = threading.Lock()

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes; none is given twice."""
        if count > PORTION:
            return os.urandom(count)
        with self._lock:  # two threads must never be given the same bytes: they become nonces
            if self._at + count > len(self._pool):
                self._pool, self._at = os.urandom(PORTION), 0
            taken = self._pool[self._at : self._at + count]
            self._at += count
        return taken
