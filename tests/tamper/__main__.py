"""`python -m tests.tamper`: the whole tamper matrix, printed as a table. Ends with 1 where anything passes silently.

`--part N` takes every N-th edit and byte; `--seed S` makes other edits; `--jobs J` processes share the work.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.tamper.lines import Share, done, together
from tests.tamper.world import made


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.tamper", description="The tamper matrix.")
    parser.add_argument("--part", type=int, default=1, help="every N-th edit and byte only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    began, total, silent = time.monotonic(), 0, 0
    print(f"{'tamper matrix':<42}{'cases':>8}{'refused':>9}{'found':>8}{'stated':>8}{'silent':>8}", flush=True)
    spawned = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(given.jobs, mp_context=spawned) as pool:
        world = made(Path(folder) / "world").folder
        shares = [Share(given.part, given.seed, own, given.jobs) for own in range(given.jobs)]
        asked = [pool.submit(done, str(world), f"{folder}/{share.own}", share) for share in shares]
        for line in map(together, zip(*(one.result() for one in asked), strict=True)):
            total, silent = total + line.cases, silent + len(line.silent)
            counts = f"{line.cases:>8}{line.refused:>9}{line.found:>8}{line.stated:>8}{len(line.silent):>8}"
            print(f"{line.what:<42}{counts}")
            for name in line.silent[:20]:
                print(f"    passes silently: {name}")
    print(f"{total} cases, {silent} silent, seed {given.seed}, {time.monotonic() - began:.0f} s")
    return 1 if silent else 0


if __name__ == "__main__":
    sys.exit(main())
