"""A process with 1 000 runs in flight is killed with SIGKILL; another one opens the project and goes on.

`python -m benchmarks.recovery`. DESIGN section 12, fourth row. Almost every run is inside an effect when the process is
killed: its intent is durable and its outcome is not, so that the call is made again under the same key. A run has taken
its next step when the outcome of a call made after the restart is durable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.once import killed
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size

NAME: Final = "recovery"


def measure(size: Size, folder: Path) -> list[Row]:
    """Seconds until every run has gone on, since the process began and since opening; memory; in fresh projects."""
    rounds = [_once(folder / str(number), size.killed) for number in range(min(size.rounds, 3))]
    what = f"{size.killed:,} runs after kill -9"
    return [
        row(NAME, f"{what}: every run has taken its next step, since the process began", _of(rounds, "since"), "s",
            most=1),
        row(NAME, f"{what}: the same, since the project was opened", _of(rounds, "all"), "s"),
        row(NAME, f"{what}: open", _of(rounds, "open"), "s"),
        row(NAME, f"{what}: memory that they need", _of(rounds, "memory"), "MiB"),
    ]  # fmt: skip


def _once(folder: Path, count: int) -> dict[str, float]:
    killed("flyball_flight", folder, "begin", count)
    return killed("flyball_flight", folder, "resume", count)


def _of(rounds: list[dict[str, float]], name: str) -> list[float]:
    return [each[name] for each in rounds]


if __name__ == "__main__":
    section(NAME, measure)
