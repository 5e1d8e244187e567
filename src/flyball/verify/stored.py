"""Does what a journal keeps beside its leaves say what the leaves say: payloads, look-ups, and every kind of row?

Rows and payloads are not in the tree. They decide what happens next, so whoever edits the database edits them.

Rules:

* Everything is derived from the leaves again and compared. The log may go on meanwhile, and a view of it is short: so
  everything is read in portions, and the rows of a portion are compared with the leaves of the same moment.
* A payload opens, under its place and its keys, to exactly the commitments of its leaf. What was erased with its
  subject is counted where the log tells of an erasure; elsewhere evidence was destroyed.
* A tree is kept in nodes: each is computed again, not only those that an export shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

from flyball.core.commitment import check
from flyball.core.errors import FlyballError
from flyball.core.journal import BudgetRow, HoldRow, Row, Stored
from flyball.core.merkle import Frontier, leaf_hash
from flyball.core.note import VerifierKey
from flyball.core.seal import Opening
from flyball.verify.folded import Folded
from flyball.verify.leaf import Leaf, read_leaf
from flyball.verify.report import Check, Findings, counted, named
from flyball.verify.rows import Rows, Sort
from flyball.verify.tree import Tree

PORTION: Final = 1024

R = TypeVar("R", bound=Row)
Opens = Callable[[Stored], Mapping[str, Opening]]
"""Salt and bytes of every private field; raises LookupError once a subject was erased, FlyballError for damage."""


class Store(Protocol):
    """What is read of a journal: a short snapshot of one tenant."""

    def row(self, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        ...

    def rows(self, kind: type[R], /, **where: Any) -> list[R]:
        """Rows in order of their id."""
        ...

    def page(self, kind: type[R], after: str, limit: int) -> list[R]:
        """At most `limit` rows with an id above `after`, in order of their id."""
        ...

    def records(self, *, run: str | None = None, after: int = -1, limit: int = 10_000) -> list[Stored]:
        """Records with an index above `after`, in order; of one run, or of the whole tenant."""
        ...

    def tree(self) -> tuple[str, Frontier]:
        """The log's random id and its frontier."""
        ...

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; raises KeyError where there is none."""
        ...


def verify_store(
    look: Callable[[], Store], opens: Opens, person: Callable[[str], str], key: VerifierKey, origin: str
) -> tuple[Check, ...]:
    """The checks of one tenant's store. ``look`` takes a snapshot, ``opens`` a payload, ``person`` gives a pseudonym.

    No snapshot is asked for more than a portion of anything. Raises nothing for what is stored.
    """
    walk = _Walk(look, opens)
    walk.here()
    rows = Rows(walk.folded, walk.tree, person, key, origin)
    kept, total = Findings("rows"), 0
    for sort in rows.sorts():
        total += _compared(sort, rows, walk, kept)
    _nodes(walk)
    _runs(walk)
    if walk.erased and not walk.told:
        walk.payloads.add(f"{counted(walk.erased, 'field')} were erased, and the log tells of no erasure")
    records = counted(walk.tree.size, "record")
    return (
        walk.lookups.check(f"{records} and the nodes of their tree, found as their leaves say"),
        walk.payloads.check(f"{counted(walk.opened, 'field')} open to their commitments, {walk.erased} erased"),
        kept.check(f"{counted(total, 'row')}, as the leaves say"),
    )


class _Walk:
    """Takes every record once, as far as the log goes when somebody asks."""

    def __init__(self, look: Callable[[], Store], opens: Opens) -> None:
        self.look, self._opens = look, opens
        self.tree, self.folded = Tree(), Folded()
        self.lookups, self.payloads = Findings("look-ups"), Findings("payloads")
        self.runs: dict[str, list[int]] = {}
        self.opened = self.erased = 0
        self.last = -1
        self.told = False

    def here(self) -> Store:
        """A snapshot whose last record was the last one that was taken."""
        while True:
            view = self.look()
            behind = view.tree()[1].size - 1 - self.last
            portion = view.records(after=self.last, limit=min(behind, PORTION)) if behind > 0 else []
            self._take(portion)
            if len(portion) in (0, behind):  # none: the log is shorter than it says
                return view

    def _take(self, portion: list[Stored]) -> None:
        self.tree.add([leaf_hash(stored.leaf) for stored in portion])
        for stored in portion:
            self.last = stored.index
            self._see(stored)

    def _see(self, stored: Stored) -> None:
        leaf = read_leaf(stored.index, stored.leaf)
        if isinstance(leaf, str):
            self.lookups.add(f"record {stored.index} cannot be read: {leaf}")
            return
        found = (stored.id, stored.kind, stored.time, stored.run, stored.path, stored.attempt)
        if found != (leaf.id, leaf.kind, leaf.time, leaf.run, leaf.path, leaf.attempt):
            self.lookups.add(f"record {stored.index} is kept as {named(stored.id)}, its leaf is {named(leaf.id)}")
        self.runs.setdefault(leaf.run, []).append(stored.index)
        self.folded.see(leaf)
        self.told = self.told or leaf.kind == "erasure"
        self._payload(stored, leaf)

    def _payload(self, stored: Stored, leaf: Leaf) -> None:
        if stored.payload is None:
            if leaf.commit:
                self.payloads.add(f"the payload of {named(leaf.id)} is gone")
            return
        try:
            fields = self._opens(stored)
        except LookupError:
            self.erased += len(leaf.commit)
            return
        except FlyballError as bad:
            self.payloads.add(f"{named(leaf.id)}: {bad.what}: {bad.why}")
            return
        if fields.keys() != leaf.commit.keys():
            self.payloads.add(f"the payload of {named(leaf.id)} has other fields than its leaf")
        for field, (salt, data) in fields.items():
            if check(leaf.commit.get(field, ""), field, salt, data):
                self.opened += 1
            else:
                self.payloads.add(f"{named(field)} of {named(leaf.id)} is not what was committed to")


def _compared(sort: Sort, rows: Rows, walk: _Walk, findings: Findings) -> int:
    """Compares every row of a kind, and looks for those that are missing; returns how many there are."""
    seen: set[str] = set()
    for row in _paged(sort, rows, walk):
        if row.id in seen:
            findings.add(f"the {sort.name} {named(row.id)} is there twice")
        seen.add(row.id)
        _compare(sort, row, row.id, findings)
    # A row that was not there when its place was read may have come since: it is looked for again.
    view = _moment(sort, rows, walk)
    for number, id in enumerate(sorted({*sort.needed()} - seen), 1):
        if not number % PORTION:
            view = _moment(sort, rows, walk)
        _compare(sort, view.row(sort.kind, id), id, findings)
    return len(seen)


def _paged(sort: Sort, rows: Rows, walk: _Walk) -> Iterator[Any]:
    after = ""
    while portion := _moment(sort, rows, walk).page(sort.kind, after, PORTION):
        yield from portion
        if portion[-1].id <= after:
            return  # what is in it is not what it is found by: told by whoever reads the columns
        after = portion[-1].id


def _moment(sort: Sort, rows: Rows, walk: _Walk) -> Store:
    view = walk.here()
    if sort.kind is BudgetRow:
        rows.reserve(view.rows(HoldRow))  # as many as actions are under way or unknown
    return view


def _compare(sort: Sort, row: Any, id: str, findings: Findings) -> None:
    known = sort.known(id)
    if row is None:
        # What the log said when it was listed may be settled by now.
        if known is not None:
            findings.add(f"the {sort.name} {named(id)} is gone")
    elif sort.compared(row):
        problem = "is in no leaf" if known is None else sort.differs(row, known)
        if problem:
            findings.add(f"the {sort.name} {named(id)} {problem}")


def _nodes(walk: _Walk) -> None:
    view, tree, findings = walk.here(), walk.tree, walk.lookups
    frontier = view.tree()[1]
    if tree.size != frontier.size:
        findings.add(f"{frontier.size} records are said to be there, {tree.size} are")
        return
    if tree.frontier(tree.size) != frontier:
        findings.add("the tree's frontier is not that of its records")
    for number, (level, index, digest) in enumerate(tree.inner(), start=1):
        if not number % PORTION:
            view = walk.look()
        try:
            same = view.node(level, index) == digest
        except KeyError:
            same = False
        if not same:
            findings.add(f"node {index} of level {level} is not that of its records")


def _runs(walk: _Walk) -> None:
    for run, indices in walk.runs.items():
        # A run that is driven meanwhile goes on: what is newer than the leaves that were read says nothing.
        if [stored.index for stored in _of_run(walk, run) if stored.index <= walk.last] != indices:
            walk.lookups.add(f"the records of run {named(run)} are not found as they stand in the log")


def _of_run(walk: _Walk, run: str) -> Iterator[Stored]:
    after, more = -1, True
    while more:
        portion = walk.look().records(run=run, after=after, limit=PORTION)
        yield from portion
        more = len(portion) == PORTION and after < portion[-1].index < walk.last
        after = portion[-1].index if portion else after
