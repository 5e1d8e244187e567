"""Governed durable actions, many at once, beside the plain durable steps of DBOS; and the processor time of each.

`python -m benchmarks.actions`. DESIGN section 12, first row. DBOS does nothing but record its step; all three are on
the same file system with synchronous FULL, and take turns in the same run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.contest import Entry, Told, contest, take_rounds, versions
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size

NAME: Final = "actions"
ENTRIES: Final = (
    Entry(name="flyball", module="flyball_steps"),
    Entry(name="dbos sync", module="dbos_steps", arguments=("sync",), peer=True),
    Entry(name="dbos async", module="dbos_steps", arguments=("async",), peer=True),
)


def measure(size: Size, folder: Path) -> list[Row]:
    """Actions or steps per second, processor time of each, and how many times the faster of DBOS's modes that is."""
    asked = {"runs": size.runs, "steps": size.steps}
    with contest(ENTRIES, folder) as those:
        told = take_rounds(those, size.rounds, asked, warm={"runs": size.runs, "steps": 1})
        note = ", ".join(f"{name} {number}" for name, number in versions(those).items())
    rows = [each for name in told for each in _own(name, told[name], size, note)]
    return rows + _ratios(told)


def _own(name: str, rounds: Sequence[Told], size: Size, note: str) -> list[Row]:
    governed = name == "flyball"
    what = f"{name}: {'governed actions' if governed else 'plain steps'}, {size.runs} at once"
    return [
        row(NAME, what, [each["done"] / each["seconds"] for each in rounds], "1/s", note=note),
        row(NAME, f"{name}: processor time of one", [each["cpu"] / each["done"] * 1e6 for each in rounds], "us",
            most=400 if governed else None),
    ]  # fmt: skip


def _ratios(told: Mapping[str, Sequence[Told]]) -> list[Row]:
    """Round by round, so that what else the machine does meets both sides of a ratio."""
    peers = [name for name in told if name != "flyball"]
    if not peers:
        return []
    rates = {name: [each["done"] / each["seconds"] for each in told[name]] for name in told}
    rate = {name: sorted(values)[len(values) // 2] for name, values in rates.items()}
    faster = max(peers, key=lambda name: rate[name])
    ratios = [ours / theirs for ours, theirs in zip(rates["flyball"], rates[faster], strict=True)]
    return [row(NAME, f"flyball : {faster}, actions to steps", ratios, "times", least=6)]


if __name__ == "__main__":
    section(NAME, measure)
