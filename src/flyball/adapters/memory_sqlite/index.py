"""An index of memories in SQLite: full text by FTS5, one file for each tenant, so that no tenant's words weigh in
another's query.

Rules:

* A file holds words of memories in plain text, under a name that is a digest of its tenant's, for its owner's eyes
  alone (0600 in 0700). What is dropped leaves no word behind: deleted pages are overwritten, the full-text index is
  merged, the rollback journal truncated.
* With the extra `vectors`, sqlite-vec compares the query with every vector of the owner: those stand in the same rows.
* Each word of a query stands in quotes: no text is ever an expression of the engine.
* A file that is none, or of another format, is made again.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import sqlite3
import struct
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, TypeVar

from flyball.core.errors import FlyballError
from flyball.core.memory_index import Change, Cursor, Drop, Found, Held, Indexed, Sought
from flyball.core.relevance import content
from flyball.core.useful import Usage

T = TypeVar("T")
FORMAT: Final = 1
COLUMNS: Final = "id, record, owner, by, about, words, created, expires, bytes, vector"
_SCHEMA: Final = files(__package__ or __name__).joinpath("schema.sql").read_text("utf-8")
_PUT: Final = f"INSERT INTO memory ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING n"
_FIND: Final = f"SELECT n, {COLUMNS} FROM memory WHERE"
_SEARCH: Final = f"""
    SELECT {", ".join(f"m.{name.strip()}" for name in COLUMNS.split(","))} FROM found JOIN memory m ON m.n = found.rowid
    WHERE found MATCH ? AND m.expires > ? ORDER BY found.rank, m.created DESC, m.id LIMIT ?
"""
# Whose vectors are of the query's length, the nearest first.
_NEAR: Final = f"""
    SELECT {COLUMNS}, 1 - vec_distance_cosine(vector, ?) AS cosine FROM memory
    WHERE owner = ? AND expires > ? AND length(vector) = ? ORDER BY cosine DESC, id LIMIT ?
"""


class SqliteMemory:
    """The files of a folder, each opened when its tenant is first asked for."""

    def __init__(self, folder: Path, *, vectors: bool = False) -> None:
        """With `vectors` memories are found by theirs too; raises FlyballError `vectors_extra` where they cannot be."""
        self._folder, self._extension = folder, _extension() if vectors else ""
        self._open: dict[str, _File] = {}
        self._opening = threading.Lock()

    async def held(self, tenant: str, by: str, now: int) -> Held:
        """How far it has read, and what is kept."""
        return await self._do(tenant, lambda file: file.held(by, now))

    async def apply(
        self, tenant: str, changes: Sequence[Change], cursor: Cursor, *, now: int = 0, afresh: bool = False
    ) -> None:
        """Makes the changes and moves the cursor."""
        await self._do(tenant, lambda file: file.apply(changes, cursor, now, afresh))

    async def search(self, tenant: str, sought: Sought) -> list[Found]:
        """What shares a word with the query, the likeliest by BM25 first."""
        return await self._do(tenant, lambda file: file.search(sought))

    async def rows(
        self, tenant: str, *, id: str = "", owner: str = "", about: tuple[str, ...] = (), now: int = 0, after: str = "",
        limit: int = 1_000,
    ) -> list[Indexed]:  # fmt: skip
        """Rows in order of their id."""
        asked = {"id = ?": id, "owner = ?": owner, "about = ?": " ".join(about)}
        named = {condition: value for condition, value in asked.items() if value}
        return await self._do(tenant, lambda file: file.rows(named, now, after, limit))

    async def close(self) -> None:
        """Closes every file."""
        with self._opening:
            for file in self._open.values():
                file.close()
            self._open.clear()

    async def _do(self, tenant: str, work: Callable[[_File], T]) -> T:
        return await asyncio.to_thread(lambda: work(self._file(tenant)))

    def _file(self, tenant: str) -> _File:
        with self._opening:
            if tenant not in self._open:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                name = hashlib.sha256(tenant.encode(errors="surrogatepass")).hexdigest()[:32]
                self._open[tenant] = _File(self._folder / f"{name}.db", self._extension)
            return self._open[tenant]


class _File:
    """One tenant's file; one thread at a time."""

    def __init__(self, path: Path, extension: str) -> None:
        self._lock, self._vectors = threading.Lock(), bool(extension)
        self._db = _opened(path, extension)

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def held(self, by: str, now: int) -> Held:
        with self._lock:
            told = dict(self._db.execute("SELECT name, value FROM standing").fetchall())
            cursor = Cursor(index=told.get("index", -1), epoch=told.get("epoch", 0), model=told.get("model", ""))
            count = "SELECT count(*), total(bytes) FROM memory WHERE"
            everyone = self._db.execute(f"{count} expires > ?", (now,)).fetchone()
            one = self._db.execute(f"{count} by = ? AND expires > ?", (by, now)).fetchone()
        return Held(cursor=cursor, tenant=_usage(everyone), principal=_usage(one))

    def apply(self, changes: Sequence[Change], cursor: Cursor, now: int, afresh: bool) -> None:
        with self._lock, self._db as db:  # committed at the end, rolled back where it is left by an error
            db.execute("BEGIN IMMEDIATE")
            stale = afresh
            if afresh:
                db.execute("DELETE FROM memory")
                db.execute("INSERT INTO found (found) VALUES ('rebuild')")
            for change in changes:
                put = None if isinstance(change, Drop) else change
                old = self._drop(db, f"{_FIND} id = ?", change.id)
                stale = stale or any(put is None or words != " ".join(put.words) for words in old)
                if put is not None:
                    self._put(db, put)
            if (
                self._drop(db, f"{_FIND} expires <= ?", now) or stale
            ):  # what is only deleted stays in the lists of words
                db.execute("INSERT INTO found (found) VALUES ('optimize')")
            told = [("index", cursor.index), ("epoch", cursor.epoch), ("model", cursor.model)]
            db.executemany("INSERT OR REPLACE INTO standing (name, value) VALUES (?, ?)", told)

    @staticmethod
    def _drop(db: sqlite3.Connection, find: str, value: Any) -> list[str]:
        """Drops what is found; gives the words of each."""
        old = db.execute(find, (value,)).fetchall()
        for n, _, _, owner, _, about, words, *_ in old:
            values = ("delete", n, owner, about, words)
            db.execute("INSERT INTO found (found, rowid, owner, about, words) VALUES (?, ?, ?, ?, ?)", values)
            db.execute("DELETE FROM memory WHERE n = ?", (n,))
        return [words for _, _, _, _, _, _, words, *_ in old]

    @staticmethod
    def _put(db: sqlite3.Connection, row: Indexed) -> None:
        about, words = " ".join(row.about), " ".join(row.words)
        vector = _packed(row.vector)
        values = (row.id, row.record, row.owner, row.by, about, words, row.created, row.expires, row.bytes, vector)
        [n] = db.execute(_PUT, values).fetchone()
        found = (n, row.owner, about, words)
        db.execute("INSERT INTO found (rowid, owner, about, words) VALUES (?, ?, ?, ?)", found)

    def search(self, sought: Sought) -> list[Found]:
        match, near = _match(sought), self._vectors and bool(sought.vector)
        vector = _packed(sought.vector)
        found: dict[str, Found] = {}
        with self._lock:
            if match:
                for row in self._db.execute(_SEARCH, (match, sought.now, sought.limit)):
                    found[row[0]] = Found(row=_row(row))
            if near:
                asked = (vector, sought.owner, sought.now, len(vector), sought.limit)
                for *row, cosine in self._db.execute(_NEAR, asked):
                    found[row[0]] = Found(row=_row(row), cosine=cosine)
        return list(found.values())

    def rows(self, named: dict[str, str], now: int, after: str, limit: int) -> list[Indexed]:
        where = " AND ".join([*named, "id > ?", "expires > ?"])
        with self._lock:
            found = self._db.execute(f"{_FIND} {where} ORDER BY id LIMIT ?", (*named.values(), after, now, limit))
            return [_row(row[1:]) for row in found.fetchall()]


def _match(sought: Sought) -> str:
    """The query as FTS5 reads it: words in quotes, and whose."""
    if not sought.words:
        return ""
    telling, every = _any(sorted(content(sought.words))), _any(dict.fromkeys(sought.words))
    return f'owner : "{sought.owner}" AND ((words : ({telling})) OR (about : ({every})))'


def _any(words: Iterable[str]) -> str:
    return " OR ".join('"{}"'.format(word.replace('"', '""')) for word in words)


def _row(row: Sequence[Any]) -> Indexed:
    id, record, owner, by, about, words, created, expires, size, vector = row
    return Indexed(
        id=id, record=record, owner=owner, by=by, about=tuple(about.split()), words=tuple(words.split()),
        created=created, expires=expires, bytes=size, vector=struct.unpack(f"<{len(vector) // 4}f", vector),
    )  # fmt: skip


def _packed(vector: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


def _extension() -> str:
    """Where sqlite-vec is; raises FlyballError `vectors_extra` where this Python has not, or cannot load, it."""
    try:
        place: str = importlib.import_module("sqlite_vec").loadable_path()
    except ImportError:
        why, fix = "sqlite-vec is not installed", 'pip install "flyball[vectors]"'
    else:
        if hasattr(sqlite3.Connection, "enable_load_extension"):
            return place
        why = "this Python was built without loadable extensions of SQLite"
        fix = "Use one that was built with --enable-loadable-sqlite-extensions, as those of Linux distributions are."
    raise FlyballError(
        "vectors_extra", "memories cannot be found by vectors", why, f"{fix} Or leave out [memory.embedding]."
    )


def _usage(row: Sequence[Any]) -> Usage:
    return Usage(items=int(row[0]), bytes=int(row[1]))


def _opened(path: Path, extension: str) -> sqlite3.Connection:
    try:
        return _connected(path, extension)
    except sqlite3.OperationalError:  # locked by another process, or the disk is full: nothing is wrong with the file
        raise
    except sqlite3.DatabaseError:  # all of it stands in the log
        for name in (path.name, f"{path.name}-journal"):
            path.with_name(name).unlink(missing_ok=True)
        return _connected(path, extension)


def _connected(path: Path, extension: str) -> sqlite3.Connection:
    path.touch(mode=0o600)
    with ExitStack() as failed:
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        failed.callback(db.close)
        if extension:
            db.enable_load_extension(True)
            db.load_extension(extension)
            db.enable_load_extension(False)
        for pragma in ("secure_delete = ON", "journal_mode = TRUNCATE", "synchronous = NORMAL"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        [version] = db.execute("PRAGMA user_version").fetchone()
        [there] = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if there and version != FORMAT:
            raise sqlite3.DatabaseError(f"format {version}")
        if not there:
            db.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT")
        failed.pop_all()
        return db
