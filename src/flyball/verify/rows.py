"""Is every row as the leaves say: how rows of each kind are compared with what was folded from the leaves?

Rules:

* A row is what its leaves make of it; a row without leaves, or leaves without their row, are differences.
* What no leaf says is not compared: a run's inbox and wake time, the value of a business key, when a key was
  made, and what a tenant or an agent has spent, asked and been denied in all. They say what may happen next, never what
  happened.
* Times in rows are the clock's before the record was sealed: they may differ by `SLACK_US`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from msgspec.structs import replace

from flyball.core.approval import leaf_cure, unmet
from flyball.core.budget import ZERO, Amounts, plus
from flyball.core.doubt import STANDS
from flyball.core.errors import FlyballError
from flyball.core.journal import (
    BlobRow,
    BudgetRow,
    BundleRow,
    CheckpointRow,
    ClaimRow,
    EpochRow,
    HoldRow,
    KeyRow,
    PendingRow,
    Row,
    RunRow,
)
from flyball.core.lifecycle import LIVE
from flyball.core.note import VerifierKey, open_checkpoint
from flyball.core.record import record_id
from flyball.core.steps import bare
from flyball.verify.folded import Folded, Intent, Run, Waits, contradicts, counted
from flyball.verify.leaf import Leaf, number, table, text, texts
from flyball.verify.tree import Tree

SLACK_US: Final = 60_000_000
_VOIDS: Final = frozenset({"edited", "voided", "expired", "answered", "resolution"})
_OTHERWISE: Final = "is not as the log says"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """How rows of one kind are compared. ``known`` is what the leaves say of an id (None: nothing), ``needed`` are the
    ids that must have a row, ``differs`` says how a row is otherwise, in words, and ``compared`` whether it counts."""

    kind: type[Row]
    name: str
    known: Callable[[str], Any]
    needed: Callable[[], Iterable[str]]
    differs: Callable[[Any, Any], str]
    compared: Callable[[Any], bool] = lambda _: True


class Rows:
    """The rows that folded leaves come to. ``person`` gives somebody's pseudonym; `reserved` is by budget, from the
    reservations of the same moment as the budgets."""

    def __init__(self, folded: Folded, tree: Tree, person: Callable[[str], str], key: VerifierKey, origin: str) -> None:
        self._folded, self._tree, self._person, self._key, self._origin = folded, tree, person, key, origin
        self._reserved: dict[str, Amounts] = {}

    def sorts(self) -> tuple[Sort, ...]:
        """Every kind of row."""
        said, differ = self._folded, _said
        return (
            _sort(RunRow, "run", said.runs, differ(self._run)),
            _sort(PendingRow, "pending", said.waits, differ(self._pending)),
            _sort(KeyRow, "key", said.keys, differ(self._key_row)),
            _sort(BundleRow, "policy in force", said.bundles, differ(_bundle)),
            Sort(
                kind=HoldRow, name="reservation", known=said.held.get, needed=self._holding, differs=differ(_hold),
                # A start costs what its steps cost: it reserves nothing, with a row or without one.
                compared=lambda row: bool(row.holds),
            ),
            Sort(
                kind=ClaimRow, name="claim", known=said.claims.get, needed=lambda: said.claims, differs=differ(_claim),
                # A business key's claim is given back where nothing happened, and no leaf says what its value was.
                compared=lambda row: not row.id.startswith("business:"),
            ),
            Sort(
                kind=EpochRow, name="counter", known=said.counters.get, needed=lambda: said.counters,
                # A taint is read from the records; its counter only stops what was decided before it.
                differs=differ(_counter), compared=lambda row: row.id not in said.tainted,
            ),
            Sort(kind=BudgetRow, name="budget", known=str, needed=self._budgets, differs=self._budget),
            Sort(kind=CheckpointRow, name="checkpoint", known=str, needed=tuple, differs=self._checkpoint),
            Sort(kind=BlobRow, name="content", known=str, needed=lambda: said.content, differs=_blob),
        )  # fmt: skip

    def reserve(self, holds: Iterable[HoldRow]) -> None:
        """Takes the reservations of the moment that budgets are compared at."""
        self._reserved.clear()
        for hold in (part for row in holds for part in row.holds):
            self._reserved[hold.node] = plus(self._reserved.get(hold.node, Amounts()), hold.amounts)

    def _holding(self) -> Iterable[str]:
        return [id for id, intent in self._folded.held.items() if intent.reserved != Amounts()]

    def _budgets(self) -> Iterable[str]:
        used = {f"run/{id}" for id, run in self._folded.runs.items() if (run.spent, run.asking) != (ZERO, ZERO)}
        return self._reserved.keys() | used

    def _budget(self, row: BudgetRow, _: str) -> str:
        held = self._reserved.get(row.id, ZERO)
        kind, _, id = row.id.partition("/")
        run = self._folded.runs.get(id) if kind == "run" else None
        # Whether a tenant or an agent had a cap when something was asked no leaf says.
        costs = replace(row.reserved, open_approvals=0, asks=0, denials=0)
        if (row.reserved != plus(held, run.asking)) if run is not None else (costs != held):
            return "has reserved what no reservation says"
        return "is not what its outcomes used" if kind == "run" and (run is None or run.spent != row.spent) else ""

    def _checkpoint(self, row: CheckpointRow, _: str) -> str:
        try:
            head = open_checkpoint(row.note, [self._key], origin=self._origin)
        except FlyballError as bad:
            return f"is refused: {bad.why or bad.what}"
        tree = self._tree
        right = row.id == f"{head.size:016d}" and head.size <= tree.size and tree.root(head.size) == head.root
        return "" if right else "is not of this log at that size"

    def _run(self, row: RunRow, run: Run) -> bool:
        facts = run.leaf.facts
        told = (text(facts, "kind"), text(facts, "what"), text(facts, "parent"), run.release, run.reason)
        if (row.kind, row.what, row.parent, row.release, row.reason) != told:
            return True
        if (row.session, row.turn) != (text(facts, "session"), number(facts, "turn")):
            return True
        if not run.since[0] <= row.since < run.since[1]:
            return True
        if run.ended:
            return row.state != "ended" or not (_near(row.ended, run.ended) and _near(row.started, run.leaf.time))
        # A driver that takes a run counts one more; only one that parks it leaves it waiting.
        epoch = row.epoch == run.parked if row.state == "waiting" else row.epoch >= run.parked
        return not (epoch and row.state in LIVE and not row.ended and _near(row.started, run.leaf.time))

    def _pending(self, row: PendingRow, waits: Waits) -> bool:
        facts, covers = waits.leaf.facts, table(waits.leaf.facts, "covers")
        same = (
            row.run == waits.leaf.run and row.record == waits.leaf.id and row.kind == text(facts, "kind")
            and row.over == text(facts, "over") and bare(row.path) == bare(waits.leaf.path)
            and list(row.given) == waits.given and row.expires == number(covers, "expires")
            and sorted(row.policies) == sorted(texts(covers, "policies"))
        )  # fmt: skip
        # An end of the run, which is no decision about what waits, voids what is open.
        voided = row.state == "void" and not waits.settled
        same = same and row.version == 1 + waits.decided + voided
        same = same and self._counts(row)
        intent, cures = waits.used, row.groups
        if row.kind != "approval":
            default = STANDS if contradicts(waits.leaf) else "deny"
            same, cures = same and row.default == default, tuple(leaf_cure(cure, self._person) for cure in row.groups)
        if row.kind == "unknown":
            intent = record_id(row.run, bare(row.path), waits.leaf.attempt, "intent")
        same = same and row.intent == intent and self._is_asked_of(cures, waits)
        return not (same and self._stands(row, waits))

    def _counts(self, row: PendingRow) -> bool:
        amounts = counted(row.kind)
        told = {hold.node: hold.amounts for hold in row.counts if hold.node.startswith("run/")}
        return told == ({f"run/{run.leaf.run}": amounts for run in self._folded.of(row.run)} if amounts != ZERO else {})

    def _is_asked_of(self, cures: Sequence[str], waits: Waits) -> bool:
        if text(waits.leaf.facts, "kind") != "unknown":
            return cures == texts(table(waits.leaf.facts, "covers"), "cures")
        run = self._folded.runs.get(waits.leaf.run)
        asker = f"project/user:{text(run.leaf.facts, 'by') if run is not None else ''}"
        return cures in (("project/owner",), ("project/owner", asker))

    def _stands(self, row: PendingRow, waits: Waits) -> bool:
        run = self._folded.runs.get(row.run)
        # Whether something happened that the run was told did not is asked beyond its end, too.
        ended = run is not None and bool(run.ended) and not contradicts(waits.leaf)
        match row.state:
            case "consumed":
                return bool(waits.used)
            case "granted":
                return not (unmet(row.groups, waits.given) or waits.settled or waits.used)
            case "rejected" | "expired":
                return waits.settled == row.state
            case "void":
                return waits.settled in _VOIDS or waits.late or ended
            case "open":
                over = waits.settled or ended or waits.used
                return not over and bool(row.kind != "approval" or unmet(row.groups, waits.given))
            case _:
                return False

    def _key_row(self, row: KeyRow, known: tuple[Leaf, int]) -> bool:
        leaf, revoked = known
        person = text(leaf.facts, "person")
        same = row.groups == texts(leaf.facts, "groups") and row.public == text(leaf.facts, "public")
        same = same and person == self._person(row.person)
        return not (same and (_near(row.revoked, revoked) if revoked else not row.revoked))


def _sort(kind: type[Row], name: str, said: dict[str, Any], differs: Callable[[Any, Any], str]) -> Sort:
    return Sort(kind=kind, name=name, known=said.get, needed=lambda: said, differs=differs)


def _said(differs: Callable[[Any, Any], bool]) -> Callable[[Any, Any], str]:
    return lambda row, known: _OTHERWISE if differs(row, known) else ""


def _hold(row: HoldRow, intent: Intent) -> bool:
    return any(hold.amounts != intent.reserved for hold in row.holds)


def _claim(row: ClaimRow, run: str) -> bool:
    return row.owner != run


def _counter(row: EpochRow, moved: int) -> bool:
    return row.value != moved


def _bundle(row: BundleRow, leaf: Leaf) -> bool:
    told = (text(leaf.facts, "digest"), text(leaf.facts, "name"))
    return (row.digest, row.name) != told or not _near(row.activated, leaf.time)


def _blob(row: BlobRow, id: str) -> str:
    return "" if sha256(row.content).hexdigest() == id else "is another one"


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= SLACK_US
