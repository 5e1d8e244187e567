"""Disks that fail under a real process: an fsync that reports an error, a full file system, a reader in the way."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
WORKER, FULL = HERE / "worker.py", HERE / "full.py"


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that lets every fsync fail once a file is there."""
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no gcc here to compile the shim with")
    made = tmp_path_factory.mktemp("shim") / "fsync_fails.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, HERE / "fsync_fails.c", "-ldl"], check=True)
    return made


def work(where: str, folder: Path, **more: str) -> tuple[int, str]:
    """How a worker ended, and what it said."""
    done = subprocess.run(
        [sys.executable, WORKER, where, folder], env=os.environ | more, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode != -signal.SIGKILL
    return done.returncode, (done.stdout + done.stderr).strip()


def place(folder: Path, how: str) -> Path:
    made = folder / how
    made.mkdir()
    return made


def effects(folder: Path) -> int:
    log = folder / "effects"
    return len(log.read_text().split()) if log.exists() else 0


def failing(shim: Path, folder: Path, where: str) -> tuple[int, str]:
    trigger = str(folder / "trigger")
    return work(where, folder, LD_PRELOAD=str(shim), FSYNC_FAILS=trigger, TRIGGER=trigger)


@pytest.mark.promise("journal-indeterminate-stops")
@pytest.mark.parametrize("how", ["key", "none"])
def test_where_t1_cannot_be_synced_nothing_happens(tmp_path: Path, shim: Path, how: str) -> None:
    folder = place(tmp_path, how)
    ended, said = failing(shim, folder, "before_t1")
    assert ended != 0 and "Input/output error" in said
    assert effects(folder) == 0
    (folder / "trigger").unlink()
    # What the failed commit left is durable or not: either way nobody knows better, and nothing happens twice.
    assert work("never", folder)[1] in ("completed verified", "waiting unknown verified")
    assert effects(folder) <= 1


@pytest.mark.promise("journal-indeterminate-stops")
@pytest.mark.parametrize(("how", "then"), [("key", "completed"), ("none", "waiting unknown")])
def test_where_t2_cannot_be_synced_it_happened_once(tmp_path: Path, shim: Path, how: str, then: str) -> None:
    folder = place(tmp_path, how)
    ended, _ = failing(shim, folder, "after_effect")
    assert ended != 0 and effects(folder) == 1
    (folder / "trigger").unlink()
    told = work("never", folder)[1]
    assert told in (f"{then} verified", "completed verified"), told  # the outcome may have been kept all the same
    assert effects(folder) == 1


@pytest.mark.promise("journal-full-disk-refuses")
@pytest.mark.parametrize("when", ["t1", "t2"])
@pytest.mark.parametrize("how", ["key", "none"])
def test_a_full_file_system_loses_and_doubles_nothing(tmp_path: Path, how: str, when: str) -> None:
    folder = place(tmp_path, how)
    inside = f"mount -t tmpfs -o size=48m tmpfs {folder} && exec {sys.executable} {FULL} {folder} {tmp_path} {when}"
    allowed = subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0
    if not allowed:
        pytest.skip("user namespaces are not permitted here, so that no small file system can be mounted")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", inside], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.split("\n")[:2]
    assert first.startswith("refused"), done.stdout
    unknown = how == "none" and when == "t2"
    assert second in ("completed verified", *(["waiting unknown verified"] if unknown else [])), done.stdout
    assert effects(tmp_path) == 1


@pytest.mark.promise("journal-readers-have-deadlines")
def test_a_reader_that_stays_long_holds_up_nobody_and_its_log_is_folded_in_after_it(tmp_path: Path) -> None:
    folder = place(tmp_path, "key")
    assert work("never", folder) == (0, "completed verified")
    file = next(folder.rglob("*.db"))
    reader = sqlite3.connect(f"file:{file}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    before = reader.execute("SELECT count(*) FROM record").fetchone()
    assert work("never", folder) == (0, "completed verified")
    assert reader.execute("SELECT count(*) FROM record").fetchone() == before
    reader.execute("ROLLBACK")
    reader.close()
    assert work("never", folder) == (0, "completed verified")
    wal = file.with_name(file.name + "-wal")
    assert effects(folder) == 1 and (not wal.exists() or wal.stat().st_size == 0)
