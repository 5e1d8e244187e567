"""Does what a journal keeps beside its leaves say what the leaves say: payloads, look-ups, and every kind of row?

Rows and payloads are not in the tree. They decide what happens next, so whoever edits the database edits them.

Rules:

* Everything is derived from the leaves again and compared. The rows are of one moment; the leaves are those of then.
* A payload opens, under its place and its keys, to exactly the commitments of its leaf. What was erased with its
  subject is counted where the log tells of an erasure; elsewhere evidence was destroyed.
* A tree is kept in nodes: each is computed again, not only those that an export shows.
* Times in rows are the clock's before the record was sealed: they may differ by `SLACK_US`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar

from flyball.core.commitment import check
from flyball.core.errors import FlyballError
from flyball.core.journal import ROWS, BlobRow, CheckpointRow, Row, Stored
from flyball.core.merkle import Frontier, leaf_hash
from flyball.core.note import VerifierKey, open_checkpoint
from flyball.core.seal import Opening
from flyball.verify.derived import Derived
from flyball.verify.leaf import Leaf, read_leaf
from flyball.verify.report import Check, Findings, counted, named
from flyball.verify.tree import Tree

PORTION: Final = 2048

R = TypeVar("R", bound=Row)
Opens = Callable[[Stored], Mapping[str, Opening]]
"""Salt and bytes of every private field; raises LookupError once a subject was erased, FlyballError for damage."""


class Store(Protocol):
    """What is read of a journal: a short snapshot of one tenant."""

    def rows(self, kind: type[R], /, **where: Any) -> list[R]:
        """Rows in order of their id."""
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

    Reads every record once. Raises nothing for what is stored.
    """
    first = look()
    frontier = first.tree()[1]
    rows = {kind: first.rows(kind) for kind in ROWS}
    walk = _Walk(opens, person)
    for stored in _records(look, frontier.size):
        walk.see(stored)
    lookups = walk.lookups
    _nodes(look, frontier, walk.tree, lookups)
    _runs(look, walk.runs, frontier.size, lookups)
    if walk.erased and not walk.told:
        walk.payloads.add(f"{counted(walk.erased, 'field')} were erased, and the log tells of no erasure")
    kept = Findings("rows")
    for problem in (*walk.derived.differences(rows), *_checkpoints(rows[CheckpointRow], walk.tree, key, origin)):
        kept.add(problem)
    _blobs(rows[BlobRow], walk.derived.content, kept)
    total = sum(map(len, rows.values()))
    return (
        lookups.check(f"{counted(walk.tree.size, 'record')} and the nodes of their tree, found as their leaves say"),
        walk.payloads.check(f"{counted(walk.opened, 'field')} open to their commitments, {walk.erased} erased"),
        kept.check(f"{counted(total, 'row')}, as the leaves say"),
    )


class _Walk:
    """Takes every record once."""

    def __init__(self, opens: Opens, person: Callable[[str], str]) -> None:
        self._opens = opens
        self.tree, self.derived = Tree(), Derived(person)
        self.lookups, self.payloads = Findings("look-ups"), Findings("payloads")
        self.runs: dict[str, list[int]] = {}
        self.opened = self.erased = 0
        self.told = False

    def see(self, stored: Stored) -> None:
        self.tree.add([leaf_hash(stored.leaf)])
        leaf = read_leaf(stored.index, stored.leaf)
        if isinstance(leaf, str):
            self.lookups.add(f"record {stored.index} cannot be read: {leaf}")
            return
        found = (stored.id, stored.kind, stored.time, stored.run, stored.path, stored.attempt)
        if found != (leaf.id, leaf.kind, leaf.time, leaf.run, leaf.path, leaf.attempt):
            self.lookups.add(f"record {stored.index} is kept as {named(stored.id)}, its leaf is {named(leaf.id)}")
        self.runs.setdefault(leaf.run, []).append(stored.index)
        self.derived.see(leaf)
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


def _records(look: Callable[[], Store], size: int) -> Iterator[Stored]:
    after = -1
    while after + 1 < size:
        portion = look().records(after=after, limit=min(PORTION, size - after - 1))
        if not portion:
            return
        yield from portion
        after = portion[-1].index


def _nodes(look: Callable[[], Store], frontier: Frontier, tree: Tree, findings: Findings) -> None:
    if tree.size != frontier.size:
        findings.add(f"{frontier.size} records are said to be there, {tree.size} are")
        return
    if tree.frontier(tree.size) != frontier:
        findings.add("the tree's frontier is not that of its records")
    view = look()
    for number, (level, index, digest) in enumerate(tree.inner(), start=1):
        if number % PORTION == 0:
            view = look()  # a view is short-lived
        try:
            same = view.node(level, index) == digest
        except KeyError:
            same = False
        if not same:
            findings.add(f"node {index} of level {level} is not that of its records")


def _runs(look: Callable[[], Store], runs: Mapping[str, list[int]], size: int, findings: Findings) -> None:
    for run, indices in runs.items():
        # A run that is driven meanwhile goes on: what is newer than the leaves that were read says nothing.
        found = [stored.index for stored in look().records(run=run, limit=len(indices) + 1) if stored.index < size]
        if found != indices:
            findings.add(f"the records of run {named(run)} are not found as they stand in the log")


def _checkpoints(rows: Iterable[Row], tree: Tree, key: VerifierKey, origin: str) -> Iterator[str]:
    for row in rows:
        assert isinstance(row, CheckpointRow)
        try:
            head = open_checkpoint(row.note, [key], origin=origin)
        except FlyballError as bad:
            yield f"checkpoint {named(row.id)}: {bad.why or bad.what}"
            continue
        if row.id != f"{head.size:016d}" or head.size > tree.size or tree.root(head.size) != head.root:
            yield f"checkpoint {named(row.id)} is not of this log at that size"


def _blobs(rows: Iterable[Row], wanted: Iterable[str], findings: Findings) -> None:
    there = {row.id: row.content for row in rows if isinstance(row, BlobRow)}
    for id, content in there.items():
        if sha256(content).hexdigest() != id:
            findings.add(f"the content kept as {named(id)} is another one")
    for digest in wanted:
        if digest not in there:
            findings.add(f"the content {named(digest)} that the log names is gone")
