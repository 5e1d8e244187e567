"""The socket for the one log: compare-and-append, and short snapshots to read.

Whoever adds a journal runs `flyball.testing.conformance.journal` on it. There is no cross-tenant append and no global
sequence: cursors are indexes in one tenant's log.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from flyball.core.journal import Answered, Append, Row, Stored
from flyball.core.merkle import Frontier

R = TypeVar("R", bound=Row)


class View(Protocol):
    """A short snapshot of one tenant."""

    def row(self, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        ...

    def rows(self, kind: type[R], /, **where: Any) -> list[R]:
        """Rows in order of their id; `where` compares columns named in `core.journal.INDEXED` for equality."""
        ...

    def page(self, kind: type[R], after: str, limit: int) -> list[R]:
        """At most `limit` rows with an id above `after`, in order of their id: a large table is read by many views."""
        ...

    def records(self, *, run: str | None = None, after: int = -1, limit: int = 10_000) -> list[Stored]:
        """Records with an index above `after`, in order; of one run, or of the whole tenant."""
        ...

    def record(self, id: str) -> Stored | None:
        """One record by its id."""
        ...

    def latest(self) -> int:
        """The greatest time of a record, in microseconds; 0 where there is none."""
        ...

    def body(self, mac: str) -> bytes | None:
        """A sealed shared body."""
        ...

    def tree(self) -> tuple[str, Frontier]:
        """The log's random id and its frontier; ("", empty) where the tenant has no log yet."""
        ...

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; raises KeyError where there is none."""
        ...


class Journal(Protocol):
    """The log of a deployment, by tenant."""

    async def append(self, append: Append) -> Answered:
        """All or nothing; never raises for what an append says."""
        ...

    def view(self, tenant: str) -> View:
        """A snapshot to read from; short-lived."""
        ...

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id as it is now, without a snapshot: all that was answered durable is in it."""
        ...

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        ...

    def flaws(self) -> list[str]:
        """What does not fit together in how this journal is stored, in words; empty where nothing is wrong."""
        ...

    async def close(self) -> None:
        """Commits what was accepted, then closes. Later appends are refused."""
        ...
