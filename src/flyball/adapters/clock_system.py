"""The machine's own clock and entropy."""

from __future__ import annotations

import asyncio
import os
import time

# A wait is cut into pieces, so that a clock that was set forward is noticed.
MOST_SLEEP = 60.0


class SystemClock:
    """Wall-clock microseconds that never go back within this process."""

    def __init__(self) -> None:
        self._last = 0

    def now(self) -> int:
        """Microseconds since 1970, UTC; a clock that was set back stands still until it catches up."""
        self._last = max(self._last, time.time_ns() // 1000)
        return self._last

    async def wait(self, until: int) -> None:
        """Returns when `now() >= until`."""
        while (left := until - self.now()) > 0:
            await asyncio.sleep(min(left / 1_000_000, MOST_SLEEP))


class SystemEntropy:
    """The operating system's random bytes."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        return os.urandom(count)
