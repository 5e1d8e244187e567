"""Opening a journal file: everything that can be wrong with it is found here, before anything is read or written.

Rules: one file of mode 0600 on a local disk, in WAL mode with the asked-for `synchronous`, every pragma read back;
numbered migrations in `schema/`, each in its own transaction together with its version; a file that is newer, foreign
or damaged is refused with what is wrong and what to do.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from flyball.adapters.journal_sqlite.queries import SQL
from flyball.core.errors import FlyballError

Synchronous = Literal["full", "normal"]

APPLICATION_ID: Final = 0x464C5942  # "FLYB", so that another program's database is not taken for a journal
BUSY_MS: Final = 5_000
CHECKPOINT_PAGES: Final = 2_000
CACHE_KIB: Final = 8_192
WHOLE_CHECK_BYTES: Final = 32 * 1024 * 1024
MOUNTS: Final = Path("/proc/mounts")
NETWORK: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "lustre", "beegfs", "fuse.sshfs", "fuse.glusterfs",
    "fuse.s3fs", "fuse.gcsfuse", "fuse.davfs2",
})  # fmt: skip
_SYNCHRONOUS: Final = {"full": 2, "normal": 1}


class Migration(NamedTuple):
    """One numbered step of the schema."""

    number: int
    description: str
    script: str


def migrations(folder: Path | None = None) -> list[Migration]:
    """The steps in `folder` (`NNNN_name.sql`, the first line `-- what it does`), in order and without a gap."""
    steps = []
    for path in sorted((folder or Path(__file__).with_name("schema")).glob("[0-9]*_*.sql")):
        script = path.read_text(encoding="utf-8")
        first = script.partition("\n")[0]
        if not first.startswith("-- "):
            raise FlyballError("bad_migration", f"{path.name} does not begin with a description")
        steps.append(Migration(int(path.name.partition("_")[0]), first[3:], script))
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise FlyballError("bad_migration", "the migrations are not numbered 1, 2, 3 ...")
    return steps


def open_writer(path: Path, synchronous: Synchronous, steps: Sequence[Migration]) -> sqlite3.Connection:
    """The one connection that writes, on a file that `prepare` has seen; up to date and sound afterwards."""
    with explained(path):
        connection = _connect(path, "rw")
        try:
            _check_identity(connection, path, steps)
            _set_pragmas(connection, path, synchronous)
            _migrate(connection, path, steps)
            _check_sound(connection, path)
            connection.execute("PRAGMA shrink_memory")  # what was looked at once need not stay in memory
        except BaseException:  # whatever it was, it is raised on: the connection is only closed first
            connection.close()
            raise
    return connection


def open_readonly(path: Path, steps: Sequence[Migration]) -> sqlite3.Connection:
    """A connection that only reads, from this or another process."""
    if not path.exists():
        raise FlyballError("journal_missing", f"there is no journal at {path}", fix="check the path")
    with explained(path):
        connection = _connect(path, "ro")
        try:
            connection.execute("PRAGMA query_only = ON")
            if _check_identity(connection, path, steps) < len(steps):
                raise FlyballError(
                    "journal_older", f"the journal {path} is from an older version",
                    fix="open it once with a writing command, which brings it up to date",
                )  # fmt: skip
        except BaseException:  # whatever it was, it is raised on: the connection is only closed first
            connection.close()
            raise
    return connection


def network_type(path: Path, mounts: str) -> str | None:
    """The type of the network file system that `path` (absolute) is on, by the text of /proc/mounts; None if local."""
    best, found = -1, ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[1]))
        if len(point.parts) > best and path.is_relative_to(point):
            best, found = len(point.parts), fields[2]
    return found if found in NETWORK else None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"file:{quote(str(path))}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)


def prepare(path: Path) -> None:
    """Makes the folder and an empty file of mode 0600 where there is none; refuses a place that is not fit for one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        kind = (
            network_type(path.resolve(), MOUNTS.read_text(encoding="utf-8", errors="replace"))
            if MOUNTS.exists()
            else None
        )
        if kind:
            raise FlyballError(
                "journal_on_network", f"the journal {path} is on a network file system ({kind})",
                "its locks and its shared memory cannot be relied on", "put the journal on a local disk",
            )  # fmt: skip
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as bad:
        raise read_only(path, str(bad)) from bad
    effective = os.access in os.supports_effective_ids
    if not all(os.access(place, os.W_OK, effective_ids=effective) for place in (path, path.parent)):
        raise read_only(path, "this user may not write the file and its folder")


def _check_identity(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration]) -> int:
    version = _pragma(connection, "user_version")
    application = _pragma(connection, "application_id")
    empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if application != APPLICATION_ID and not (empty and application == 0):
        raise _not_a_journal(path, "it belongs to another program")
    if version > len(steps):
        raise FlyballError(
            "journal_newer", f"the journal {path} was written by a newer Flyball",
            f"its schema is {version}, this version knows {len(steps)}", "update Flyball; nothing was changed",
            {"version": version, "known": len(steps)},
        )  # fmt: skip
    return version


def _set_pragmas(connection: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
    wanted: dict[str, object] = {
        "journal_mode": "wal", "synchronous": _SYNCHRONOUS[synchronous], "trusted_schema": 0, "temp_store": 2,
        "wal_autocheckpoint": CHECKPOINT_PAGES, "cache_size": -CACHE_KIB,
    }  # fmt: skip
    if sys.platform == "darwin":
        wanted |= {"fullfsync": 1, "checkpoint_fullfsync": 1}
    for name, value in wanted.items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
        obtained = _pragma(connection, name)
        if obtained != value:
            raise FlyballError(
                "journal_unsafe", f"the journal {path} cannot be opened safely",
                f"{name} is {obtained} although {value} was asked for", "use another disk or another build of SQLite",
            )  # fmt: skip


def _migrate(connection: sqlite3.Connection, path: Path, steps: Sequence[Migration]) -> None:
    version = _pragma(connection, "user_version")
    for step in steps[version:]:
        identity = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step.number};"
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{step.script}\n{identity}\nCOMMIT;")
        except sqlite3.Error as bad:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if primary_code(bad) in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
                raise
            raise FlyballError(
                "migration_failed", f"the journal {path} could not be brought to version {step.number}", str(bad),
                "nothing was changed; report this with the message", {"step": step.description},
            ) from bad  # fmt: skip


def _check_sound(connection: sqlite3.Connection, path: Path) -> None:
    """The whole file while it is small; always that every log is as long as it says."""
    if path.stat().st_size <= WHOLE_CHECK_BYTES:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise corrupt(path, str(found))
    foreign = connection.execute(SQL["foreign"]).fetchone()
    if foreign is not None:
        raise corrupt(path, f"{foreign[0]} in it was not made by a journal")
    torn = connection.execute(SQL["torn"]).fetchone()
    if torn is not None:
        raise corrupt(path, f"the log of tenant {torn[0]} is not as long as it says")


@contextmanager
def explained(path: Path) -> Generator[None, None, None]:
    """Turns what SQLite raises into what, why and fix."""
    try:
        yield
    except sqlite3.Error as bad:
        code = primary_code(bad)
        if code == sqlite3.SQLITE_NOTADB:
            raise _not_a_journal(path, str(bad)) from bad
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN):
            raise read_only(path, str(bad)) from bad
        if code == sqlite3.SQLITE_CORRUPT:
            raise corrupt(path, str(bad)) from bad
        raise FlyballError("journal_unavailable", f"the journal {path} cannot be opened", str(bad)) from bad


def primary_code(error: BaseException) -> int:
    """SQLite's primary result code of an error, 0 where it is not SQLite's own."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def read_only(path: Path, why: str) -> FlyballError:
    """The error for a file that this user may not write."""
    return FlyballError(
        "journal_read_only", f"the journal {path} cannot be written", why, "give this user the file and its folder"
    )


def corrupt(path: Path, why: str) -> FlyballError:
    """The error for a file that holds something else than was written."""
    return FlyballError(
        "journal_corrupt", f"the journal {path} is damaged", why, "restore a backup; do not repair the file by hand"
    )


def _not_a_journal(path: Path, why: str) -> FlyballError:
    return FlyballError("not_a_journal", f"{path} is not a Flyball journal", why, "check the path; nothing was changed")
