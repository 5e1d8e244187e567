"""The rows that a log's leaves come to: runs, what waits, keys, policies, reservations, claims, counters.

Rules:

* A row is what its leaves make of it; a row without leaves, or leaves without their row, are differences.
* What no leaf says is not compared: sessions, a run's inbox and wake time, the value of a business
  key, when a key was made, and what a tenant or an agent has spent in all. They say what may happen next, never what
  happened.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from flyball.core.approval import leaf_cure, unmet
from flyball.core.budget import Amounts, minus, plus
from flyball.core.doubt import STANDS
from flyball.core.journal import (
    BudgetRow,
    BundleRow,
    ClaimRow,
    EpochRow,
    HoldRow,
    KeyRow,
    PendingRow,
    Row,
    RunRow,
)
from flyball.core.lifecycle import LIVE
from flyball.core.outcome import amounts_of
from flyball.core.record import record_id
from flyball.core.steps import bare
from flyball.verify.leaf import Leaf, number, table, text, texts
from flyball.verify.report import named

SLACK_US: Final = 60_000_000
_SETTLES: Final = frozenset({"rejected", "edited", "expired", "voided", "answered"})
# What stands right before the record that a run goes on with a fresh history, in the same append.
_WITH_THE_NEXT: Final = frozenset({"marker", "outcome", "run_continued"})
_VOIDS: Final = frozenset({"edited", "voided", "expired", "answered", "resolution"})

R = TypeVar("R", bound=Row)


@dataclass(slots=True)
class _Run:
    leaf: Leaf
    release: str
    reason: str = ""
    ended: int = 0
    parked: int = 0
    since: tuple[int, int] = (-1, 0)
    last: int = -1
    spent: Amounts = Amounts()
    tainted: bool = False


@dataclass(slots=True)
class _Waits:
    leaf: Leaf
    given: list[dict[str, Any]] = field(default_factory=list)
    settled: str = ""
    used: str = ""
    late: bool = False
    decided: int = 0


class Derived:
    """Folds leaves; `differences` says what the rows say otherwise. ``person`` gives somebody's pseudonym."""

    def __init__(self, person: Callable[[str], str]) -> None:
        self._person = person
        self._runs: dict[str, _Run] = {}
        self._waits: dict[str, _Waits] = {}
        self._keys: dict[str, tuple[Leaf, int]] = {}
        self._bundles: dict[str, Leaf] = {}
        self._intents: dict[str, Leaf] = {}
        self._held: dict[str, tuple[Leaf, Amounts]] = {}
        self._released: dict[str, Amounts] = {}
        self._moved = {"policy": 0, "directory": 0}
        self.content: dict[str, str] = {}
        self._by_kind: Mapping[str, Callable[[Leaf], None]] = {
            "run_started": self._started, "run_parked": self._parked, "run_moved": self._run_moved,
            "run_continued": self._continued,
            "run_ended": self._ended, "intent": self._intent, "outcome": self._outcome, "late": self._late,
            "resolution": self._resolution, "asked": self._asked, "approved": self._approved,
            **dict.fromkeys(_SETTLES, self._settled),
            "key_created": self._key, "key_revoked": self._key, "policy_activated": self._activated,
            "release_loaded": self._loaded,
        }  # fmt: skip

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log."""
        run = self._runs.get(leaf.run)
        if run is not None and leaf.kind not in _WITH_THE_NEXT:
            run.last = leaf.at
        follow = self._by_kind.get(leaf.kind)
        if follow is not None:
            follow(leaf)

    # what leaves make ------------------------------------------------------------------------------------------------
    def _started(self, leaf: Leaf) -> None:
        self._runs[leaf.run] = _Run(leaf, text(leaf.facts, "release"))

    def _parked(self, leaf: Leaf) -> None:
        if leaf.run in self._runs:
            self._runs[leaf.run].parked = leaf.attempt  # the epoch of the driver that parked it

    def _continued(self, leaf: Leaf) -> None:
        if leaf.run in self._runs:
            run = self._runs[leaf.run]
            run.since, run.last = (run.last, leaf.at), leaf.at

    def _run_moved(self, leaf: Leaf) -> None:
        if leaf.run in self._runs:
            self._runs[leaf.run].release = text(leaf.facts, "to")

    def _ended(self, leaf: Leaf) -> None:
        if leaf.run in self._runs:
            run = self._runs[leaf.run]
            run.reason, run.ended = text(leaf.facts, "reason"), leaf.time

    def _intent(self, leaf: Leaf) -> None:
        self._intents[leaf.id] = leaf
        self._held[leaf.id] = leaf, _amounts(leaf, "reserved")
        waits = self._waits.get(text(table(leaf.facts, "approval"), "pending"))
        if waits is not None:
            waits.decided += not waits.used
            waits.used = waits.used or leaf.id

    def _outcome(self, leaf: Leaf) -> None:
        if text(leaf.facts, "status") == "unknown" and leaf.facts.get("final"):
            return  # it keeps its reservation until a person settles it
        intent = leaf.id.removesuffix("outcome") + "intent"
        if intent in self._held:
            self._released[intent] = minus(self._held[intent][1], _amounts(leaf, "usage"))
        self._came(leaf, intent)

    def _late(self, leaf: Leaf) -> None:
        # What came to light after an unknown outcome settles it; whoever was asked need not answer any more.
        if text(leaf.facts, "status") != "executed":
            return
        self._came(leaf, record_id(leaf.run, bare(leaf.path), leaf.attempt, "intent"))
        for waits in self._waits.values():
            if waits.leaf.run == leaf.run and bare(waits.leaf.path) == bare(leaf.path):
                waits.late = True

    def _came(self, leaf: Leaf, intent: str) -> None:
        self._settle(intent, _amounts(leaf, "usage"))
        reads = intent in self._intents and text(self._intents[intent].facts, "action_kind") in ("tool", "context")
        tainting = text(leaf.facts, "code") == "untrusted" and text(leaf.facts, "status") == "executed"
        run = self._runs.get(leaf.run) if reads and tainting else None
        for one in (run, self._runs.get(text(run.leaf.facts, "parent")) if run is not None else None):
            if one is not None:
                one.tainted = True  # an action within a run taints that run too

    def _resolution(self, leaf: Leaf) -> None:
        intent = self._intents.get(text(leaf.facts, "intent"))
        if intent is not None:
            executed = text(leaf.facts, "status") == "executed" and intent.id in self._held
            self._settle(intent.id, self._held[intent.id][1] if executed else Amounts())
        for waits in self._waits.values():
            asked = waits.leaf
            of_this = intent is not None and (asked.run, asked.attempt) == (intent.run, intent.attempt)
            if of_this and text(asked.facts, "kind") == "unknown" and bare(asked.path) == bare(leaf.path):
                waits.settled, waits.decided = "resolution", waits.decided + 1

    def _settle(self, intent: str, spent: Amounts) -> None:
        held = self._held.pop(intent, None)
        run = self._runs.get(held[0].run) if held is not None else None
        # An action within a run spends that run's budget besides its own.
        for one in (run, self._runs.get(text(run.leaf.facts, "parent")) if run is not None else None):
            if one is not None:
                one.spent = plus(one.spent, spent)

    def _asked(self, leaf: Leaf) -> None:
        self._waits[text(leaf.facts, "pending")] = _Waits(leaf)
        intent = record_id(leaf.run, bare(leaf.path), leaf.attempt, "intent")
        released = self._released.get(intent, Amounts())
        if _after(leaf) and released != Amounts():  # held again until somebody says whether it happened after all
            self._held[intent] = self._intents[intent], released

    def _approved(self, leaf: Leaf) -> None:
        waits = self._waits.get(text(leaf.facts, "pending"))
        if waits is not None:
            waits.given.append({n: leaf.facts[n] for n in ("by", "cure", "key", "sig") if n in leaf.facts})
            waits.decided += 1

    def _settled(self, leaf: Leaf) -> None:
        waits = self._waits.get(text(leaf.facts, "pending"))
        if waits is not None:
            waits.settled, waits.decided = leaf.kind, waits.decided + 1

    def _key(self, leaf: Leaf) -> None:
        self._moved["directory"] += 1
        name = text(leaf.facts, "key")
        if leaf.kind == "key_created":
            self._keys[name] = (leaf, 0)
        elif name in self._keys:
            self._keys[name] = (self._keys[name][0], leaf.time)

    def _activated(self, leaf: Leaf) -> None:
        self._moved["policy"] += 1
        self._bundles[text(leaf.facts, "layer")] = leaf
        self.content[text(leaf.facts, "digest")] = leaf.id

    def _loaded(self, leaf: Leaf) -> None:
        for digest in (text(leaf.facts, "digest"), *table(leaf.facts, "parts").values()):
            self.content[str(digest)] = leaf.id

    # what rows say ---------------------------------------------------------------------------------------------------
    def differences(self, rows: Mapping[type[Row], Sequence[Row]]) -> Iterator[str]:
        """What the rows say otherwise than the leaves, one by one."""
        yield from _matched("run", _of(rows, RunRow), self._runs, self._run)
        yield from _matched("pending", _of(rows, PendingRow), self._waits, self._pending)
        yield from _matched("key", _of(rows, KeyRow), self._keys, self._key_row)
        yield from _matched("policy in force", _of(rows, BundleRow), self._bundles, _bundle)
        # A start costs what its steps cost: it reserves nothing, with a row or without one.
        holds = [row for row in _of(rows, HoldRow) if row.holds]
        there = {row.id for row in holds}
        held = {i: amounts for i, (_, amounts) in self._held.items() if i in there or amounts != Amounts()}
        yield from _matched("reservation", holds, held, _hold)
        yield from _matched("claim", self._claim_rows(rows), self._claims(), _claim)
        yield from _matched("counter", self._epoch_rows(rows), self._counters(), _counter)
        yield from self._budgets(_of(rows, BudgetRow), _of(rows, HoldRow))

    def _run(self, row: RunRow, run: _Run) -> bool:
        facts = run.leaf.facts
        told = (text(facts, "kind"), text(facts, "what"), text(facts, "parent"), run.release, run.reason)
        if (row.kind, row.what, row.parent, row.release, row.reason) != told:
            return True
        if not run.since[0] <= row.since < run.since[1]:
            return True
        if run.ended:
            return row.state != "ended" or not (_near(row.ended, run.ended) and _near(row.started, run.leaf.time))
        # A driver that takes a run counts one more; only one that parks it leaves it waiting.
        epoch = row.epoch == run.parked if row.state == "waiting" else row.epoch >= run.parked
        return not (epoch and row.state in LIVE and not row.ended and _near(row.started, run.leaf.time))

    def _pending(self, row: PendingRow, waits: _Waits) -> bool:
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
        intent, cures = waits.used, row.groups
        if row.kind != "approval":
            default = STANDS if _after(waits.leaf) else "deny"
            same, cures = same and row.default == default, tuple(leaf_cure(cure, self._person) for cure in row.groups)
        if row.kind == "unknown":
            intent = record_id(row.run, bare(row.path), waits.leaf.attempt, "intent")
        same = same and row.intent == intent and self._is_asked_of(cures, waits)
        return not (same and self._stands(row, waits))

    def _is_asked_of(self, cures: Sequence[str], waits: _Waits) -> bool:
        if text(waits.leaf.facts, "kind") != "unknown":
            return cures == texts(table(waits.leaf.facts, "covers"), "cures")
        run = self._runs.get(waits.leaf.run)
        asker = f"project/user:{text(run.leaf.facts, 'by') if run is not None else ''}"
        return cures in (("project/owner",), ("project/owner", asker))

    def _stands(self, row: PendingRow, waits: _Waits) -> bool:
        run = self._runs.get(row.run)
        # Whether something happened that the run was told did not is asked beyond its end, too.
        ended = run is not None and run.ended and not _after(waits.leaf)
        over = waits.settled or ended
        match row.state:
            case "consumed":
                return bool(waits.used)
            case "granted":
                return not (unmet(row.groups, waits.given) or waits.settled or waits.used)
            case "rejected" | "expired":
                return waits.settled == row.state
            case "void":
                return waits.settled in _VOIDS or waits.late or bool(ended)
            case "open":
                return not (over or waits.used) and bool(row.kind != "approval" or unmet(row.groups, waits.given))
            case _:
                return False

    def _key_row(self, row: KeyRow, known: tuple[Leaf, int]) -> bool:
        leaf, revoked = known
        person = text(leaf.facts, "person")
        same = row.groups == texts(leaf.facts, "groups") and row.public == text(leaf.facts, "public")
        same = same and person == self._person(row.person)
        return not (same and (_near(row.revoked, revoked) if revoked else not row.revoked))

    def _claim_rows(self, rows: Mapping[type[Row], Sequence[Row]]) -> list[ClaimRow]:
        # A business key's claim is given back where nothing happened, and no leaf says what its value was.
        return [row for row in _of(rows, ClaimRow) if not row.id.startswith("business:")]

    def _claims(self) -> dict[str, str]:
        return {f"run|{id}": id for id, run in self._runs.items() if run.leaf.facts.get("key") is True}

    def _epoch_rows(self, rows: Mapping[type[Row], Sequence[Row]]) -> list[EpochRow]:
        # A taint is read from the records; its counter only stops what was decided before it.
        # What an action within a run read taints that run, too.
        tainted = [(id, text(run.leaf.facts, "parent")) for id, run in self._runs.items() if run.tainted]
        known = {f"taint:{id}" for pair in tainted for id in pair}
        return [row for row in _of(rows, EpochRow) if row.id not in known]

    def _counters(self) -> dict[str, int]:
        return {name: count for name, count in self._moved.items() if count}

    def _budgets(self, rows: Sequence[BudgetRow], holds: Sequence[HoldRow]) -> Iterator[str]:
        reserved: dict[str, Amounts] = {}
        for hold in (part for row in holds for part in row.holds):
            reserved[hold.node] = plus(reserved.get(hold.node, Amounts()), hold.amounts)
        spent = {f"run/{id}" for id, run in self._runs.items() if run.spent != Amounts()}
        for node in sorted((reserved.keys() | spent) - {row.id for row in rows}):
            yield f"the budget {named(node)} is gone"
        for row in rows:
            if row.reserved != reserved.get(row.id, Amounts()):
                yield f"the budget {named(row.id)} has reserved what no reservation says"
            run = self._runs.get(row.id.removeprefix("run/"))
            if row.id.startswith("run/") and (run is None or run.spent != row.spent):
                yield f"the budget {named(row.id)} is not what its outcomes used"


def _hold(row: HoldRow, held: Amounts) -> bool:
    return any(hold.amounts != held for hold in row.holds)


def _after(asked: Leaf) -> bool:
    return bool(text(table(asked.facts, "covers"), "after"))


def _claim(row: ClaimRow, run: str) -> bool:
    return row.owner != run


def _counter(row: EpochRow, moved: int) -> bool:
    return row.value != moved


def _bundle(row: BundleRow, leaf: Leaf) -> bool:
    told = (text(leaf.facts, "digest"), text(leaf.facts, "name"))
    return (row.digest, row.name) != told or not _near(row.activated, leaf.time)


def _matched(
    what: str, rows: Sequence[Any], expected: Mapping[str, Any], differs: Callable[[Any, Any], bool]
) -> Iterator[str]:
    there = {row.id: row for row in rows}
    for id in sorted(there.keys() | expected.keys()):
        if id not in expected:
            yield f"the {what} {named(id)} is in no leaf"
        elif id not in there:
            yield f"the {what} {named(id)} is gone"
        elif differs(there[id], expected[id]):
            yield f"the {what} {named(id)} is not as the log says"


def _of(rows: Mapping[type[Row], Sequence[Row]], kind: type[R]) -> list[R]:
    return [row for of_kind in rows.values() for row in of_kind if isinstance(row, kind)]


def _amounts(leaf: Leaf, name: str) -> Amounts:
    try:
        return amounts_of(table(leaf.facts, name))
    except (TypeError, ValueError):
        return Amounts()


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= SLACK_US
