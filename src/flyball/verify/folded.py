"""What a log's leaves come to, one after the other: runs, what waits, keys, policies, reservations, counters.

`rows` compares this with what a journal keeps. All that grows with the log is small here, and looked up by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from flyball.core.approval import unmet
from flyball.core.budget import ZERO, Amounts, minus, plus
from flyball.core.caps import APPROVAL, DENIAL, QUESTION
from flyball.core.effect import READING
from flyball.core.memory import FACT
from flyball.core.outcome import amounts_of
from flyball.core.record import record_id
from flyball.core.steps import bare
from flyball.verify.leaf import Leaf, number, table, text, texts
from flyball.verify.runs import DRIVEN

_SETTLES: Final = frozenset({"rejected", "edited", "expired", "voided", "answered"})
# What its driver alone records, and never in one append with the record that a run goes on with a fresh history. What
# others record may come between the driver's look at the log and that append.
_BEFORE: Final = DRIVEN - {"marker", "run_continued"}


@dataclass(slots=True)
class Run:
    """A run: its start and what followed. `since` are the least index, and one more than the greatest, after which
    the records of its present generation begin; `parked` is the epoch of the driver that parked it; `asking` is what
    is open counts as at its budget."""

    leaf: Leaf
    release: str
    reason: str = ""
    ended: int = 0
    parked: int = 0
    since: tuple[int, int] = (-1, 0)
    last: int = -1
    spent: Amounts = Amounts()
    asking: Amounts = Amounts()


@dataclass(slots=True)
class Waits:
    """Something that was asked, what people said, how often that changed it, and what it counts as while it is open."""

    leaf: Leaf
    given: list[dict[str, Any]] = field(default_factory=list)
    settled: str = ""
    used: str = ""
    late: bool = False
    decided: int = 0
    counts: Amounts = Amounts()


class Intent(NamedTuple):
    """What is remembered of an intent; `reads`: what it comes to can taint, as a tool's and a context source's can."""

    run: str
    attempt: int
    reads: bool
    reserved: Amounts


class Folded:
    """Folds leaves. `keys` are by id with the time of their end; `held` are open reservations; `tainted` are the names
    of counters of tainted runs; `content` are the digests that the log names."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.waits: dict[str, Waits] = {}
        self.keys: dict[str, tuple[Leaf, int]] = {}
        self.bundles: dict[str, Leaf] = {}
        self.held: dict[str, Intent] = {}
        self.claims: dict[str, str] = {}
        self.counters: dict[str, int] = {}
        self.tainted: set[str] = set()
        self.content: dict[str, str] = {}
        self._intents: dict[str, Intent] = {}
        self._released: dict[str, Amounts] = {}
        self._asked_in: dict[str, list[Waits]] = {}
        self._by_kind: Mapping[str, Callable[[Leaf], None]] = {
            "run_started": self._started, "run_parked": self._parked, "run_moved": self._run_moved,
            "run_continued": self._continued,
            "run_ended": self._ended, "decision": self._denied, "intent": self._intent, "outcome": self._outcome,
            "late": self._late, "resolution": self._resolution, "asked": self._asked, "approved": self._approved,
            **dict.fromkeys(_SETTLES, self._settled),
            "key_created": self._key, "key_revoked": self._key, "policy_activated": self._activated,
            "release_loaded": self._loaded, "forgotten": self._memory, "artifact": self._kept,
        }  # fmt: skip

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log."""
        run = self.runs.get(leaf.run)
        if run is not None and leaf.kind in _BEFORE and not contradicts(leaf):
            run.last = leaf.at
        follow = self._by_kind.get(leaf.kind)
        if follow is not None:
            follow(leaf)

    def _started(self, leaf: Leaf) -> None:
        self.runs[leaf.run] = Run(leaf, text(leaf.facts, "release"))
        if leaf.facts.get("key") is True:
            self.claims[f"run|{leaf.run}"] = leaf.run
        if "session" in leaf.facts:
            self.claims[f"turn|{text(leaf.facts, 'session')}/{number(leaf.facts, 'turn')}"] = leaf.run

    def _parked(self, leaf: Leaf) -> None:
        if leaf.run in self.runs:
            self.runs[leaf.run].parked = leaf.attempt  # the epoch of the driver that parked it

    def _continued(self, leaf: Leaf) -> None:
        if leaf.run in self.runs:
            run = self.runs[leaf.run]
            run.since, run.last = (run.last, leaf.at), leaf.at

    def _run_moved(self, leaf: Leaf) -> None:
        if leaf.run in self.runs:
            self.runs[leaf.run].release = text(leaf.facts, "to")

    def _ended(self, leaf: Leaf) -> None:
        if leaf.run in self.runs:
            run = self.runs[leaf.run]
            run.reason, run.ended = text(leaf.facts, "reason"), leaf.time
        for waits in self._asked_in.get(leaf.run, ()):
            self._close(waits)

    def _denied(self, leaf: Leaf) -> None:
        if "capped" not in leaf.facts:
            self._spend(leaf.run, DENIAL)

    def _intent(self, leaf: Leaf) -> None:
        reads = text(leaf.facts, "action_kind") in READING
        intent = Intent(leaf.run, leaf.attempt, reads, amounts(leaf, "reserved"))
        self._intents[leaf.id] = self.held[leaf.id] = intent
        waits = self.waits.get(text(table(leaf.facts, "approval"), "pending"))
        if waits is not None:
            waits.decided += not waits.used
            waits.used = waits.used or leaf.id

    def _memory(self, leaf: Leaf) -> None:
        if FACT in leaf.facts:
            self._count(FACT)

    def _outcome(self, leaf: Leaf) -> None:
        self._memory(leaf)
        if text(leaf.facts, "status") == "unknown" and leaf.facts.get("final"):
            return  # it keeps its reservation until a person settles it
        intent = leaf.id.removesuffix("outcome") + "intent"
        if intent in self.held:
            self._released[intent] = minus(self.held[intent].reserved, amounts(leaf, "usage"))
        self._came(leaf, intent)

    def _late(self, leaf: Leaf) -> None:
        # What came to light after an unknown outcome settles it; whoever was asked need not answer any more.
        if text(leaf.facts, "status") != "executed":
            return
        self._came(leaf, record_id(leaf.run, bare(leaf.path), leaf.attempt, "intent"))
        for waits in self._asked_in.get(leaf.run, ()):
            if bare(waits.leaf.path) == bare(leaf.path):
                waits.late = True

    def _came(self, leaf: Leaf, intent: str) -> None:
        self._settle(intent, amounts(leaf, "usage"))
        known = self._intents.get(intent)
        tainting = text(leaf.facts, "code") == "untrusted" and text(leaf.facts, "status") == "executed"
        if known is not None and known.reads and tainting:
            for run in self.of(leaf.run):  # an action within a run taints that run too
                self.tainted.update((f"taint:{run.leaf.run}", f"taint:{text(run.leaf.facts, 'parent')}"))

    def _resolution(self, leaf: Leaf) -> None:
        name = text(leaf.facts, "intent")
        intent = self._intents.get(name)
        if intent is None:
            return
        happened = text(leaf.facts, "status") == "executed" and name in self.held
        self._settle(name, self.held[name].reserved if happened else Amounts())
        for waits in self._asked_in.get(intent.run, ()):
            asked = waits.leaf
            unknown = text(asked.facts, "kind") == "unknown" and asked.attempt == intent.attempt
            if unknown and bare(asked.path) == bare(leaf.path):
                waits.settled, waits.decided = "resolution", waits.decided + 1

    def _settle(self, intent: str, spent: Amounts) -> None:
        held = self.held.pop(intent, None)
        if held is not None:
            self._spend(held.run, spent)

    def _spend(self, id: str, spent: Amounts) -> None:
        for run in self.of(id):
            run.spent = plus(run.spent, spent)

    def of(self, id: str) -> Iterator[Run]:
        """A run, and the one that it acts within: what an action does, that run does besides the action's own."""
        run = self.runs.get(id)
        for one in (run, self.runs.get(text(run.leaf.facts, "parent")) if run is not None else None):
            if one is not None:
                yield one

    def _asked(self, leaf: Leaf) -> None:
        self.waits[text(leaf.facts, "pending")] = waits = Waits(leaf, counts=counted(text(leaf.facts, "kind")))
        self._asked_in.setdefault(leaf.run, []).append(waits)
        for run in self.of(leaf.run):
            run.asking = plus(run.asking, waits.counts)
        intent = record_id(leaf.run, bare(leaf.path), leaf.attempt, "intent")
        released = self._released.get(intent, Amounts())
        if contradicts(leaf) and released != Amounts():  # held again until somebody says whether it happened after all
            self.held[intent] = self._intents[intent]._replace(reserved=released)

    def _approved(self, leaf: Leaf) -> None:
        waits = self.waits.get(text(leaf.facts, "pending"))
        if waits is not None:
            waits.given.append({n: leaf.facts[n] for n in ("by", "cure", "key", "sig") if n in leaf.facts})
            waits.decided += 1
            if not unmet(texts(table(waits.leaf.facts, "covers"), "cures"), waits.given):
                self._close(waits)

    def _close(self, waits: Waits) -> None:
        for run in self.of(waits.leaf.run):
            run.asking = minus(run.asking, waits.counts)
            run.spent = plus(run.spent, replace(waits.counts, open_approvals=0))
        waits.counts = ZERO

    def _settled(self, leaf: Leaf) -> None:
        waits = self.waits.get(text(leaf.facts, "pending"))
        if waits is not None:
            waits.settled, waits.decided = leaf.kind, waits.decided + 1
            self._close(waits)
            asked = waits.leaf
            if leaf.kind == "voided" and text(asked.facts, "kind") == "unknown":
                # An earlier attempt under the same key came to something: it was one call, and that one counts.
                self.held.pop(record_id(asked.run, bare(asked.path), asked.attempt, "intent"), None)

    def _kept(self, leaf: Leaf) -> None:
        for run in (self.runs.get(id) for id in texts(leaf.facts, "runs")):
            if run is not None:
                run.spent = plus(run.spent, Amounts(stored=number(leaf.facts, "size")))

    def _key(self, leaf: Leaf) -> None:
        self._count("directory")
        name = text(leaf.facts, "key")
        if leaf.kind == "key_created":
            self.keys[name] = (leaf, 0)
        elif name in self.keys:
            self.keys[name] = (self.keys[name][0], leaf.time)

    def _count(self, name: str) -> None:
        self.counters[name] = self.counters.get(name, 0) + 1

    def _activated(self, leaf: Leaf) -> None:
        self._count("policy")
        self.bundles[text(leaf.facts, "layer")] = leaf
        self.content[text(leaf.facts, "digest")] = leaf.id

    def _loaded(self, leaf: Leaf) -> None:
        for digest in (text(leaf.facts, "digest"), *table(leaf.facts, "parts").values()):
            self.content[str(digest)] = leaf.id


def counted(kind: str) -> Amounts:
    """What something that is asked counts as at its run; what became of an action is asked whatever it counts as."""
    return {"approval": APPROVAL, "question": QUESTION}.get(kind, ZERO)


def contradicts(asked: Leaf) -> bool:
    """Whether this asks if something happened that the log says did not: whoever finds out asks, not the driver."""
    return bool(text(table(asked.facts, "covers"), "after"))


def amounts(leaf: Leaf, name: str) -> Amounts:
    """A fact that is an amount of each dimension; none where it is anything else."""
    told = table(leaf.facts, name)
    try:
        return amounts_of(told) if all(type(amount) is int for amount in told.values()) else Amounts()
    except TypeError:
        return Amounts()
