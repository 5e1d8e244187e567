"""Does a journal's file fit together: what its tables repeat of each other is the same everywhere?

What is said twice for speed (places, columns to filter by, ids that are used up) could be edited in one place only. It
is in no leaf; so it is compared here, by whoever verifies the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from flyball.adapters.journal_sqlite.queries import SQL, TABLES
from flyball.core.errors import FlyballError

Ask = Callable[[str, Sequence[object]], list[Any]]
_MOST: Final = 20
_TENANT_TABLES: Final = ("record", "used", "node", "body")


def flaws(ask: Ask) -> list[str]:
    """What does not fit, in words; at most a few of each kind. ``ask`` runs a statement."""
    return [*_statements(ask), *_strays(ask), *_columns(ask)]


def _statements(ask: Ask) -> Iterator[str]:
    for name, what in _FLAWS.items():
        for found in ask(SQL[name], (_MOST,)):
            yield f"{what}: {found[0]}"


def _strays(ask: Ask) -> Iterator[str]:
    for table in (*_TENANT_TABLES, *(table.kind.TABLE for table in TABLES.values())):
        if ask(SQL["stray"].format(table=table), ()):
            yield f"the table {table} has rows of no log"


def _columns(ask: Ask) -> Iterator[str]:
    for table in TABLES.values():
        columns = "".join(f", {name}" for name in table.columns)
        for id, data, *values in ask(SQL["whole"].format(table=table.kind.TABLE, columns=columns), ()):
            try:
                row = table.row(data)
            except FlyballError as bad:
                yield f"{table.kind.TABLE} {id}: {bad.why}"
                continue
            if [row.id, *(getattr(row, name) for name in table.columns)] != [id, *values]:
                yield f"{table.kind.TABLE} {id}: its columns are not what it holds"


_FLAWS: Final = {
    "misplaced": "a record stands at a place of another log",
    "unfound": "a record is not found by its id",
    "unrecorded": "an id is used up by no record",
    "misanswered": "an append is answered with what is not in the log",
    "mistimed": "the latest time is not that of the records",
    "miscounted": "the tree has not the nodes of its size",
}
