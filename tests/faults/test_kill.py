"""SIGKILL of a real process over a database on disk; effects are counted here, by another process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("worker.py")


def work(folder: Path, how: str, where: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(WORKER), str(folder), how, where], capture_output=True, text=True, timeout=60, check=False
    )


def effects(folder: Path) -> int:
    log = folder / "effects"
    return len(log.read_text().split()) if log.exists() else 0


@pytest.mark.parametrize("where", ["before_t1", "before_effect", "after_effect"])
@pytest.mark.parametrize("how", ["key", "probe"])
def test_a_killed_call_happens_exactly_once_where_the_remote_can_be_asked(tmp_path: Path, how: str, where: str) -> None:
    assert work(tmp_path, how, where).returncode == -signal.SIGKILL
    again = work(tmp_path, how, where)
    assert again.stdout.strip() == "completed verified", again.stderr
    assert effects(tmp_path) == 1


def test_a_call_killed_before_t1_is_simply_made(tmp_path: Path) -> None:
    assert work(tmp_path, "none", "before_t1").returncode == -signal.SIGKILL
    assert work(tmp_path, "none", "before_t1").stdout.strip() == "completed verified"
    assert effects(tmp_path) == 1


@pytest.mark.parametrize(("where", "count"), [("before_effect", 0), ("after_effect", 1)])
def test_without_key_or_probe_a_killed_call_is_never_repeated_and_a_person_is_asked(
    tmp_path: Path, where: str, count: int
) -> None:
    assert work(tmp_path, "none", where).returncode == -signal.SIGKILL
    for _ in range(2):
        assert work(tmp_path, "none", where).stdout.strip() == "waiting unknown verified"
    assert effects(tmp_path) == count


def test_a_finished_run_is_told_from_the_log_and_does_nothing_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert work(tmp_path, "key", "never").stdout.strip() == "completed verified"
    assert effects(tmp_path) == 1
