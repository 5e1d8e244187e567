"""Runs that wait for an approval. `python -m benchmarks.workers.flyball_parked FOLDER park|open COUNT`.

`park` has so many runs wait and says what they took in this process. `open` opens the project as the next process
does, approves one of them, where there is one, and says what that took.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from pathlib import Path

from benchmarks import desk
from benchmarks.workers.turns import cpu_seconds, resident_mib, say
from flyball import Completed, Flyball, Waiting

AT_ONCE = 250
# So many park first, for what a process needs once: caches, connections, the allocator's own stock.
WARMING = 1_000


async def park(folder: Path, count: int) -> dict[str, float]:
    """Seconds until so many runs wait, and the memory they take after some others took what a process needs once."""
    async with desk.opened(folder, desk) as app:
        await app.runs.ready(desk.KIM.tenant)
        cold = resident_mib()
        await _parked(app, min(count, WARMING))
        gc.collect()
        before, began = resident_mib(), time.monotonic()
        await _parked(app, count)
        took = time.monotonic() - began
        gc.collect()
        return {"seconds": took, "memory": resident_mib() - before, "once": before - cold}


async def _parked(app: Flyball, count: int) -> None:
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(count, start + AT_ONCE))
        told = await asyncio.gather(*[app.run(desk.ask_first, number, by=desk.KIM) for number in numbers])
        if not all(isinstance(each, Waiting) for each in told):
            raise RuntimeError(f"a run does not wait: {told[:3]}")


async def resume(folder: Path, _: int) -> dict[str, float]:
    """When the project was open, its memory then, and the time from an approval to the end of its run."""
    async with desk.opened(folder, desk) as app:
        told = {"open": time.monotonic(), "resident": resident_mib(), "cpu": cpu_seconds()}
        waiting = app.runs.list(state="waiting")[:1]
        for each in waiting:
            began = time.monotonic()
            await app.approvals.approve(app.approvals.list(run=each.id)[0], by=desk.FAY)
            if not isinstance(await app.runs.result(each.id), Completed):
                raise RuntimeError(f"run {each.id} did not complete")
            told["approved"] = time.monotonic() - began
        return told


if __name__ == "__main__":
    work = park if sys.argv[2] == "park" else resume
    say(asyncio.run(work(Path(sys.argv[1]), int(sys.argv[3]))))
