"""`flyball memory`: what is remembered for whoever asks, and having it forgotten."""

from __future__ import annotations

import pytest

from tests.doors.desk import SCRIPTED, TOML, TOOLS, Desk, desk_in

LEARN = """
from datetime import timedelta

@flow
async def learn(run: Run, text: str) -> str:
    return str(await run.remember(text, about="drinks", ttl=timedelta(days=9)))
"""


@pytest.fixture
def learned(tmp_path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:  # type: ignore[no-untyped-def]
    """A desk that remembers two things for the operating-system user."""
    desk = desk_in(tmp_path / "desk", capsys, monkeypatch, TOML + SCRIPTED)
    (desk.folder / "paydesk.py").write_text(TOOLS + LEARN)
    policy = next((desk.folder / "policies").glob("*.cedar"))
    policy.write_text(policy.read_text() + '@id("r") permit (principal, action == Action::"remember", resource);\n')
    for text in ("Kim likes tea", "Kim hates gin"):
        assert desk("run", "learn", text).code == 0
    return desk


@pytest.mark.promise("api-memory")
def test_memories_are_listed_searched_and_forgotten(learned: Desk) -> None:
    assert {m["text"] for m in learned.json("memory", "list")["memories"]} == {"Kim likes tea", "Kim hates gin"}
    [tea] = learned.json("memory", "search", "likes tea", "--top", "1")["memories"]
    assert (tea["text"], tea["scope"], tea["trusted"]) == ("Kim likes tea", "user", True)
    assert "Kim likes tea" in learned("memory", "search", "tea").out
    out = learned("memory", "forget", tea["id"], "--reason", "no longer").out
    assert f"-/{tea['id']}/0/forgotten" in out
    assert [m["text"] for m in learned.json("memory", "list", "--scope", "user")["memories"]] == ["Kim hates gin"]
    assert "1 memories are in the index" in learned("memory", "rebuild").out
    assert learned("memory", "list", "--scope", "tenant").out.endswith("nothing is remembered\n")


def test_what_is_not_there_cannot_be_forgotten(learned: Desk) -> None:
    gone = learned("memory", "forget", "m-0")
    assert gone.code != 0 and "there is no memory m-0" in gone.err


def test_no_word_of_what_was_forgotten_stays_beside_the_journal(learned: Desk) -> None:
    def holding(word: str) -> list[str]:
        files = [p for p in learned.folder.rglob("*") if p.is_file() and ".memory" in str(p.parent)]
        return [p.name for p in files if word.encode() in p.read_bytes()]

    assert holding("gin")
    [gin] = learned.json("memory", "search", "gin")["memories"]
    learned("memory", "forget", gin["id"])
    assert not holding("gin") and holding("tea")
