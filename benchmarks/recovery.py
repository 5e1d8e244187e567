"""A process with 1 000 runs in flight is killed with SIGKILL; another one opens the project and goes on.

`python -m benchmarks.recovery`. DESIGN section 12, fourth row. Almost every run is inside an effect when the process is
killed: its intent is durable and its outcome is not, so that the call is made again under the same key. A run has taken
its next step when the outcome of a call made after the restart is durable. DBOS does the same with plain steps, in
turns; it recovers by itself, as it does under the executor id that it had.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.contest import PEERS
from benchmarks.once import killed
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size

NAME: Final = "recovery"
MOST_ROUNDS: Final = 3
Told = dict[str, Any]


def measure(size: Size, folder: Path) -> list[Row]:
    """Seconds until every run has gone on, since the process began and since opening; memory; in fresh projects."""
    ours, theirs = list[Told](), list[Told]()
    for number in range(min(size.rounds, MOST_ROUNDS)):
        ours.append(_once(folder / f"flyball-{number}", "flyball_flight", sys.executable, size.killed))
        if PEERS.exists():
            theirs.append(_once(folder / f"dbos-{number}", "dbos_flight", str(PEERS), size.killed))
    what = f"{size.killed:,} runs after kill -9"
    rows = [
        row(NAME, f"{what}: every run has taken its next step, since the process began", _of(ours, "since"), "s",
            most=1),
        row(NAME, f"{what}: the same, since the project was opened", _of(ours, "all"), "s"),
        row(NAME, f"{what}: open", _of(ours, "open"), "s"),
        row(NAME, f"{what}: processor time of all of it, imports too", _of(ours, "cpu"), "s"),
        row(NAME, f"{what}: memory that they need", _of(ours, "memory"), "MiB"),
    ]  # fmt: skip
    if theirs:
        ratios = [b["since"] / a["since"] for a, b in zip(ours, theirs, strict=True)]
        rows += [
            row(NAME, f"dbos: {what}, since the process began", _of(theirs, "since"), "s"),
            row(NAME, f"dbos: {what}, processor time", _of(theirs, "cpu"), "s"),
            row(NAME, "dbos : flyball, since the process began", ratios, "times"),
        ]
    return rows


def _once(folder: Path, module: str, python: str, count: int) -> Told:
    folder.mkdir()
    killed(module, folder, "begin", count, python=python)
    return killed(module, folder, "resume", count, python=python)


def _of(rounds: Sequence[Told], name: str) -> list[float]:
    return [each[name] for each in rounds]


if __name__ == "__main__":
    section(NAME, measure)
