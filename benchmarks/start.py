"""Cold start: what a process pays before it does anything. `python -m benchmarks.start`. DESIGN section 12, last row.

Whole processes, interpreter and all, one after the other in turns; a bare interpreter beside them shows how much of
that is Python's. The façade is lazy, so a second import takes the names that a program really uses.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.contest import PEERS
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size

NAME: Final = "start"
VERSION: Final = "flyball --version"
USED: Final = "from flyball import Flyball, Principal, agent, flow, tool"
BOUNDS: Final[Mapping[str, float]] = {"import flyball": 0.3, VERSION: 0.15}


def commands() -> dict[str, Sequence[str]]:
    """What is started, by its name."""
    ours, peers = sys.executable, str(PEERS)
    found: dict[str, Sequence[str]] = {
        "python, nothing imported": (ours, "-c", "pass"),
        "import flyball": (ours, "-c", "import flyball"),
        USED: (ours, "-c", USED),
        VERSION: (str(Path(ours).with_name("flyball")), "--version"),
    }
    if PEERS.exists():
        found["import dbos"] = (peers, "-c", "import dbos")
        found["import langgraph.graph and its SQLite saver"] = (
            peers, "-c", "import langgraph.graph, langgraph.checkpoint.sqlite",
        )  # fmt: skip
    return found


def measure(size: Size, folder: Path) -> list[Row]:
    """Seconds from the start of a process to its end."""
    chosen = commands()
    took: dict[str, list[float]] = {name: [] for name in chosen}
    for number in range(size.starts + 1):
        for name, command in chosen.items():
            began = time.perf_counter()
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
            if number:  # the first one fills the caches of the file system
                took[name].append(time.perf_counter() - began)
    return [row(NAME, name, values, "s", most=BOUNDS.get(name)) for name, values in took.items()]


if __name__ == "__main__":
    section(NAME, measure)
