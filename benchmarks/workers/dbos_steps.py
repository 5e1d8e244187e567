"""DBOS: plain durable steps, nothing governed. `python -m benchmarks.workers.dbos_steps FOLDER sync|async`.

Its file is in WAL mode before DBOS opens it (DBOS sets no mode, and SQLite's default is slower), the executor has as
many threads as workflows run at once, and there is one connection: SQLite has one writer, and with more connections the
threads wait in turns of SQLite's own back-off (20, the default, was measured 3 to 4 times slower).
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

from dbos import DBOS  # pyright: ignore[reportMissingImports]

from benchmarks.workers.turns import take_turns

MOST = 128
RESULT = {"receipt": "r" * 40, "note": "n" * 160, "cents": 1200}


def plain(number: int) -> dict[str, Any]:
    """One step with a result of about 240 bytes."""
    return {"number": number, **RESULT}


async def plain_async(number: int) -> dict[str, Any]:
    """The same step for the asynchronous interface."""
    return plain(number)


step: Any = DBOS.step()(plain)
step_async: Any = DBOS.step()(plain_async)


def steps_of(steps: int) -> int:
    """A workflow of so many steps."""
    for number in range(steps):
        step(number)
    return steps


async def steps_of_async(steps: int) -> int:
    """The same workflow in the asynchronous interface."""
    for number in range(steps):
        await step_async(number)
    return steps


work: Any = DBOS.workflow()(steps_of)
work_async: Any = DBOS.workflow()(steps_of_async)


def launched(folder: Path) -> None:
    """DBOS over a file in WAL mode."""
    file = folder / "dbos.sqlite"
    made = sqlite3.connect(file)
    made.execute("PRAGMA journal_mode=WAL")
    made.close()
    config = {
        "name": "steps", "system_database_url": f"sqlite:///{file}", "max_executor_threads": MOST,
        "sys_db_pool_size": 1, "log_level": "ERROR", "application_version": "1", "executor_id": "bench",
    }  # fmt: skip
    DBOS(config=config)
    DBOS.launch()


def in_threads(runs: int, steps: int) -> dict[str, int]:
    """One round: so many workflows at once, each in a thread."""
    handles = [DBOS.start_workflow(work, steps) for _ in range(runs)]
    return {"done": sum(handle.get_result() for handle in handles)}


async def in_tasks(runs: int, steps: int) -> dict[str, int]:
    """One round: so many workflows at once, each in a task."""
    handles = await asyncio.gather(*[DBOS.start_workflow_async(work_async, steps) for _ in range(runs)])
    return {"done": sum(await asyncio.gather(*[handle.get_result() for handle in handles]))}


if __name__ == "__main__":
    if sys.argv[2] == "sync":
        launched(Path(sys.argv[1]))
        take_turns(in_threads, "dbos")
    else:
        with asyncio.Runner() as runner:
            runner.get_loop()
            launched(Path(sys.argv[1]))
            take_turns(lambda runs, steps: runner.run(in_tasks(runs, steps)), "dbos")
    DBOS.destroy()
