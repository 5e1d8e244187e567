"""The journal in memory: the same admission, no thread and no file. What was appended is durable as long as the object.

A view shares the rows until the next append copies them, so looking twice costs one copy at most. It is also the model
of a database with several writers: one that lost a race while it decided decides again.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeVar, cast

import msgspec

from flyball.core.admission import Admitted, RowKey, admit, malformed
from flyball.core.errors import FlyballError
from flyball.core.journal import INDEXED, Answered, Append, Appended, Refused, Row, Stored
from flyball.core.merkle import Frontier, leaf_hash, new_nodes
from flyball.ports.clock import Entropy

R = TypeVar("R", bound=Row)
LOG_ID_BYTES: Final = 16
_ENCODE: Final = msgspec.msgpack.Encoder().encode


class MemoryJournal:
    """Implements `ports.journal.Journal`."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._logs: dict[str, _Log] = {}
        self._closed = self._shared = False

    async def append(self, append: Append) -> Answered:
        """All or nothing; never raises for what an append says."""
        if self._closed:
            return Refused(reason="closed", detail="the journal was closed")
        wrong = malformed(append)
        if wrong is not None:
            return wrong
        log = self._logs.get(append.tenant) or _Log()
        seen, admission = log.appends, admit(append, log)
        if self._shared:
            await asyncio.sleep(0)  # where a writer of a database waits for it, and another one comes first
            log = self._logs.get(append.tenant) or log
            if log.appends != seen:
                admission = admit(append, log)
        if not isinstance(admission, Admitted):
            return admission
        try:
            _ENCODE([row for row in admission.changes.values() if row is not None])
        except (ValueError, TypeError, OverflowError) as bad:  # what no file could hold, this does not hold either
            return Refused(reason="invalid", detail=str(bad))
        if append.tenant not in self._logs:
            log.id = append.log or self._entropy.bytes(LOG_ID_BYTES).hex()
            self._logs[append.tenant] = log
        return log.apply(append, admission)

    def view(self, tenant: str) -> MemoryView:
        """A snapshot of one tenant."""
        return MemoryView(self._logs.get(tenant) or _Log())

    def flaws(self) -> list[str]:
        """Nothing is stored twice here."""
        return []

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id as it is now."""
        log = self._logs.get(tenant)
        return log.row(kind, id) if log is not None else None

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        return sorted(self._logs)

    async def close(self) -> None:
        """Later appends are refused; what is there can still be read."""
        self._closed = True

    def beside(self) -> MemoryJournal:
        """Another writer over the same content: from here on each decides again where it lost a race."""
        other = MemoryJournal(self._entropy)
        other._logs, self._shared, other._shared = self._logs, True, True
        return other

    def reopened(self) -> MemoryJournal:
        """Another journal with what is durable in this one now; from here on they go separate ways."""
        other = MemoryJournal(self._entropy)
        other._logs = {tenant: log.copy() for tenant, log in self._logs.items()}
        return other


class _Log:
    """One tenant: what only grows stays where it is, the rows are copied before a change while a view looks at them."""

    def __init__(self) -> None:
        self.id = ""
        self.frontier = Frontier()
        self.latest = 0
        self.rows: dict[RowKey, Row] = {}
        self.shared = False
        self.records: list[Stored] = []
        self.steps: dict[str, int] = {}
        self.runs: dict[str, list[int]] = {}
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.bodies: dict[str, bytes] = {}
        self.answers: dict[str, Appended] = {}

    def copy(self) -> _Log:
        other = _Log()
        other.id, other.frontier, other.latest = self.id, self.frontier, self.latest
        other.rows, other.records, other.steps = dict(self.rows), list(self.records), dict(self.steps)
        other.runs = {run: list(indexes) for run, indexes in self.runs.items()}
        other.nodes, other.bodies, other.answers = dict(self.nodes), dict(self.bodies), dict(self.answers)
        return other

    @property
    def appends(self) -> int:
        return len(self.answers)

    def log(self) -> str:
        return self.id

    def row(self, kind: type[R], id: str) -> R | None:
        return cast("R | None", self.rows.get((kind, id)))

    def has_record(self, id: str) -> bool:
        return id in self.steps

    def appended(self, id: str) -> Appended | None:
        return self.answers.get(id)

    def apply(self, append: Append, admitted: Admitted) -> Appended:
        if self.shared:
            self.rows, self.shared = dict(self.rows), False
        for key, row in admitted.changes.items():
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        first = self.frontier.size
        for entry in append.entries:
            self.frontier, nodes = new_nodes(self.frontier, entry.hash)
            self.nodes.update(((level, index), hash) for level, index, hash in nodes if level)
            self.runs.setdefault(entry.run, []).append(len(self.records))
            self.records.append(Stored(
                index=len(self.records), id=entry.id, kind=entry.kind, run=entry.run, path=entry.path,
                attempt=entry.attempt, time=entry.time, leaf=entry.leaf, payload=entry.payload,
            ))  # fmt: skip
            self.steps[entry.id] = len(self.records) - 1
            self.latest = max(self.latest, entry.time)
            for mac, body in entry.bodies:
                self.bodies.setdefault(mac, body)
        answer = Appended(first=first, size=self.frontier.size, run=admitted.run)
        self.answers[append.id] = answer
        return answer


class MemoryView:
    """A snapshot of one tenant; implements `ports.journal.View`."""

    def __init__(self, log: _Log) -> None:
        log.shared = True
        self._log, self._rows = log, log.rows
        self._id, self._frontier, self._latest = log.id, log.frontier, log.latest

    def row(self, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        return cast("R | None", self._rows.get((kind, id)))

    def rows(self, kind: type[R], /, **where: Any) -> list[R]:
        """Rows in order of their id, filtered by columns of `INDEXED`."""
        unknown = where.keys() - set(INDEXED.get(kind.TABLE, ()))
        if unknown:
            raise FlyballError("no_such_column", f"{kind.TABLE} has no column {sorted(unknown)[0]} to filter by")
        found = [cast("R", row) for (type_, _), row in self._rows.items() if type_ is kind]
        found = [row for row in found if all(getattr(row, name) == value for name, value in where.items())]
        return sorted(found, key=lambda row: row.id)

    def page(self, kind: type[R], after: str, limit: int) -> list[R]:
        """At most `limit` rows with an id above `after`, in order of their id."""
        return [row for row in self.rows(kind) if row.id > after][:limit]

    def records(self, *, run: str | None = None, after: int = -1, limit: int = 10_000) -> list[Stored]:
        """Records with an index above `after`, in order."""
        size = self._frontier.size
        if run is None:
            return self._log.records[max(0, after + 1) : min(size, max(0, after + 1) + limit)]
        indexes = [index for index in self._log.runs.get(run, ()) if after < index < size]
        return [self._log.records[index] for index in indexes[:limit]]

    def record(self, id: str) -> Stored | None:
        """One record by its id."""
        index = self._log.steps.get(id, self._frontier.size)
        return self._log.records[index] if index < self._frontier.size else None

    def body(self, mac: str) -> bytes | None:
        """A sealed shared body."""
        return self._log.bodies.get(mac)

    def tree(self) -> tuple[str, Frontier]:
        """The log's random id and its frontier."""
        return self._id, self._frontier

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; KeyError where there is none in this snapshot."""
        if level < 0 or index < 0 or (index + 1) << level > self._frontier.size:
            raise KeyError((level, index))
        return self._log.nodes[level, index] if level else leaf_hash(self._log.records[index].leaf)

    def latest(self) -> int:
        """The greatest time of a record, in microseconds; a caller's clock does not go behind it."""
        return self._latest
