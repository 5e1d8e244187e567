"""Runs the worker's one call on a small file system that is filled up on the way, then again with room.

full.py FOLDER OUTSIDE WHEN    WHEN: t1 or t2; what the remote did is written to the folder OUTSIDE
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

FOLDER, OUTSIDE, WHEN = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
sys.argv = ["worker.py", "never"]
sys.path.insert(0, str(Path(__file__).parent))

import worker  # noqa: E402 - it reads its arguments when it is imported

from flyball import FlyballError  # noqa: E402

BALLAST = FOLDER / "ballast"


def fill() -> None:
    """Leaves nothing on the file system, not even what is kept for outcomes."""
    with BALLAST.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(os.urandom(4096))
        except OSError:
            return


def at(where: str) -> None:
    moment = {"t1": "before_t1", "t2": "after_effect"}[WHEN]
    if where == moment and not BALLAST.exists() and not (OUTSIDE / "filled").exists():
        (OUTSIDE / "filled").touch()
        fill()


async def main() -> None:
    worker.die = at
    try:
        print(await worker.go(FOLDER, OUTSIDE), flush=True)
    except FlyballError as bad:
        print(f"refused {bad.code}", flush=True)
    BALLAST.unlink(missing_ok=True)
    print(await worker.go(FOLDER, OUTSIDE), flush=True)


asyncio.run(main())
