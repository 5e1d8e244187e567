"""Who owns a journal file: the process that holds the lock on `<file>.lock`.

The lock is on a file of its own, because closing any descriptor of the database would drop SQLite's POSIX locks on it.
A forked child lets go of it, so that the journal can be opened again after its owner has died.
"""

from __future__ import annotations

import fcntl
import os
import weakref
from contextlib import suppress
from pathlib import Path

from flyball.adapters.journal_sqlite.opening import read_only
from flyball.core.errors import FlyballError


class OwnerLock:
    """Held from creation until `release`, or until the process ends.

    Raises FlyballError: `journal_owned`, naming the owner's process id, where another one holds it;
    `journal_read_only` where the lock's file cannot be written.
    """

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".lock")
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as bad:
            raise read_only(database, str(bad)) from bad
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            owner = os.pread(self._file, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._file)
            raise FlyballError(
                "journal_owned", f"the journal {database} is in use", f"process {owner} owns it",
                "use a command that asks the owner, or end that process", {"pid": owner, "path": str(database)},
            ) from held  # fmt: skip
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        _held.add(self)

    def release(self) -> None:
        """Lets the next owner in; the file stays, because removing it would let two owners lock two files."""
        _held.discard(self)
        self.forget()

    def forget(self) -> None:
        """Closes this process's descriptor."""
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1


_held: weakref.WeakSet[OwnerLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_held):
        lock.release()


os.register_at_fork(after_in_child=_let_go_in_child)
