"""What people type: an error with a reason and an exit code, and nothing was started, decided or lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doors.desk import Desk, desk_in

DEEP = '{"a":' * 10_000 + "1" + "}" * 10_000


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    return desk_in(tmp_path / "desk", capsys, monkeypatch)


@pytest.mark.parametrize(
    "typed",
    ["five", "5.5", "NaN", "Infinity", "1e999", "null", '{"n": 1, "n": 2}', "[" * 10_000, DEEP, "9" * 5_000, "\ud800",
     "@missing.json", "@bytes"],
)  # fmt: skip
def test_an_input_that_is_none_starts_no_run(desk: Desk, typed: str) -> None:
    (desk.folder / "bytes").write_bytes(b'{"n": "\xff\xfe"}')
    said = desk("run", "handle", typed, "--json")
    assert said.code in (1, 2) and said.data["kind"] == "error" and said.data["why"] and len(said.err) < 20_000
    assert not desk.json("runs").get("runs")


@pytest.mark.parametrize(
    "edits", ["cents=NaN", "cents=five", "cents=1e999", "amount=5", "cents", '{"cents": 1, "cents": 2}']
)
def test_an_edit_that_is_none_leaves_what_waits_as_it_was(desk: Desk, edits: str) -> None:
    desk.people(fay="finance", noor="finance")
    desk("run", "handle", "30")
    asked, before = desk.waiting(), desk.json("approvals")["approvals"]
    said = desk("edit", asked, edits, "--reason", "why not", "--resume", who="noor")
    assert said.code in (1, 2) and "error" in said.err
    assert desk.json("approvals")["approvals"] == before
    assert desk("approve", asked, "--reason", "fine", "--resume", who="fay").code == 0
