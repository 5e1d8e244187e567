"""What `doctor` asks about SQLite: the library's version with its known bugs, and whether a journal file is sound."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final, NamedTuple

from flyball.adapters.journal_sqlite.opening import explained, migrations, network_type, open_readonly

Version = tuple[int, ...]


class Bug(NamedTuple):
    """A bug that concerns a journal: versions from `since` up to, not including, `fixed`; `patched` have it mended."""

    name: str
    since: Version
    fixed: Version
    patched: tuple[Version, ...]
    means: str


# https://www.sqlite.org/wal.html ("The WAL-Reset Bug") and https://www.sqlite.org/releaselog
BUGS: Final = (
    Bug("WAL-reset", (3, 7, 0), (3, 51, 3), ((3, 44, 6), (3, 50, 7)),
        "two connections that write or checkpoint at one moment can damage the file; a journal has one that does"),
)  # fmt: skip


def library() -> dict[str, Any]:
    """The version of the linked library, and the known bugs it has."""
    return {"version": sqlite3.sqlite_version, "bugs": known_bugs(sqlite3.sqlite_version_info)}


def known_bugs(version: Version) -> list[dict[str, str]]:
    """The bugs that a version of SQLite has, each with what it means here."""
    return [{"name": b.name, "means": b.means} for b in BUGS if _has(version, b)]


def _has(version: Version, bug: Bug) -> bool:
    mended = any(version[:2] == p[:2] and version >= p for p in bug.patched)
    return bug.since <= version < bug.fixed and not mended


def health(path: Path, mounts: Path = Path("/proc/mounts")) -> dict[str, Any]:
    """What a look at a journal file tells, without owning it. Raises as `open_readonly` does."""
    connection = open_readonly(path, migrations())
    try:
        with explained(path):
            found = [str(row[0]) for row in connection.execute("PRAGMA quick_check(5)").fetchall()]
            mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
    finally:
        connection.close()
    wal = path.with_name(path.name + "-wal")
    network = network_type(path.resolve(), mounts.read_text("utf-8")) if mounts.exists() else None
    return {
        "sound": found == ["ok"], "found": found, "schema": version, "mode": mode, "bytes": path.stat().st_size,
        "wal_bytes": wal.stat().st_size if wal.exists() else 0, "network": network,
        "exposed": bool(path.stat().st_mode & 0o077),
    }  # fmt: skip
