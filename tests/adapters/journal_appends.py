"""Appends for the tests of the SQLite journal, and a journal whose connection can be made to fail."""

from __future__ import annotations

import os
import secrets
import sqlite3
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from flyball.adapters.journal_sqlite.journal import SqliteJournal, SqliteReader
from flyball.adapters.journal_sqlite.opening import migrations, open_writer, prepare
from flyball.adapters.journal_sqlite.owner import OwnerLock
from flyball.adapters.journal_sqlite.writer import Writer
from flyball.core.journal import Append
from flyball.testing.conformance.journal import append, entry


class Chance:
    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


def numbered(number: int, **parts: Any) -> Append:
    return append(f"a{number}", entry("r", str(number)), **parts)


def open_journal(path: Path, **options: Any) -> SqliteJournal:
    return SqliteJournal.open(path, entropy=Chance(), **options)


class Watched:
    """A connection that asks `before(sql)` first; that may raise."""

    def __init__(self, connection: sqlite3.Connection, before: Callable[[str], None]) -> None:
        self._connection = connection
        self._before = before

    def execute(self, sql: str, values: Sequence[object] = ()) -> sqlite3.Cursor:
        self._before(sql)
        return self._connection.execute(sql, values)

    def executemany(self, sql: str, values: Sequence[Sequence[object]]) -> sqlite3.Cursor:
        self._before(sql)
        return self._connection.executemany(sql, values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def watched_journal(path: Path, before: Callable[[str], None]) -> SqliteJournal:
    prepare(path)
    lock, reader = OwnerLock(path), SqliteReader(path)
    connection: Any = Watched(open_writer(path, "full", migrations()), before)
    return SqliteJournal(lock, Writer(connection, path, Chance(), 0, reader.end_overdue), reader)


def sqlite_error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("injected")
    error.sqlite_errorcode = code
    return error


def with_this_path() -> dict[str, str]:
    """The environment for a child that imports what this process can."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
