"""What a section hands back, and how it is shown: one row for each figure, a table for people, JSON for machines."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.table import Table

OURS: Final = ("flyball", "cedarpy", "cryptography", "msgspec", "orjson")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure: the median of its rounds, the least and greatest of them, and what it ought to be where that is set.

    `most` and `least` are bounds that the median has to keep; None where the row is shown and not judged.
    """

    section: str
    what: str
    value: float
    unit: str
    low: float
    high: float
    rounds: int
    most: float | None = None
    least: float | None = None
    note: str = ""

    @property
    def reached(self) -> bool | None:
        """Is the bound kept; None where there is none."""
        if self.most is None and self.least is None:
            return None
        return (self.most is None or self.value <= self.most) and (self.least is None or self.value >= self.least)

    @property
    def bound(self) -> str:
        """The bound as people read it."""
        sides = [f"<= {_figure(self.most)}"] if self.most is not None else []
        return " ".join([*sides, *([f">= {_figure(self.least)}"] if self.least is not None else [])])


def row(
    section: str, what: str, values: Sequence[float], unit: str, *, most: float | None = None,
    least: float | None = None, note: str = "",
) -> Row:  # fmt: skip
    """A row of the values of its rounds."""
    return Row(
        section=section, what=what, value=statistics.median(values), unit=unit, low=min(values), high=max(values),
        rounds=len(values), most=most, least=least, note=note,
    )  # fmt: skip


def unjudged(rows: Iterable[Row]) -> list[Row]:
    """The same rows without bounds: those were set for the full sizes."""
    return [replace(each, most=None, least=None) for each in rows]


def machine(folder: Path) -> dict[str, Any]:
    """What the figures depend on: cores, versions, and the file system that `folder` is on."""
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(folder),
        "load_before": [round(each, 1) for each in os.getloadavg()],
        "versions": {
            "python": platform.python_version(), "sqlite": sqlite3.sqlite_version,
            **{name: version(name) for name in OURS},
        },
    }  # fmt: skip


def show(rows: Sequence[Row], about: Mapping[str, Any], console: Console | None = None) -> None:
    """Prints the table; where a bound is not kept it says so."""
    out = console or Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title="flyball benchmarks", caption=_caption(about), caption_justify="left")
    table.add_column("section")
    table.add_column("what", overflow="fold")
    for name in ("median", "least", "greatest"):
        table.add_column(name, justify="right")
    table.add_column("unit")
    table.add_column("rounds", justify="right")
    table.add_column("bound")
    table.add_column("")
    before = ""
    for each in rows:
        if before and each.section != before:
            table.add_section()
        said = {None: "", True: "reached", False: "not reached"}[each.reached]
        name = each.section if each.section != before else ""
        figures = [_figure(value) for value in (each.value, each.low, each.high)]
        table.add_row(name, each.what, *figures, each.unit, str(each.rounds), each.bound, said)
        before = each.section
    out.print(table)
    for note in dict.fromkeys(f"{each.section}: {each.note}" for each in rows if each.note):
        out.print(note, highlight=False, markup=False, soft_wrap=True)


def write(rows: Sequence[Row], about: Mapping[str, Any], path: Path) -> None:
    """Writes everything as JSON."""
    told = {"machine": dict(about), "rows": [{**asdict(each), "reached": each.reached} for each in rows]}
    path.write_text(json.dumps(told, indent=2) + "\n", "utf-8")


def markdown(rows: Sequence[Row], about: Mapping[str, Any]) -> str:
    """The table as documentation shows it."""
    lines = [_caption(about) + ".", "", "| section | what | median | least | greatest | unit | rounds | bound | |"]
    lines.append("|---|---|--:|--:|--:|---|--:|---|---|")
    for each in rows:
        said = {None: "", True: "reached", False: "**not reached**"}[each.reached]
        figures = [_figure(value) for value in (each.value, each.low, each.high)]
        cells = [each.section, each.what, *figures, each.unit, str(each.rounds), each.bound, said]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _caption(about: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    where = ", ".join(str(about[name]) for name in ("processor", "system", "file_system"))
    return f"{about['cores']} cores, load {about['load_before'][0]} at the beginning, {where}; {versions}"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _file_system(folder: Path) -> str:
    place, kind = folder.resolve(), "unknown file system"
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    except OSError:
        return kind
    held = [(len(point), type_) for _, point, type_, *_ in mounts if place.is_relative_to(point)]
    return max(held)[1] if held else kind
