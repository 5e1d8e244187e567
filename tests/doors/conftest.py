"""A project of its own for every test of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doors.desk import Desk, desk_in


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    """The project, as somebody finds it: nothing has run."""
    return desk_in(tmp_path / "desk", capsys, monkeypatch)
