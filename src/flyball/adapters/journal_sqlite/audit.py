"""Does a journal's file fit together: what its tables repeat of each other is the same everywhere?

What is said twice for speed (places, columns to filter by, ids that are used up) could be edited in one place only. It
is in no leaf; so it is compared here, by whoever verifies the log.

Rules:

* Each table is read once, in portions, each a snapshot of its own: no snapshot grows with the file, and who writes
  meanwhile is not held up.
* A log may grow meanwhile. What is compared is of one statement, or can only grow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from flyball.adapters.journal_sqlite.queries import PLACE, SQL, TABLES, Table
from flyball.core.errors import FlyballError

PORTION: Final = 4096
MOST: Final = 20

Ask = Callable[[str, Sequence[object]], list[Any]]


def flaws(ask: Ask) -> list[str]:
    """What does not fit, in words; at most `MOST` of each kind. ``ask`` runs a statement in a snapshot of its own."""
    audit = _Audit(ask)
    audit.records()
    audit.ids()
    audit.nodes()
    audit.bodies()
    for table in TABLES.values():
        audit.rows(table)
    return audit.found


class _Audit:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._count = Counter[str]()
        self.found: list[str] = []

    def records(self) -> None:
        latest, ends = dict[Any, int](), dict[int, int]()
        for place, log, moment, stray, misplaced, unfound in self._all("every_record", "place"):
            self._stray(stray, "record")
            self._flaw(misplaced, "a record stands at a place of another log", place)
            self._flaw(unfound or type(moment) is not int, "a record is not found by its id", place)
            latest[log] = max(latest.get(log, 0), moment if type(moment) is int else 0)
            ends[place // PLACE] = place
        for number, tenant, _ in self._ask(SQL["every_log"], ()):
            # What was appended since is looked at in one statement with what the log says.
            since = ends.get(number, number * PLACE - 1)
            for said, newest in self._ask(SQL["latest_since"], (number, since, (number + 1) * PLACE)):
                mistimed = said != max(latest.get(number, 0), newest)
                self._flaw(mistimed, "the latest time is not that of the records", tenant)

    def ids(self) -> None:
        for _, id, _, stray, unrecorded, misanswered in self._all("every_used", "log", "id", "what"):
            self._stray(stray, "used")
            self._flaw(unrecorded, "an id is used up by no record", id)
            self._flaw(misanswered, "an append is answered with what is not in the log", id)

    def nodes(self) -> None:
        before = {number: size for number, _, size in self._ask(SQL["every_log"], ())}
        there, gaps = Counter[Any](), set[Any]()
        for log, level, position, stray in self._all("every_node", "log", "level", "position"):
            self._stray(stray, "node")
            if position != there[log, level]:
                gaps.add(log)
            there[log, level] += 1
        for number, tenant, size in self._ask(SQL["every_log"], ()):
            # Those that were complete before must be there, and none that are incomplete now.
            levels = range(1, size.bit_length() + 1)
            few = any(not before.get(number, 0) >> n <= there[number, n] <= size >> n for n in levels)
            more = any(log == number and level not in levels for log, level in there)
            self._flaw(few or more or number in gaps, "the tree has not the nodes of its size", tenant)

    def bodies(self) -> None:
        for _, _, stray in self._all("every_body", "log", "mac"):
            self._stray(stray, "body")

    def rows(self, table: Table) -> None:
        name = table.kind.TABLE
        columns = "".join(f", t.{column}" for column in table.columns)
        for _, id, stray, data, *values in self._all("every_row", "log", "id", table=name, columns=columns):
            self._stray(stray, name)
            try:
                row = table.row(data)
            except FlyballError as bad:
                self._flaw(True, f"{name} {id}", bad.why)
                continue
            told = [row.id, *(getattr(row, column) for column in table.columns)]
            self._flaw(told != [id, *values] or not id, "columns are not what is held", f"{name} {id}")

    def _all(self, name: str, *keys: str, **parts: str) -> Iterator[tuple[Any, ...]]:
        """Every row of a statement, by its keys, which are its first columns."""
        after, last = "", tuple[Any, ...]()
        while portion := self._ask(SQL[name].format(after=after, **parts), (*last, PORTION)):
            yield from portion
            after = f" WHERE ({', '.join(keys)}) > ({', '.join('?' * len(keys))})"
            last = tuple(portion[-1][: len(keys)])

    def _flaw(self, wrong: object, what: str, of: object) -> None:
        if wrong:
            self._count[what] += 1
            if self._count[what] <= MOST:
                self.found.append(f"{what}: {of}")

    def _stray(self, wrong: object, table: str) -> None:
        if wrong and not self._count[table]:
            self._count[table] = 1
            self.found.append(f"the table {table} has rows of no log")
