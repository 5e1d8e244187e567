"""Cursors in files: whole or not at all, one process at a time, and nothing lost with them but a second sending."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.adapters.cursor_file import CursorFiles
from flyball.core.telemetry import Cursor


@pytest.fixture
def files(tmp_path: Path) -> CursorFiles:
    made = CursorFiles(tmp_path / "desk.telemetry" / "phoenix")
    assert made.take()
    return made


@pytest.mark.parametrize("tenant", ["acme", "a/b", "..", "ümlaut", "t" * 500, "lock"])
def test_what_was_saved_last_is_there(files: CursorFiles, tmp_path: Path, tenant: str) -> None:
    assert files.load(tenant) is None
    files.save(tenant, Cursor(log="ab", next=3))
    files.save(tenant, Cursor(log="ab", next=9))
    assert files.load(tenant) == Cursor(log="ab", next=9) and files.load("other") is None
    assert {p.name for p in (tmp_path / "desk.telemetry").iterdir()} == {"phoenix"}


def test_what_cannot_be_read_is_begun_anew(files: CursorFiles, tmp_path: Path) -> None:
    files.save("acme", Cursor(log="ab", next=3))
    (tmp_path / "desk.telemetry" / "phoenix" / "acme.json").write_text('{"log": 5', "utf-8")
    assert files.load("acme") is None


def test_one_process_exports_at_a_time(files: CursorFiles, tmp_path: Path) -> None:
    other = CursorFiles(tmp_path / "desk.telemetry" / "phoenix")
    assert files.take() and not other.take()
    files.close()
    files.close()
    assert other.take()
