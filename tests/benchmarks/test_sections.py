"""Each section runs, at a size that measures nothing, and gives its rows. No time is asserted anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.growth import straight
from benchmarks.report import machine, markdown, row, show, unjudged, write
from benchmarks.section import Measure
from benchmarks.sections import SECTIONS
from benchmarks.sizes import TINY

OURS = {
    "actions": "flyball: governed actions, 2 at once",
    "alone": "flyball: one governed action",
    "policy": "one tool: one decision under 4 policies, p99",
    "guards": "the pack on 2 kB, clean",
    "context": "compiled, for each 2 kB: 2 kB",
    "memory": "found: words of few of 50 memories",
    "recovery": "3 runs after kill -9: every run has taken its next step, since the process began",
    "waiting": "3 waiting runs: from an approval to the end of its run, after a restart",
    "verification": "one leaf in the export, with its part of the tree",
    "start": "import flyball",
    "growth": "flyball: what a call adds, last : first",
    "tenants": "3 tenants at once: opened, and one flow run in each",
    "telemetry": "one record, folded, encoded and sent: processor time",
}


@pytest.mark.parametrize(("name", "measure"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_a_section_gives_its_rows(name: str, measure: Measure, tmp_path: Path) -> None:
    rows = measure(TINY, tmp_path)
    assert OURS[name] in [each.what for each in rows]
    assert all(each.section == name and each.low <= each.value <= each.high for each in rows)


def test_a_row_is_the_median_of_its_rounds_and_keeps_its_bound_or_not() -> None:
    made = row("s", "w", [9.0, 1.0, 2.0], "ms", most=2)
    assert (made.value, made.low, made.high, made.rounds) == (2.0, 1.0, 9.0, 3)
    assert [row("s", "w", [x], "ms", most=2).reached for x in (2.0, 2.1)] == [True, False]
    assert [row("s", "w", [x], "ms", least=2).reached for x in (2.0, 1.9)] == [True, False]
    assert [each.reached for each in unjudged([made])] == [None]


def test_the_table_says_what_was_not_reached(tmp_path: Path) -> None:
    console = Console(record=True, width=160)
    show([row("s", "slow", [3.0], "ms", most=2, note="why")], machine(tmp_path), console)
    text = console.export_text()
    assert "not reached" in text and "<= 2.00" in text and "s: why" in text and "cores" in text


def test_the_markdown_has_a_line_for_each_row(tmp_path: Path) -> None:
    text = markdown([row("s", "slow", [3.0], "ms", most=2)], machine(tmp_path))
    assert "| s | slow | 3.00 | 3.00 | 3.00 | ms | 1 | <= 2.00 | **not reached** |" in text


def test_the_json_holds_machine_and_rows(tmp_path: Path) -> None:
    write([row("s", "w", [1.0], "ms", most=2)], machine(tmp_path), tmp_path / "b.json")
    told = json.loads((tmp_path / "b.json").read_text())
    assert told["machine"]["cores"] and told["machine"]["versions"]["sqlite"]
    assert told["rows"][0]["reached"] is True and told["rows"][0]["value"] == 1.0


def test_a_straight_line_explains_linear_growth_and_not_quadratic() -> None:
    calls = [20, 40, 60, 80, 100]
    assert straight(calls, [7 * c for c in calls]) == pytest.approx(1.0)
    assert straight(calls, [c * c for c in calls]) < 0.98
