"""What doctor is told about SQLite and a journal file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from flyball.adapters.clock_system import SystemEntropy
from flyball.adapters.journal_sqlite.journal import SqliteJournal
from flyball.adapters.journal_sqlite.library import health, known_bugs, library
from flyball.core.errors import FlyballError


@pytest.fixture
async def journal(tmp_path: Path) -> Path:
    path = tmp_path / "j.db"
    await SqliteJournal.open(path, entropy=SystemEntropy()).close()
    return path


@pytest.mark.promise("journal-library-bugs-are-told")
def test_the_linked_version_is_told() -> None:
    assert library()["version"] == sqlite3.sqlite_version


@pytest.mark.promise("journal-library-bugs-are-told")
@pytest.mark.parametrize(
    ("version", "bugs"),
    [
        ((3, 51, 2), 1),
        ((3, 51, 3), 0),
        ((3, 50, 7), 0),
        ((3, 50, 6), 1),
        ((3, 44, 6), 0),
        ((3, 6, 23), 0),
        ((3, 52, 0), 0),
    ],
)
def test_a_version_has_the_bugs_that_were_not_mended_in_it(version: tuple[int, ...], bugs: int) -> None:
    assert len(known_bugs(version)) == bugs


def test_a_sound_journal_is_told_so(journal: Path, tmp_path: Path) -> None:
    told = health(journal, tmp_path / "no-mounts")
    assert (
        told["sound"]
        and told["mode"] == "wal"
        and not told["exposed"]
        and told["network"] is None
        and told["bytes"] > 0
    )


def test_a_journal_that_others_can_read_or_on_a_network_is_told(journal: Path, tmp_path: Path) -> None:
    journal.chmod(0o644)
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path} nfs4 rw 0 0\n")
    told = health(journal, tmp_path / "mounts")
    assert told["exposed"] and told["network"] == "nfs4"


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database at all" * 100)
    with pytest.raises(FlyballError) as refused:
        health(tmp_path / "x.db")
    assert refused.value.code == "not_a_journal"


def test_a_journal_that_cannot_be_looked_through_is_damaged(journal: Path, tmp_path: Path) -> None:
    data = bytearray(journal.read_bytes())
    data[4096:12288] = b"\xff" * 8192
    journal.write_bytes(data)
    with pytest.raises(FlyballError) as refused:
        health(journal, tmp_path / "no-mounts")
    assert refused.value.code == "journal_corrupt"
