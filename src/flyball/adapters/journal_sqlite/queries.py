"""The statements of `queries.sql` by name, and how a row becomes columns: what is indexed of it, and itself whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.journal import INDEXED, ROWS, Row
from flyball.core.merkle import HASH_BYTES, Frontier

R = TypeVar("R", bound=Row)

PLACE: Final = 2**40
"""Records of one log; `record.place` is the log's number times this, plus the index."""

NARROW: Final = ("run", "parent", "session", "person", "state")
"""Columns that have an index (TABLE_COLUMN), the one with the fewest rows for a value first."""

_ENCODE: Final = msgspec.msgpack.Encoder().encode


def _statements(text: str) -> dict[str, str]:
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    bodies = (re.sub(r"^--.*\n", "", body, flags=re.MULTILINE).strip() for body in parts[1::2])
    return dict(zip(parts[::2], bodies, strict=True))


SQL: Final[Mapping[str, str]] = _statements(Path(__file__).with_name("queries.sql").read_text(encoding="utf-8"))


def id_list(ids: Sequence[str]) -> str:
    """Ids as a statement takes them; raises UnicodeEncodeError for what is not text."""
    return msgspec.json.encode(ids).decode()


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's log as its row says; number 0 where the tenant has none."""

    tenant: str
    number: int = 0
    id: str = ""
    frontier: Frontier = Frontier()
    latest: int = 0

    def values(self) -> tuple[object, ...]:
        """What `put_log` takes."""
        frontier = self.frontier
        return (self.number, self.tenant, self.id, frontier.size, b"".join(frontier.hashes), self.latest)


def head_of(found: Sequence[Any], tenant: str) -> Head:
    """What the statement `log` found; raises FlyballError where size and frontier do not belong together."""
    if not found:
        return Head(tenant=tenant)
    number, id, size, data, latest = found[0]
    hashes = tuple(data[start : start + HASH_BYTES] for start in range(0, len(data), HASH_BYTES))
    return Head(tenant=tenant, number=number, id=id, frontier=Frontier(size=size, hashes=hashes), latest=latest)


class Table:
    """The statements and the codec of one kind of row."""

    def __init__(self, kind: type[Row]) -> None:
        self.kind: type[Any] = kind
        self.columns = INDEXED.get(kind.TABLE, ())
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self.one = SQL["row"].format(table=kind.TABLE)
        self.now = SQL["row_now"].format(table=kind.TABLE)
        self.page = SQL["page"].format(table=kind.TABLE)
        self.by_id = SQL["rows_by_id"].format(table=kind.TABLE)
        self.drop = SQL["drop_row"].format(table=kind.TABLE)
        self.put = SQL["put_row"].format(
            table=kind.TABLE,
            columns="".join(f", {name}" for name in self.columns),
            values=", ?" * len(self.columns),
            updates="".join(f", {name} = excluded.{name}" for name in self.columns),
        )

    def some(self, where: Collection[str]) -> str:
        """The statement for rows filtered by these columns; raises FlyballError for one that is not indexed."""
        unknown = [name for name in where if name not in self.columns]
        if unknown:
            raise FlyballError("no_such_column", f"{self.kind.TABLE} has no column {unknown[0]} to filter by")
        table, narrowest = self.kind.TABLE, next((name for name in NARROW if name in where), "")
        index = f" INDEXED BY {table}_{narrowest}" if narrowest else ""
        return SQL["rows"].format(table=table, index=index, where="".join(f" AND {name} = ?" for name in where))

    def values(self, log: int, row: Row) -> tuple[object, ...]:
        """What `put` takes."""
        return (log, row.id, _ENCODE(row), *[getattr(row, name) for name in self.columns])

    def row(self, data: bytes) -> Any:
        """The row that was stored; raises FlyballError `journal_corrupt` for what is none."""
        try:
            return self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as bad:
            why, fix = f"a row of {self.kind.TABLE} cannot be read", "restore a backup; do not repair the file by hand"
            raise FlyballError("journal_corrupt", "the journal is damaged", why, fix) from bad


TABLES: Final[Mapping[type[Any], Table]] = {kind: Table(kind) for kind in ROWS}
