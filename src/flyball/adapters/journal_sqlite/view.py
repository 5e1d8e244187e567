"""Reading: a view is one short read transaction on a connection that only reads.

Rules: a view sees one moment. It ends when it is closed or dropped, and at its deadline, so that a forgotten one does
not keep the write-ahead log from shrinking; a query that runs past the deadline is interrupted.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar

from flyball.adapters.journal_sqlite.opening import corrupt, primary_code
from flyball.adapters.journal_sqlite.queries import PLACE, SQL, TABLES, head_of
from flyball.core.errors import FlyballError
from flyball.core.journal import Row, Stored
from flyball.core.merkle import Frontier, leaf_hash
from flyball.core.record import record_id

R = TypeVar("R", bound=Row)

IDLE_CONNECTIONS: Final = 4
STEPS_BETWEEN_CHECKS: Final = 50_000


class Lease:
    """A connection lent to one view until its deadline."""

    def __init__(self, pool: Readers, connection: sqlite3.Connection, deadline: float, *, several: bool) -> None:
        self._pool = pool
        self._connection: sqlite3.Connection | None = connection
        self._deadline = deadline
        self._lock = threading.RLock()
        connection.set_progress_handler(self.over, STEPS_BETWEEN_CHECKS)
        if several:
            connection.execute("BEGIN")

    def over(self) -> bool:
        """Whether the deadline has passed."""
        return time.monotonic() > self._deadline

    def all(self, sql: str, values: Sequence[object] | Mapping[str, object]) -> list[Any]:
        """The rows of a query; raises FlyballError `view_expired` after the deadline or the end of the
        view, `journal_corrupt` where the file is damaged."""
        try:
            with self._lock:
                if self._connection is not None and not self.over():
                    return self._connection.execute(sql, values).fetchall()
        except sqlite3.DatabaseError as bad:
            if primary_code(bad) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise corrupt(self._place(), str(bad)) from bad
            if not self.over():
                raise FlyballError("journal_unavailable", "the journal cannot be read", str(bad)) from bad
        self.end()
        raise FlyballError(
            "view_expired", "this view of the journal has ended", "a view is a short snapshot", "take a new view"
        )

    def _place(self) -> Path:
        connection = self._connection
        return Path(connection.execute("PRAGMA database_list").fetchone()[2] if connection is not None else "")

    def end(self) -> None:
        """Ends the transaction and gives the connection back; ending twice is fine."""
        with self._lock:
            connection, self._connection = self._connection, None
        # Outside the lock: a view may be collected while its own thread holds the pool's.
        if connection is not None:
            self._pool.take_back(connection)


class Readers:
    """Connections that only read, made as they are needed; a few idle ones are kept."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], seconds: float) -> None:
        self._connect = connect
        self._seconds = seconds
        self._idle: list[sqlite3.Connection] = []
        self._lent: weakref.WeakSet[Lease] = weakref.WeakSet()
        self._lock = threading.RLock()
        self._closed = False

    def lend(self, *, several: bool = True) -> Lease:
        """A connection in a new read transaction; one that is lent for a single statement needs none."""
        with self._lock:
            if self._closed:
                raise FlyballError("journal_closed", "the journal was closed", fix="open it again")
            connection = self._idle.pop() if self._idle else None
        lease = Lease(self, connection or self._connect(), time.monotonic() + self._seconds, several=several)
        with self._lock:
            self._lent.add(lease)
        return lease

    def take_back(self, connection: sqlite3.Connection) -> None:
        """A connection whose view has ended."""
        connection.set_progress_handler(None, 0)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        with self._lock:
            keep = not self._closed and len(self._idle) < IDLE_CONNECTIONS
            if keep:
                self._idle.append(connection)
        if not keep:
            connection.close()

    def end_overdue(self) -> None:
        """Ends the views whose deadline has passed."""
        with self._lock:
            lent = [lease for lease in self._lent if lease.over()]
        for lease in lent:
            lease.end()

    def close(self) -> None:
        """Ends every view and closes every connection."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
            lent = list(self._lent)
        for lease in lent:
            lease.end()
        for connection in idle:
            connection.close()


class SqliteView:
    """A snapshot of one tenant; implements `ports.journal.View`. Close it, use it in `with`, or let it go."""

    def __init__(self, lease: Lease, tenant: str) -> None:
        self._lease = lease
        self._head = head_of(lease.all(SQL["log"], (tenant,)), tenant)
        self._number = self._head.number

    def row(self, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        table = TABLES[kind]
        found = self._lease.all(table.one, (self._number, id))
        row: R | None = table.row(found[0][0]) if found else None
        return row

    def rows(self, kind: type[R], /, **where: Any) -> list[R]:
        """Rows in order of their id, filtered by columns of `INDEXED`."""
        table = TABLES[kind]
        found = self._lease.all(table.some(where), (self._number, *where.values()))
        return [table.row(data) for (data,) in found]

    def page(self, kind: type[R], after: str, limit: int) -> list[R]:
        """At most `limit` rows with an id above `after`, in order of their id."""
        table = TABLES[kind]
        found = self._lease.all(table.page, (self._number, after, limit))
        return [table.row(data) for (data,) in found]

    def records(self, *, run: str | None = None, after: int = -1, limit: int = 10_000) -> list[Stored]:
        """Records with an index above `after`, in order."""
        start = self._number * PLACE
        if run is None:
            found = self._lease.all(SQL["records"], (start + max(after, -1), start + PLACE, limit))
        else:
            which = {"start": start, "log": self._number, "run": run, "after": after, "limit": limit}
            found = self._lease.all(SQL["records_of_run"], which)
        return [_stored(start, row) for row in found]

    def record(self, id: str) -> Stored | None:
        """One record by its id."""
        found = self._lease.all(SQL["record"], {"start": self._number * PLACE, "log": self._number, "id": id})
        return _stored(self._number * PLACE, found[0]) if found else None

    def body(self, mac: str) -> bytes | None:
        """A sealed shared body."""
        found = self._lease.all(SQL["body"], (self._number, mac))
        return found[0][0] if found else None

    def tree(self) -> tuple[str, Frontier]:
        """The log's random id and its frontier."""
        return self._head.id, self._head.frontier

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; KeyError where there is none in this snapshot."""
        if level < 0 or index < 0 or (index + 1) << level > self._head.frontier.size:
            raise KeyError((level, index))
        if level == 0:
            found = self._lease.all(SQL["leaf"], (self._number * PLACE + index,))
        else:
            found = self._lease.all(SQL["node"], (self._number, level, index))
        if not found:  # the file was edited or damaged
            raise KeyError((level, index))
        hash: bytes = found[0][0] if level else leaf_hash(found[0][0])
        return hash

    def latest(self) -> int:
        """The greatest time of a record, in microseconds; a caller's clock does not go behind it."""
        return self._head.latest

    def close(self) -> None:
        """Ends the snapshot."""
        self._lease.end()

    def __enter__(self) -> SqliteView:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __del__(self) -> None:
        lease = getattr(self, "_lease", None)
        if lease is not None:
            lease.end()


def _stored(start: int, row: tuple[Any, ...]) -> Stored:
    place, run, path, attempt, kind, moment, leaf, payload = row
    return Stored(
        index=place - start, id=record_id(run, path, attempt, kind), kind=kind, run=run, path=path, attempt=attempt,
        time=moment, leaf=leaf, payload=payload,
    )  # fmt: skip
