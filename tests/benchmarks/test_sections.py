"""Each section runs, at a size that measures nothing, and gives its rows. No time is asserted anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.report import machine, row, show, unjudged, write
from benchmarks.section import Measure
from benchmarks.sections import SECTIONS
from benchmarks.sizes import TINY

OURS = {
    "actions": {"flyball: governed actions, 2 at once", "flyball: processor time of one"},
    "alone": {"flyball: one governed action"},
}


@pytest.mark.parametrize(("name", "measure"), SECTIONS, ids=[name for name, _ in SECTIONS])
def test_a_section_gives_its_rows(name: str, measure: Measure, tmp_path: Path) -> None:
    rows = measure(TINY, tmp_path)
    assert OURS[name] <= {each.what for each in rows}
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


def test_the_json_holds_machine_and_rows(tmp_path: Path) -> None:
    write([row("s", "w", [1.0], "ms", most=2)], machine(tmp_path), tmp_path / "b.json")
    told = json.loads((tmp_path / "b.json").read_text())
    assert told["machine"]["cores"] and told["machine"]["versions"]["sqlite"]
    assert told["rows"][0]["reached"] is True and told["rows"][0]["value"] == 1.0
