"""SIGKILL of a real process over a database on disk; effects are counted here, by another process."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

WORKER = Path(__file__).with_name("worker.py")
PLACES = ("before_t1", "before_effect", "after_effect")


async def work(where: str, *folders: Path) -> tuple[int, list[str]]:
    """How a worker ended, and what it said of each folder."""
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(sys.executable, WORKER, where, *folders, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(60):
        out, err = await worker.communicate()
    assert worker.returncode in (0, -signal.SIGKILL), err.decode()
    return worker.returncode, out.decode().splitlines()


async def killed(folder: Path, how: str) -> list[Path]:
    """A run of its own for each place to die at, killed there."""
    folders = [folder / where / how for where in PLACES]
    for each in folders:
        each.mkdir(parents=True)
    died = await asyncio.gather(*[work(where, each) for where, each in zip(PLACES, folders, strict=True)])
    assert died == [(-signal.SIGKILL, [])] * 3
    return folders


def effects(folder: Path) -> int:
    log = folder / "effects"
    return len(log.read_text().split()) if log.exists() else 0


@pytest.mark.promise("journal-recovery-calls-or-asks")
@pytest.mark.parametrize("how", ["key", "probe"])
async def test_a_killed_call_happens_exactly_once_where_the_remote_can_be_asked(tmp_path: Path, how: str) -> None:
    folders = await killed(tmp_path, how)
    assert [effects(each) for each in folders] == [0, 0, 1]
    assert await work("never", *folders) == (0, ["completed verified"] * 3)
    assert [effects(each) for each in folders] == [1, 1, 1]


@pytest.mark.promise("journal-nothing-unknown-is-retried")
async def test_without_key_or_probe_a_killed_call_is_never_repeated_and_a_person_is_asked(tmp_path: Path) -> None:
    folders = await killed(tmp_path, "none")
    for _ in range(2):
        said = ["completed verified", "waiting unknown verified", "waiting unknown verified"]
        assert await work("never", *folders) == (0, said)
    assert [effects(each) for each in folders] == [1, 0, 1]


@pytest.mark.promise("journal-finished-runs-do-nothing")
async def test_a_finished_run_is_told_from_the_log_and_does_nothing_again(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    for _ in range(2):
        assert await work("never", tmp_path / "key") == (0, ["completed verified"])
    assert effects(tmp_path / "key") == 1
