"""10 000 runs wait for an approval: what they cost while they wait, and what a restart among them takes.

`python -m benchmarks.waiting`. DESIGN section 12, fifth row. Memory is what the process has more than before it parked
them, and, after a restart, more than the same project has with nobody waiting.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

from benchmarks.once import once
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size

NAME: Final = "waiting"
MB: Final = 1.048576
"""Megabytes in a mebibyte: the bound is in megabytes."""


def measure(size: Size, folder: Path) -> list[Row]:
    """Memory in both processes, and how long opening and one approval take."""
    empty, full = folder / "empty", folder / "full"
    once("flyball_parked", empty, "park", 0)
    parked = once("flyball_parked", full, "park", size.waiting)
    pairs = [(_opened(empty), _opened(full)) for _ in range(min(size.rounds, 3))]
    what = f"{size.waiting:,} waiting runs"
    return [
        row(NAME, f"{what}: parked per second", [size.waiting / parked["seconds"]], "1/s"),
        row(NAME, f"{what}: more memory where they were parked", [parked["memory"] * MB], "MB", most=20),
        row(NAME, "and what the first ones took of memory, once", [parked["once"] * MB], "MB"),
        row(NAME, f"{what}: more memory after a restart", [(b["resident"] - a["resident"]) * MB for a, b in pairs],
            "MB", most=20),
        row(NAME, f"{what}: restart, from the start of the process to an open project", [b["open"] for _, b in pairs],
            "s", most=1),
        row(NAME, f"{what}: processor time of that", [b["cpu"] for _, b in pairs], "s"),
        row(NAME, "nobody waiting: the restart", [a["open"] for a, _ in pairs], "s"),
        row(NAME, f"{what}: from an approval to the end of its run, after a restart",
            [b["approved"] * 1000 for _, b in pairs], "ms"),
    ]  # fmt: skip


def _opened(folder: Path) -> dict[str, Any]:
    began = time.monotonic()  # the same clock in every process of one machine
    told = once("flyball_parked", folder, "open", 0)
    return told | {"open": told["open"] - began}


if __name__ == "__main__":
    section(NAME, measure)
