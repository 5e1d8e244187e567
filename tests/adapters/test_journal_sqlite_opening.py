"""Opening a file that is new, older, newer, foreign, damaged, read-only, or somebody else's: a clear error each."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flyball.adapters.journal_sqlite import opening
from flyball.adapters.journal_sqlite.journal import open_reader
from flyball.adapters.journal_sqlite.opening import Migration, migrations, network_type, open_writer, prepare
from flyball.core.errors import FlyballError
from tests.adapters.journal_appends import numbered, open_journal, with_this_path

NOBODY = 65534
OWN = """
import sys, time
from pathlib import Path
from tests.adapters.journal_appends import open_journal
journal = open_journal(Path(sys.argv[1]))
print("ready", flush=True)
time.sleep(60)
"""
FORK = """
import os
if os.fork() == 0:
    print(os.getpid(), flush=True)
"""
OWN_AND_FORK = OWN.replace("time.sleep(60)", FORK + "time.sleep(60)")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def written(path: Path, count: int = 1) -> None:
    async def write() -> None:
        journal = open_journal(path)
        for number in range(count):
            await journal.append(numbered(number))
        await journal.close()

    asyncio.run(write())


def refused(path: Path) -> FlyballError:
    with pytest.raises(FlyballError) as caught:
        open_journal(path)
    error = caught.value
    assert str(path) in error.what and error.fix
    return error


@contextmanager
def owner(path: Path, script: str = OWN) -> Generator[subprocess.Popen[str], None, None]:
    """A process that owns the journal; killed at the end."""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True, env=with_this_path()
    ) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


# a sound file ---------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-wal-and-full")
def test_a_new_file_is_only_for_its_user_and_in_wal_mode(path: Path) -> None:
    written(path)
    with sqlite3.connect(path) as file:
        mode = file.execute("PRAGMA journal_mode").fetchone()[0]
    file.close()
    assert (path.stat().st_mode & 0o777, mode) == (0o600, "wal")
    assert path.with_name("journal.db.lock").stat().st_mode & 0o777 == 0o600


@pytest.mark.promise("journal-wal-and-full")
@pytest.mark.parametrize(("asked", "value"), [("full", 2), ("normal", 1)])
def test_the_writer_is_as_durable_as_asked(path: Path, asked: opening.Synchronous, value: int) -> None:
    prepare(path)
    connection = open_writer(path, asked, migrations())
    found = connection.execute("PRAGMA synchronous").fetchone()[0]
    connection.close()
    assert found == value


@pytest.mark.promise("journal-fullfsync-on-macs")
def test_a_mac_writes_through_its_disks_own_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.sys, "platform", "darwin")
    prepare(path)
    connection = open_writer(path, "full", migrations())
    found = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("fullfsync", "checkpoint_fullfsync")]
    connection.close()
    assert found == [(1,), (1,)]


@pytest.mark.promise("journal-wal-and-full")
def test_a_pragma_that_does_not_hold_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(opening._SYNCHRONOUS, "full", 7)
    assert refused(path).code == "journal_unsafe"


def test_closing_folds_everything_into_the_file(path: Path) -> None:
    written(path)
    assert sorted(file.name for file in path.parent.iterdir()) == ["journal.db", "journal.db.lock"]


# migrations -----------------------------------------------------------------------------------------------------------
SECOND = Migration(2, "more", "CREATE TABLE more (id TEXT); INSERT INTO more SELECT tenant FROM log;")


@pytest.mark.promise("journal-migrations")
def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(path: Path) -> None:
    written(path)
    connection = open_writer(path, "full", [*migrations(), SECOND])
    found = connection.execute("SELECT id FROM more").fetchall(), connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    assert found == ([("acme",)], (2,))
    assert refused(path).code == "journal_newer"


@pytest.mark.promise("journal-migrations")
def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    written(path)
    with pytest.raises(FlyballError) as caught:
        open_writer(path, "full", [*migrations(), SECOND._replace(script="CREATE TABLE more (id TEXT); nonsense;")])
    assert caught.value.code == "migration_failed"
    written(path, 2)


def test_a_reader_does_not_bring_an_older_file_up_to_date(path: Path) -> None:
    written(path)
    with pytest.raises(FlyballError) as caught:
        opening.open_readonly(path, [*migrations(), SECOND])
    assert caught.value.code == "journal_older"


@pytest.mark.parametrize(
    ("name", "text"), [("0001_a.sql", "CREATE TABLE a (b);"), ("0002_a.sql", "-- second\nCREATE TABLE a (b);")]
)
def test_migrations_are_described_and_numbered_without_a_gap(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(FlyballError) as caught:
        migrations(tmp_path)
    assert caught.value.code == "bad_migration"


def test_every_migration_says_what_it_does() -> None:
    assert all(step.description and step.script for step in migrations())


# files that are not fit -----------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-unfit-files-are-refused")
def test_a_newer_file_is_left_alone(path: Path) -> None:
    written(path)
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    error = refused(path)
    assert (error.code, error.data) == ("journal_newer", {"version": 99, "known": len(migrations())})
    with pytest.raises(FlyballError, match="newer"):
        open_reader(path)


def test_text_is_no_journal(path: Path) -> None:
    path.write_text("dear diary, " * 1000)
    assert refused(path).code == "not_a_journal"
    assert path.read_text().startswith("dear diary")


@pytest.mark.promise("journal-unfit-files-are-refused")
def test_another_programs_database_is_no_journal(path: Path) -> None:
    with sqlite3.connect(path) as file:
        file.execute("CREATE TABLE customers (id)")
    file.close()
    assert refused(path).code == "not_a_journal"


@pytest.mark.promise("journal-unfit-files-are-refused")
def test_a_damaged_file_is_refused(path: Path) -> None:
    written(path, 300)
    data = bytearray(path.read_bytes())
    data[4096 * 3 : 4096 * 12] = os.urandom(4096 * 9)
    path.write_bytes(data)
    assert refused(path).code == "journal_corrupt"


def test_a_reader_of_a_damaged_file_says_so(path: Path) -> None:
    written(path, 300)
    data = bytearray(path.read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(FlyballError) as refused:
        open_reader(path)
    assert (refused.value.code, str(path) in refused.value.what) == ("journal_corrupt", True)


@pytest.mark.promise("journal-unfit-files-are-refused")
def test_a_file_that_was_cut_short_is_refused(path: Path) -> None:
    written(path, 300)
    os.truncate(path, path.stat().st_size // 2)
    assert refused(path).code == "journal_corrupt"


def test_a_log_that_is_not_as_long_as_it_says_is_refused(path: Path) -> None:
    written(path, 3)
    with sqlite3.connect(path) as file:
        file.execute("DELETE FROM record WHERE path = '2'")
    file.close()
    assert refused(path).code == "journal_corrupt"


@pytest.fixture
def guarded() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.promise("journal-unfit-files-are-refused")
@pytest.mark.parametrize("protected", ["folder", "file"])
def test_a_place_that_may_not_be_written_is_refused(guarded: Path, protected: str) -> None:
    path = guarded / "journal.db"
    written(path)
    guarded.chmod(0o555 if protected == "folder" else 0o777)
    path.chmod(0o444)
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        error = refused(path)
    finally:
        os.seteuid(was)
    assert error.code == "journal_read_only"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert refused(tmp_path / "file" / "journal.db").code == "journal_read_only"


@pytest.mark.promise("journal-no-network-disks")
def test_a_network_file_system_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "mounts").write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(opening, "MOUNTS", tmp_path / "mounts")
    assert refused(path).code == "journal_on_network"
    assert not path.exists()


@pytest.mark.promise("journal-no-network-disks")
def test_the_nearest_mount_says_what_kind_of_disk_it_is() -> None:
    mounts = "\n/dev/a / ext4 rw\nhost:/b /home\\040of nfs rw\n/dev/c /home\\040of/anna ext4 rw"
    assert network_type(Path("/home of/kim/j.db"), mounts) == "nfs"
    assert network_type(Path("/home of/anna/j.db"), mounts) is None
    assert network_type(Path("/var/j.db"), mounts) is None


# owners and readers ---------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-one-owner")
def test_a_second_process_is_told_who_owns_the_file(path: Path) -> None:
    with owner(path) as process:
        error = refused(path)
    assert (error.code, error.data["pid"]) == ("journal_owned", str(process.pid))
    assert str(process.pid) in str(error)


def test_a_second_journal_in_one_process_is_refused_too(path: Path) -> None:
    journal = open_journal(path)
    assert refused(path).data["pid"] == str(os.getpid())
    asyncio.run(journal.close())
    written(path)


@pytest.mark.promise("journal-one-owner")
def test_an_owner_that_was_killed_leaves_the_file_to_the_next(path: Path) -> None:
    with owner(path):
        pass
    lock = path.with_name("journal.db.lock")
    assert lock.exists()
    written(path)


@pytest.mark.promise("journal-one-owner")
def test_a_forked_child_does_not_keep_the_file_from_the_next_owner(path: Path) -> None:
    with owner(path, OWN_AND_FORK) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert child > 1 and child != process.pid
    written(path)
    os.kill(child, signal.SIGKILL)


def test_a_reader_looks_while_somebody_else_owns(path: Path) -> None:
    written(path, 3)
    with owner(path):
        reader = open_reader(path)
        size = reader.view("acme").tree()[1].size
        reader.close()
    assert size == 3


def test_a_reader_of_nothing_is_told(path: Path) -> None:
    with pytest.raises(FlyballError) as caught:
        open_reader(path)
    assert caught.value.code == "journal_missing"
    assert not path.exists()
