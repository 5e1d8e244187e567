"""The writer: one thread, one connection, one transaction for everything that waits.

Rules:

* Each append is checked before anything is written; what is refused leaves the batch before indexes are assigned.
* An SQL error rolls the batch back, forgets what was read, and tries each append alone, so that one hurts only itself.
* An error of COMMIT itself leaves in doubt what is there: every append of the batch is answered `Indeterminate`, the
  journal stops, and only opening it again tells. A full disk is the exception: after the rollback the file shows that
  nothing is there, because the frame that commits is the last to be written.
* While less than the reserve is free on the disk, only urgent appends (outcomes, kills) are taken.
* Nobody is answered before the commit, except `relaxed` appends; should one of these turn out not to be possible, the
  journal stops, because somebody has already relied on it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from flyball.adapters.journal_sqlite.log import Batch, Log
from flyball.adapters.journal_sqlite.opening import BUSY_MS, primary_code
from flyball.adapters.journal_sqlite.queries import SQL
from flyball.adapters.journal_sqlite.queue import Job, Queue, tell
from flyball.core.admission import Admitted, admit
from flyball.core.journal import Answered, Append, Appended, Indeterminate, Refused, Row
from flyball.ports.clock import Entropy

LOG_ID_BYTES: Final = 16
KEPT_LOGS: Final = 1_000
WAL_BYTES: Final = 64 * 1024 * 1024
BATCHES_BETWEEN_LOOKS: Final = 128
_CANNOT: Final = {
    sqlite3.SQLITE_FULL: "disk_full", sqlite3.SQLITE_READONLY: "read_only", sqlite3.SQLITE_TOOBIG: "too_large",
    sqlite3.SQLITE_BUSY: "read_only", sqlite3.SQLITE_LOCKED: "read_only", sqlite3.SQLITE_CONSTRAINT: "invalid",
    sqlite3.SQLITE_MISMATCH: "invalid",
}  # fmt: skip
_FOR_ALL: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY})
_VALUES: Final = (ValueError, TypeError, OverflowError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


R = TypeVar("R", bound=Row)


class _Doubtful(Exception):
    """COMMIT reported an error."""


class Writer:
    """Drains the queue in a thread of its own; owns the connection."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, entropy: Entropy, reserve: int, make_way: Callable[[], None]
    ) -> None:
        self.queue = Queue()
        self.stopped = ""
        self._connection = connection
        self._wal = path.with_name(path.name + "-wal")
        self._folder = path.parent
        self._entropy = entropy
        self._reserve = reserve
        self._make_way = make_way
        self._logs: dict[str, Log] = {}
        self._number = 0
        self._version = -1
        self._batches = 0
        self._thread = threading.Thread(target=self._run, name="flyball-journal", daemon=True)
        self._thread.start()

    def finish(self) -> None:
        """Commits what is in the queue; blocks until done."""
        self.queue.close()
        self._thread.join()

    def close(self) -> None:
        """Closes the connection, after `finish`."""
        self._connection.close()

    def known(self, tenant: str, kind: type[R], id: str) -> tuple[bool, R | None]:
        """Whether a row is known without reading the file, and the row as it was last committed. Any thread may ask:
        a batch changes what is kept only after its commit, and before anybody is answered."""
        log = None if self.stopped or self.queue.closed else self._logs.get(tenant)
        return log.known(kind, id) if log is not None else (False, None)

    def _run(self) -> None:
        while jobs := self.queue.take():
            try:
                self._batch(jobs)
            except Exception as bad:  # noqa: BLE001  # whoever waits must be answered, whatever went wrong here
                self._stop(f"the writer failed: {bad!r}")
                tell((job.future, Indeterminate(detail=self.stopped)) for job in jobs)

    # one batch --------------------------------------------------------------------------------------------------------
    def _batch(self, jobs: list[Job]) -> None:
        if self.stopped:
            tell((job.future, self._closed()) for job in jobs)
            return
        try:
            answers = self._transaction(jobs)
        except _Doubtful as doubt:
            self._stop(f"a commit reported an error: {doubt.__cause__}")
            answers = [Indeterminate(detail=self.stopped) for _ in jobs]
        except (sqlite3.Error, *_VALUES) as bad:
            self._forget()
            if len(jobs) > 1 and primary_code(bad) not in _FOR_ALL:
                for job in jobs:
                    self._batch([job])
                return
            answers = [self._failed(job, bad) for job in jobs]
        tell((job.future, answer) for job, answer in zip(jobs, answers, strict=True))
        self._look_at_wal()

    def _transaction(self, jobs: list[Job]) -> list[Answered]:
        batch = Batch()
        self._connection.execute("BEGIN IMMEDIATE")
        self._refresh()
        scarce = self._reserve > 0 and self._free() < self._reserve
        self._look_ahead([job.append for job in jobs])
        answers = [self._check(job.append, batch, scarce=scarce) for job in jobs]
        if batch.logs:
            batch.write(self._connection)
        self._tell_relaxed(jobs, answers)
        self._commit()
        for log in batch.logs.values():
            log.committed()
        return answers

    def _look_ahead(self, appends: list[Append]) -> None:
        by_tenant: dict[str, list[Append]] = {}
        for append in appends:
            by_tenant.setdefault(append.tenant, []).append(append)
        for tenant, some in by_tenant.items():
            log = self._logs.get(tenant)
            if log is None:
                log = self._logs[tenant] = Log(self._connection, tenant)
            log.look_ahead(some)

    def _check(self, append: Append, batch: Batch, *, scarce: bool) -> Answered:
        log = self._logs[append.tenant]
        answer = admit(append, log)
        if not isinstance(answer, Admitted):
            return answer
        if scarce and not append.urgent:
            return Refused(reason="disk_full", detail="what is left on the disk is kept for outcomes")
        if not log.number:
            self._number += 1
            log.number, log.id = self._number, append.log or self._entropy.bytes(LOG_ID_BYTES).hex()
        return log.apply(append, answer, batch)

    def _tell_relaxed(self, jobs: list[Job], answers: list[Answered]) -> None:
        accepted = []
        for job, answer in zip(jobs, answers, strict=True):
            if job.accepted and not isinstance(answer, Appended):
                self._stop(f"append {job.append.id} was accepted and then not possible")
            if job.append.relaxed and isinstance(answer, Appended):
                job.accepted = True
                accepted.append((job.future, answer))
        if accepted:
            tell(accepted)

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as bad:
            if primary_code(bad) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY):
                raise
            raise _Doubtful from bad

    # what is known ----------------------------------------------------------------------------------------------------
    def _refresh(self) -> None:
        """Forgets what somebody else may have changed (nobody should), and what has become too much."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version or len(self._logs) > KEPT_LOGS:
            self._version = version
            self._logs.clear()
            self._number = self._connection.execute(SQL["last_number"]).fetchone()[0]

    def _forget(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._logs.clear()
        self._version = -1

    # what went wrong --------------------------------------------------------------------------------------------------
    def _failed(self, job: Job, bad: BaseException) -> Answered:
        answer = self._cannot(bad)
        if job.accepted:
            self._stop(f"append {job.append.id} was accepted and then not possible: {bad}")
        if primary_code(bad) == sqlite3.SQLITE_FULL:
            return Log(self._connection, job.append.tenant).appended(job.append.id) or answer
        return answer

    def _cannot(self, bad: BaseException) -> Refused:
        code = primary_code(bad)
        reason = _CANNOT.get(code) if code else "invalid"
        if reason is not None:
            return Refused(reason=reason, detail=str(bad))
        self._stop(f"the file cannot be written: {bad}")
        return self._closed()

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _closed(self) -> Refused:
        return Refused(reason="closed", detail=f"{self.stopped}; open the journal again and look the append up")

    # the disk ---------------------------------------------------------------------------------------------------------
    def _free(self) -> int:
        disk = os.statvfs(self._folder)
        return disk.f_bavail * disk.f_frsize

    def _look_at_wal(self) -> None:
        self._batches += 1
        if self._batches % BATCHES_BETWEEN_LOOKS == 0 and self._wal.exists() and self._wal.stat().st_size > WAL_BYTES:
            self._make_way()
            self._truncate()

    def _truncate(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA busy_timeout = 0")  # a reader in the way is tried again later, nobody waits for it
        try:
            execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as bad:
            if primary_code(bad) not in _CANNOT:
                self._stop(f"the write-ahead log cannot be folded in: {bad}")
        finally:
            execute(f"PRAGMA busy_timeout = {BUSY_MS}")
