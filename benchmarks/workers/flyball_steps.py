"""Flyball: governed actions on the full path, SQLite FULL. `python -m benchmarks.workers.flyball_steps FOLDER`.

Every step is validated, decided by policy, reserved at tenant and run, intended (T1), carried out under its key and
concluded (T2); leaves are chained and payloads encrypted.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from benchmarks import desk
from benchmarks.workers.turns import take_turns
from flyball import Completed, Flyball


async def concurrently(app: Flyball, runs: int, steps: int) -> dict[str, int]:
    """One round: so many runs at once; raises where one of them did not complete."""
    results = await asyncio.gather(*[app.run(desk.pay_all, steps, by=desk.KIM) for _ in range(runs)])
    done = [result.value for result in results if isinstance(result, Completed)]
    if len(done) != runs:
        raise RuntimeError(f"{runs - len(done)} runs did not complete: {results[:3]}")
    return {"done": sum(done)}


def main(folder: Path) -> None:
    """Takes turns until there are no more."""
    with asyncio.Runner() as runner:
        app = runner.run(desk.opened(folder, desk).__aenter__())
        take_turns(lambda runs, steps: runner.run(concurrently(app, runs, steps)), "flyball")
        runner.run(app.__aexit__(None, None, None))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
