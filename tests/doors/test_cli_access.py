"""`flyball access`: what was read about whom and what for, as an auditor asks it."""

from __future__ import annotations

import pytest

from tests.doors.desk import SCRIPTED, TOML, TOOLS, Desk, desk_in

SOURCE = """
from flyball import Passage, source

@source(tokens=100)
async def notes(call: Call, wish: str) -> list[Passage]:
    return [Passage("pays late", "crm/7"), Passage("likes tea", "crm/9")]

knower = agent("knower", instructions="Say something.", context=[notes])

@flow
async def advise(run: Run, wish: str) -> str:
    return await run.agent(knower, wish)
"""
KNOWER = """script = "desk"
[[reply]]
agent = "knower"
text = "tea"
"""


@pytest.fixture
def knowing(tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:  # type: ignore[no-untyped-def]
    """A desk with a source, which somebody used for a customer."""
    desk = desk_in(tmp_path / "desk", capsys, monkeypatch, TOML + SCRIPTED)
    (desk.folder / "paydesk.py").write_text(TOOLS + SOURCE)
    (desk.folder / "script.toml").write_text(KNOWER)
    assert desk("run", "advise", "acme", "--subject", "user:bea").code == 0
    return desk


@pytest.mark.promise("api-access")
def test_access_tells_runs_sources_and_purposes(knowing: Desk) -> None:
    (read,) = knowing.json("access", "user:bea")["access"]
    assert (read["source"], read["purpose"], read["through"]) == ("notes", "advise", ["knower"])
    assert read["subject"] == "user:bea" and read["by"].startswith("user:") and read["outcome"] == "executed"
    assert [p["ref"] for p in read["passages"]] == ["crm/7", "crm/9"]
    out = knowing("access", "--source", "notes").out
    assert "advise" in out and "crm/7, crm/9" in out and "pays late" not in out


def test_access_finds_nothing_where_nothing_was_read(knowing: Desk) -> None:
    assert knowing("access", "user:kim").out.endswith("nothing was read\n")
    assert knowing.json("access", "user:bea", "--source", "rules")["access"] == []
    assert knowing("access").code == 2
