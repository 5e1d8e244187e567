"""Many runs in flight. `python -m benchmarks.workers.flyball_flight FOLDER begin|resume COUNT`.

`begin` starts the runs and says so once every one of them has begun a payment; it waits to be killed. `resume` opens
the same project as a process after the crash does, says when every run has a durable payment that this process made,
and what that took. Payments after that one take a minute, so that nobody's second step is in the way of another's next.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from benchmarks import desk
from benchmarks.workers.turns import cpu_seconds, resident_mib, say

ENDLESS = 100_000


async def begin(folder: Path, count: int) -> None:
    """Starts so many runs and waits."""
    async with desk.opened(folder, desk) as app:
        await asyncio.gather(*[app.start(desk.keep_paying, ENDLESS, by=desk.KIM) for _ in range(count)])
        while len({run for run, _ in desk.Seen.paid}) < count:
            await asyncio.sleep(0.01)
        say({"payments": len(desk.Seen.paid)})
        await asyncio.sleep(60)


async def resume(folder: Path, count: int) -> None:
    """Opens the project and sees its runs go on."""
    desk.Seen.first, desk.Seen.later = 0.0, 60.0
    before, began = resident_mib(), time.monotonic()
    async with desk.opened(folder, desk):
        opened = time.monotonic()
        while len(desk.Seen.durable) < count:
            await asyncio.sleep(0.005)
        told = {
            "all": time.monotonic() - began, "open": opened - began, "memory": resident_mib() - before,
            "cpu": cpu_seconds(),
        }  # fmt: skip
        say(told)
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run((begin if sys.argv[2] == "begin" else resume)(Path(sys.argv[1]), int(sys.argv[3])))
