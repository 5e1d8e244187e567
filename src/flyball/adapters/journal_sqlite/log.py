"""A tenant's log as the writer knows it: what it has read, what the batch under way changes, and the tree's frontier.

Rows that nearly every append reads are kept between batches; the writer is the only one who changes them. All of it is
dropped when a batch is rolled back.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeVar

from flyball.adapters.journal_sqlite.queries import PLACE, SQL, TABLES, Head, head_of, id_list
from flyball.core.admission import Admitted, RowKey
from flyball.core.journal import (
    Append,
    Appended,
    BudgetRow,
    ClaimRow,
    EpochRow,
    HoldRow,
    Row,
    RunRow,
)
from flyball.core.merkle import grown

R = TypeVar("R", bound=Row)

KEPT: Final[frozenset[type[Row]]] = frozenset({RunRow, EpochRow, BudgetRow, HoldRow})
KEPT_ROWS: Final = 8_000
FEW: Final = 4
_RECORD: Final = 0
_APPEND: Final = 1
_ASK: Final = HoldRow(id="", holds=())


def _fits_json(id: str) -> bool:
    return "\0" not in id  # SQLite's JSON ends a text there: such ids are looked up one by one


def _suffix(append: str, record: str) -> str | None:
    """What an append's id adds to that of the record it is named after: nothing, or `@...`; None for another name."""
    rest = append[len(record) :] if append.startswith(record) else "?"
    return rest if rest == "" or (rest[0] == "@" and "@" not in rest[1:]) else None


def _named_after(append: str) -> tuple[str, str]:
    """The record that an append of this id is named after if it adds a suffix, and the suffix."""
    record, at, rest = append.rpartition("@")
    return record, at + rest


class Batch:
    """What one transaction adds, gathered so that each kind is written by one statement."""

    def __init__(self) -> None:
        self.records: list[tuple[object, ...]] = []
        self.bodies: list[tuple[object, ...]] = []
        self.used: list[tuple[object, ...]] = []
        self.logs: dict[str, Log] = {}

    def write(self, connection: sqlite3.Connection) -> None:
        """Every row of the batch; rows changed several times are written once."""
        some = connection.executemany
        nodes = [node for log in self.logs.values() for node in log.grow()]
        some(SQL["put_log"], [log.head().values() for log in self.logs.values()])
        some(SQL["add_record"], self.records)
        if nodes:
            some(SQL["add_node"], nodes)
        if self.bodies:
            some(SQL["add_body"], self.bodies)
        some(SQL["use"], self.used)
        put: dict[type[Row], list[tuple[object, ...]]] = {}
        gone: dict[type[Row], list[tuple[object, ...]]] = {}
        for log in self.logs.values():
            log.gather(put, gone)
        for kind, values in put.items():
            some(TABLES[kind].put, values)
        for kind, values in gone.items():
            some(TABLES[kind].drop, values)


class Log:
    """Implements `core.admission.Lookup` for the writer."""

    def __init__(self, connection: sqlite3.Connection, tenant: str) -> None:
        self._execute = connection.execute
        head = head_of(self._execute(SQL["log"], (tenant,)).fetchall(), tenant)
        self.tenant, self.number, self.id = tenant, head.number, head.id
        self.frontier, self.latest = head.frontier, head.latest
        self._kept: dict[RowKey, Row | None] = {}
        self._changed: dict[RowKey, Row | None] = {}
        self._leaves: list[bytes] = []
        self._steps: set[str] = set()
        self._answers: dict[str, Appended] = {}
        self._looked: set[str] = set()
        self._ahead: dict[RowKey, Row | None] = {}

    def log(self) -> str:
        """The log's random id."""
        return self.id

    def row(self, kind: type[R], id: str) -> R | None:
        """One row, the batch's changes first."""
        key: RowKey = (kind, id)
        row: Any = self._changed.get(key, _ASK)
        if row is _ASK:
            row = self._kept.get(key, _ASK)
        if row is _ASK:
            row = self._ahead.get(key, _ASK)
        if row is _ASK:
            row = self._stored(kind, id)
            if kind in KEPT:
                self._kept[key] = row
        return row  # type: ignore[no-any-return]  # the key names the kind

    def _stored(self, kind: type[R], id: str) -> R | None:
        if not self.number:
            return None
        table = TABLES[kind]
        found = self._execute(table.one, (self.number, id)).fetchone()
        return table.row(found[0]) if found is not None else None

    def known(self, kind: type[R], id: str) -> tuple[bool, R | None]:
        """Whether a row is among those that are kept, and the row as it was last committed."""
        row: Any = self._kept.get((kind, id), _ASK)
        return (False, None) if row is _ASK else (True, row)

    def has_record(self, id: str) -> bool:
        """Whether a step is recorded, in the file or in the batch."""
        if id in self._steps:
            return True
        if id in self._looked or not self.number:
            return False
        return self._execute(SQL["has_record"], (self.number, id)).fetchone() is not None

    def appended(self, id: str) -> Appended | None:
        """How an append with this id was answered, in the file or in the batch."""
        answer = self._answers.get(id)
        if answer is None and self.number and id not in self._looked:
            record, suffix = _named_after(id)
            found = self._execute(SQL["append"], (self.number, id, record, suffix)).fetchone()
            answer = Appended(first=found[0], size=found[1]) if found is not None else None
        return answer

    def look_ahead(self, appends: Sequence[Append]) -> None:
        """Reads at once what checking these appends will ask for one by one: a third of the cost."""
        self._looked.clear()
        self._ahead.clear()
        if not self.number or len(appends) < FEW:
            return
        ids = [append.id for append in appends] + [entry.id for append in appends for entry in append.entries]
        wanted = {*ids, *[_named_after(append.id)[0] for append in appends]}
        for id, what, first, size, named in self._execute(SQL["used"], (self.number, id_list(list(wanted)))):
            if what == _RECORD:
                self._steps.add(id)
            if what == _APPEND or named is not None:
                self._answers[id + (named or "")] = Appended(first=first, size=size)
        self._looked.update(id for id in ids if _fits_json(id))
        self._look_for(ClaimRow, [f"{claim.scope}|{claim.key}" for append in appends for claim in append.claims])
        holds = {part.id for append in appends for part in (append.reserve, append.settle) if part is not None}
        self._look_for(HoldRow, [id for id in holds if (HoldRow, id) not in self._kept])

    def _look_for(self, kind: type[Row], ids: list[str]) -> None:
        ids = [id for id in ids if _fits_json(id)]
        if not ids:
            return
        table = TABLES[kind]
        self._ahead.update(((kind, id), None) for id in ids)
        for id, data in self._execute(table.by_id, (self.number, id_list(ids))):
            self._ahead[kind, id] = table.row(data)

    def apply(self, append: Append, admitted: Admitted, batch: Batch) -> Appended:
        """Assigns indexes and nodes, and adds what is to be written to the batch."""
        first = self._size()
        after = _suffix(append.id, append.entries[0].id) if append.entries else None
        for index, entry in enumerate(append.entries, first):
            self._leaves.append(entry.hash)
            batch.records.append((
                self.number * PLACE + index, self.number, entry.run, entry.path, entry.attempt, entry.kind, entry.time,
                entry.leaf, entry.payload,
            ))  # fmt: skip
            named = after if index == first else None
            batch.used.append((
                self.number, entry.id, _RECORD, index, first + len(append.entries) if named is not None else 0, named
            ))  # fmt: skip
            self._steps.add(entry.id)
            if entry.time > self.latest:
                self.latest = entry.time
            for mac, body in entry.bodies:
                batch.bodies.append((self.number, mac, body))
        self._changed.update(admitted.changes)
        answer = Appended(first=first, size=self._size(), run=admitted.run)
        self._answers[append.id] = answer
        if after is None:
            batch.used.append((self.number, append.id, _APPEND, first, answer.size, None))
        batch.logs[self.tenant] = self
        return answer

    def _size(self) -> int:
        return self.frontier.size + len(self._leaves)

    def grow(self) -> Iterator[tuple[object, ...]]:
        """Takes the leaves of the batch into the tree; the subtrees that they complete."""
        self.frontier, nodes = grown(self.frontier, self._leaves)
        self._leaves.clear()
        return ((self.number, level, position, hash) for level, position, hash in nodes if level)

    def head(self) -> Head:
        """The log's row."""
        return Head(tenant=self.tenant, number=self.number, id=self.id, frontier=self.frontier, latest=self.latest)

    def gather(
        self, put: dict[type[Row], list[tuple[object, ...]]], gone: dict[type[Row], list[tuple[object, ...]]]
    ) -> None:
        """The rows to write and to delete, by kind."""
        kind: Any
        for (kind, id), row in self._changed.items():
            if row is None:
                gone.setdefault(kind, []).append((self.number, id))
            else:
                put.setdefault(kind, []).append(TABLES[kind].values(self.number, row))

    def committed(self) -> None:
        """The batch is durable: its changes are what is stored."""
        if len(self._kept) > KEPT_ROWS:
            self._kept.clear()
        for key, row in self._changed.items():
            if row is None:  # nobody asks for what is settled, and there would be more of it than of all the rest
                self._kept.pop(key, None)
            elif key[0] in KEPT:
                self._kept[key] = row
        self._changed.clear()
        self._steps.clear()
        self._answers.clear()
        self._looked.clear()
        self._ahead.clear()
