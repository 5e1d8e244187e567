"""Every row of every table of the database, spoiled in several ways: columns as bytes, and rows as records."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from flyball.adapters.journal_sqlite.queries import TABLES
from flyball.core.budget import Amounts, plus
from flyball.core.errors import FlyballError

Row = dict[str, Any]
ROWS = {table.kind.TABLE: table for table in TABLES.values()}


@dataclass(frozen=True)
class Edit:
    """One change of one row: `set` columns (None: the row goes). `where` is table[sort].column or table[sort].field."""

    where: str
    how: str
    table: str
    row: Row
    keys: tuple[str, ...]
    set: Row | None

    def apply(self, database: Path) -> None:
        """Writes it; raises sqlite3.IntegrityError where the table itself does not allow it."""
        found = " AND ".join(f"{name} IS ?" for name in self.keys)
        which = [self.row[name] for name in self.keys]
        with closing(sqlite3.connect(database)) as connection, connection:
            if self.set is None:
                connection.execute(f"DELETE FROM {self.table} WHERE {found}", which)
            else:
                names = ", ".join(f"{name} = ?" for name in self.set)
                connection.execute(f"UPDATE {self.table} SET {names} WHERE {found}", [*self.set.values(), *which])


def edits(database: Path, seed: int) -> Iterator[Edit]:
    """Every edit of every row; what is random in them is the seed's."""
    chance = random.Random(seed)
    with closing(sqlite3.connect(database)) as connection:
        connection.row_factory = sqlite3.Row
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in sorted(tables):
            keys = tuple(r["name"] for r in connection.execute(f"PRAGMA table_info({table})") if r["pk"])
            rows = [dict(row) for row in connection.execute(f"SELECT * FROM {table}")]
            for row in rows:
                yield Edit(f"{_sort(table, row)}.*", "delete", table, row, keys, None)
                other = chance.choice(rows)
                for column, value in row.items():
                    for how, changed in _changes(value, other[column], chance):
                        if changed == value:
                            continue
                        places = _places(table, value, changed) if column == "data" else [column]
                        where = "+".join(f"{_sort(table, row)}.{place}" for place in places)
                        if where:  # bytes that read as the same row change nothing
                            yield Edit(where, how, table, row, keys, {column: changed})
                if table in ROWS:
                    yield from _as_record(table, row, keys)


def _places(table: str, before: bytes, after: bytes | None) -> list[str]:
    """The fields in which two encodings of a row differ, or its bytes where one is no row."""
    if table not in ROWS:
        return ["data"]
    try:
        one, other = ROWS[table].row(before), ROWS[table].row(after or b"")
    except FlyballError:
        return ["data"]
    return [name for name in one.__struct_fields__ if getattr(one, name) != getattr(other, name)]


def _sort(table: str, row: Row) -> str:
    # What a column means differs with what the row is of.
    told = {"pending": row.get("kind"), "run": row.get("state"), "used": ("record", "append")[row.get("what", 0)]}
    told["epoch"] = str(row.get("id")).partition(":")[0]
    return f"{table}[{told[table]}]" if table in told else table


def _changes(value: Any, other: Any, chance: random.Random) -> Iterator[tuple[str, Any]]:
    if isinstance(value, int):
        yield from (("one more", value + 1), ("nothing", 0), ("one less", value - 1))
    elif isinstance(value, str):
        at = chance.randrange(len(value)) if value else 0
        yield from (("another letter", value[:at] + "~" + value[at + 1 :]), ("emptied", ""), ("longer", value + "0"))
    elif isinstance(value, bytes):
        at = chance.randrange(len(value)) if value else 0
        flipped = value[:at] + bytes([value[at] ^ 1 << chance.randrange(8)]) + value[at + 1 :] if value else b"\x00"
        yield from (("a bit flipped", flipped), ("cut", value[:-1]), ("emptied", b""))
    if type(other) is type(value) and other != value:
        yield "from another row", other
    if value is not None and isinstance(value, bytes):
        yield "gone", None


def _as_record(table: str, row: Row, keys: tuple[str, ...]) -> Iterator[Edit]:
    codec = ROWS[table]
    record = codec.row(row["data"])
    for name in record.__struct_fields__:
        for how, changed in _others(getattr(record, name)):
            fresh = msgspec.structs.replace(record, **{name: changed})
            told = dict(zip(("log", "id", "data", *codec.columns), codec.values(row["log"], fresh), strict=True))
            yield Edit(f"{_sort(table, row)}.{name}", f"as a record: {how}", table, row, keys, told)


def _others(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, bool):
        yield "the opposite", not value
    elif isinstance(value, int):
        yield from (("one more", value + 1), ("an hour more", value + 3_600_000_000))
    elif isinstance(value, str):
        yield from (("another word", _WORDS.get(value, value + "x")), ("emptied", "")) if value else (("a word", "x"),)
    elif isinstance(value, bytes):
        yield "another content", value + b" "
    elif isinstance(value, Amounts):
        yield "a call more", plus(value, Amounts(calls=1))
    elif isinstance(value, tuple):
        yield from (("emptied", ()), ("shorter", value[1:])) if value else (("one", ("x",)),)


_WORDS = {"open": "granted", "granted": "consumed", "rejected": "granted", "consumed": "granted", "waiting": "ended"}
