"""The journal in one SQLite file: who owns it writes it, everybody else looks at it.

Rules: one process owns the file, by a lock beside it; one thread writes; appends wait for their commit and views are
short snapshots. A child process uses neither: it opens its own reader.

    journal = SqliteJournal.open(Path(".flyball/journal.db"), entropy=entropy)
    answer = await journal.append(append)
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from flyball.adapters.journal_sqlite.audit import flaws
from flyball.adapters.journal_sqlite.opening import Synchronous, migrations, open_readonly, open_writer, prepare
from flyball.adapters.journal_sqlite.owner import OwnerLock
from flyball.adapters.journal_sqlite.queries import SQL, TABLES
from flyball.adapters.journal_sqlite.queue import Job
from flyball.adapters.journal_sqlite.view import Readers, SqliteView
from flyball.adapters.journal_sqlite.writer import Writer
from flyball.core.admission import malformed
from flyball.core.errors import FlyballError
from flyball.core.journal import Answered, Append, Refused, Row
from flyball.ports.clock import Entropy

R = TypeVar("R", bound=Row)

VIEW_SECONDS: Final = 10.0
DISK_RESERVE: Final = 32 * 1024 * 1024


class SqliteReader:
    """Looks at a journal without owning it."""

    def __init__(self, path: Path, view_seconds: float = VIEW_SECONDS) -> None:
        steps = migrations()
        self._pid = os.getpid()
        self._readers = Readers(lambda: open_readonly(path, steps), view_seconds)

    def view(self, tenant: str) -> SqliteView:
        """A snapshot of one tenant; short-lived: it ends after `view_seconds`."""
        self.check_process()
        return SqliteView(self._readers.lend(), tenant)

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id: one statement, which is a snapshot by itself, at a quarter of what a view costs."""
        table = TABLES[kind]
        found = self._ask(table.now, (tenant, id))
        row: R | None = table.row(found[0][0]) if found else None
        return row

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        return [tenant for (tenant,) in self._ask(SQL["logs"], ())]

    def flaws(self) -> list[str]:
        """What does not fit together in the file; reads all of it, by many short snapshots."""
        return flaws(self._ask)

    def _ask(self, sql: str, values: Sequence[object]) -> list[Any]:
        self.check_process()
        lease = self._readers.lend(several=False)
        try:
            return lease.all(sql, values)
        finally:
            lease.end()

    def end_overdue(self) -> None:
        """Ends the views whose deadline has passed."""
        self._readers.end_overdue()

    def check_process(self) -> None:
        """Raises FlyballError `journal_forked` in a child of the process that opened this."""
        if os.getpid() != self._pid:
            raise FlyballError(
                "journal_forked", "this journal was opened by the parent process",
                "a SQLite connection does not survive a fork", "spawn the child and open a reader there",
            )  # fmt: skip

    def close(self) -> None:
        """Ends every view."""
        self._readers.close()


class SqliteJournal:
    """Implements `ports.journal.Journal`."""

    def __init__(self, lock: OwnerLock, writer: Writer, reader: SqliteReader) -> None:
        self._lock = lock
        self._writer = writer
        self._reader = reader

    @classmethod
    def open(
        cls, path: Path, *, synchronous: Synchronous = "full", entropy: Entropy, disk_reserve: int = DISK_RESERVE,
        view_seconds: float = VIEW_SECONDS,
    ) -> SqliteJournal:  # fmt: skip
        """Takes ownership of the file, making it where there is none and bringing it up to date.

        `synchronous="normal"` is a declared relaxation: a power cut can lose the last appends, never tear one.
        `disk_reserve`: bytes that are kept free for outcomes. Raises FlyballError: `journal_owned`, `journal_newer`,
        `journal_read_only`, `journal_corrupt`, `not_a_journal`, `journal_on_network`, `journal_unsafe`.
        """
        path = path.absolute()
        prepare(path)
        lock = OwnerLock(path)
        try:
            connection = open_writer(path, synchronous, migrations())
            reader = SqliteReader(path, view_seconds)
            writer = Writer(connection, path, entropy, reserve=disk_reserve, make_way=reader.end_overdue)
        except BaseException:  # whatever it was, it is raised on: the file is only given back first
            lock.release()
            raise
        return cls(lock, writer, reader)

    async def append(self, append: Append) -> Answered:
        """All or nothing, answered when durable; never raises for what an append says."""
        self._reader.check_process()
        wrong = malformed(append)
        if wrong is not None:
            return wrong
        job = Job(append, asyncio.get_running_loop())
        while (entered := self._writer.queue.put(job)) is not True:
            if entered is False:
                return Refused(reason="closed", detail="the journal was closed")
            try:
                await entered
            finally:  # cancelled or not: whoever comes after must not wait for a place that was not taken
                self._writer.queue.make_room()
        return await job.future

    def view(self, tenant: str) -> SqliteView:
        """A snapshot of one tenant; short-lived: it ends after `view_seconds`."""
        return self._reader.view(tenant)

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id as it is now: from the writer's memory where it is there, else from the file."""
        self._reader.check_process()
        known, row = self._writer.known(tenant, kind, id)
        return row if known else self._reader.row(tenant, kind, id)

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        return self._reader.tenants()

    def flaws(self) -> list[str]:
        """What does not fit together in the file; reads all of it."""
        return self._reader.flaws()

    async def close(self) -> None:
        """Commits what was accepted, then closes and gives up ownership. Later appends are refused."""
        self._reader.check_process()
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        self._writer.finish()
        self._reader.close()
        self._writer.close()  # last, so that SQLite folds its write-ahead log in
        self._lock.release()


def open_reader(path: Path) -> SqliteReader:
    """Looks at a journal that another process may own; raises FlyballError where there is none to look at."""
    reader = SqliteReader(path.absolute())
    reader.tenants()
    return reader
