"""One governed action alone, beside one ungoverned step that LangGraph checkpoints: what somebody waits for.

`python -m benchmarks.alone`. DESIGN section 12, second row. One run, its steps one after the other; a governed action
is two durable appends (T1 before the effect, T2 after it), a LangGraph step is its checkpoint and its writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from benchmarks.contest import Entry, contest, take_rounds, versions
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size

NAME: Final = "alone"
ENTRIES: Final = (
    Entry(name="flyball", module="flyball_steps"),
    Entry(name="langgraph sync", module="langgraph_steps", arguments=("sync",), peer=True),
    Entry(name="langgraph async", module="langgraph_steps", arguments=("async",), peer=True),
    Entry(name="dbos sync", module="dbos_steps", arguments=("sync",), peer=True),
)


def measure(size: Size, folder: Path) -> list[Row]:
    """Milliseconds of one action or step, and ours as a multiple of each of LangGraph's."""
    asked = {"runs": 1, "steps": size.alone}
    with contest(ENTRIES, folder) as those:
        told = take_rounds(those, size.rounds, asked, warm=asked)
        note = ", ".join(f"{name} {number}" for name, number in versions(those).items())
    took = {name: [each["seconds"] / each["done"] * 1000 for each in rounds] for name, rounds in told.items()}
    rows = [row(NAME, f"{name}: {_one(name)}", took[name], "ms", note=note) for name in took]
    for name in [name for name in took if name.startswith("langgraph")]:
        ratios = [ours / theirs for ours, theirs in zip(took["flyball"], took[name], strict=True)]
        rows.append(row(NAME, f"flyball : {name}", ratios, "times", most=1.5 if name.endswith(" sync") else None))
    return rows


def _one(name: str) -> str:
    return "one governed action" if name == "flyball" else "one ungoverned step"


if __name__ == "__main__":
    section(NAME, measure)
