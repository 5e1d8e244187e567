"""DBOS with many workflows in flight. `python -m benchmarks.workers.dbos_flight FOLDER begin|resume COUNT`.

As `flyball_flight`: `begin` says so once every workflow has begun a step, and waits to be killed; `resume` launches
under the same executor id and version, so that DBOS recovers by itself, and says when every workflow has a durable step
that this process made. The file is in WAL mode. The asynchronous interface: a thread for each would cost more.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from dbos import DBOS  # pyright: ignore[reportMissingImports]

from benchmarks.workers.dbos_steps import RESULT, launched
from benchmarks.workers.turns import cpu_seconds, say

FIRST, LATER = 0.05, 60.0
PAID: set[tuple[str, int]] = set()
DURABLE: set[str] = set()


async def paid(run: str, number: int, pause: float) -> dict[str, Any]:
    """A step that takes a moment, with a result of about 240 bytes."""
    PAID.add((run, number))
    await asyncio.sleep(pause)
    return {"number": number, **RESULT}


pay: Any = DBOS.step()(paid)


async def paying(run: str, steps: int) -> int:
    """So many steps; notes when one that this process made is durable. After it, steps take a minute when resumed."""
    for number in range(steps):
        resumed = sys.argv[2] == "resume"
        later = LATER if run in DURABLE else 0.0
        await pay(run, number, later if resumed else FIRST)
        if (run, number) in PAID:
            DURABLE.add(run)
    return steps


work: Any = DBOS.workflow()(paying)


async def begin(folder: Path, count: int) -> None:
    """Starts so many workflows and waits."""
    launched(folder)
    await asyncio.gather(*[DBOS.start_workflow_async(work, str(number), 100_000) for number in range(count)])
    while len({run for run, _ in PAID}) < count:
        await asyncio.sleep(0.01)
    say({"payments": len(PAID)})
    await asyncio.sleep(60)


async def resume(folder: Path, count: int) -> None:
    """Launches, and sees the workflows go on."""
    began = time.monotonic()
    launched(folder)
    opened = time.monotonic()
    while len(DURABLE) < count:
        await asyncio.sleep(0.005)
    say({"all": time.monotonic() - began, "open": opened - began, "cpu": cpu_seconds()})
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run((begin if sys.argv[2] == "begin" else resume)(Path(sys.argv[1]), int(sys.argv[3])))
