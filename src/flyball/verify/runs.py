"""Is every run complete: does each intent have its outcome, is no step missing, is nothing added after the end?

Rules:

* A run begins with `run_started` (or with the gate's records of its own start, path ``0``).
* An outcome follows its intent; an intent without one is open and listed, never forgiven in silence.
* A later outcome needs a first one; a person's resolution an outcome `unknown`, or one that a later one contradicts.
* Attempts of one step count up without a gap. In an ended run the ordinals under one parent are 1 to n.
* After `run_ended` its driver records nothing more; outcomes that came late and people's records may follow.
* After a denial nothing runs at that step without a new decision; what needed an approval does not run without one
  while arguments and policies are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from flyball.core.doubt import meaning
from flyball.core.kinds import KINDS
from flyball.core.record import NO_RUN, record_id
from flyball.core.steps import START, TRACED, gaps
from flyball.verify.leaf import Leaf, step_of, table, text, texts
from flyball.verify.report import Check, Findings, counted, named

# What only the driver of a run records, under its fence: none of it can follow the end.
DRIVEN: Final = frozenset({
    "run_started", "run_parked", "run_continued", "run_ended", "decision", "intent", "asked", "delivered", "state",
    "signal", "marker", "timer", "not_awaited",
})  # fmt: skip
STATUSES: Final = frozenset({"executed", "failed", "unknown", "interrupted", "not_started"})
_INTENDED: Final = frozenset({"allow", "modify", "require_approval"})
_DECIDED: Final = frozenset({"deny", "require_approval"})


@dataclass(slots=True)
class _Run:
    ended: bool = False
    paths: set[str] = field(default_factory=set)
    open: dict[tuple[str, int], str] = field(default_factory=dict)
    closed: dict[tuple[str, int], str] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    decided: dict[str, Leaf] = field(default_factory=dict)
    contradicted: set[tuple[str, int, str]] = field(default_factory=set)


class Runs:
    """Follows every run through the log, leaf by leaf."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._doubted: set[str] = set()
        self._intents = self._ended = 0
        self._order, self._outcomes = Findings("runs"), Findings("outcomes")
        self._steps, self._denials = Findings("steps"), Findings("denials")
        follow: Mapping[str, Callable[[_Run, Leaf], None]] = {
            "intent": self._intent, "outcome": self._outcome, "late": self._late, "resolution": self._resolution,
            "decision": self._decision, "delivered": self._delivered, "run_ended": self._end,
        }  # fmt: skip
        # One look for each leaf: is it its driver's, does it belong to a step, who follows it.
        self._by_kind = {kind: (kind in DRIVEN, kind in TRACED, follow.get(kind)) for kind in KINDS}

    def see(self, leaf: Leaf) -> None:
        """Takes the next leaf of the log."""
        if leaf.run == NO_RUN:
            return
        run = self._runs.get(leaf.run)
        if run is None:
            run = self._runs[leaf.run] = _Run()
            if leaf.kind != "run_started" and step_of(leaf.path) != START:
                self._order.add(f"the first record of run {named(leaf.run)} is {named(leaf.id)}, not its start")
        driven, step, follow = self._by_kind[leaf.kind]
        if driven and run.ended and not self._contradicted(run, leaf):
            self._order.add(f"{named(leaf.id)} comes after the end of its run")
        if step:
            run.paths.add(leaf.path)
        if follow is not None:
            follow(run, leaf)

    def open_intents(self) -> tuple[str, ...]:
        """The ids of the intents whose outcome nobody recorded."""
        return tuple(id for run in self._runs.values() for id in run.open.values())

    def checks(self) -> Iterable[Check]:
        """What was found, once the last leaf was seen."""
        still = len(self.open_intents())
        yield self._order.check(f"{counted(len(self._runs), 'run')}, {self._ended} ended, nothing after an end")
        yield self._outcomes.check(f"{counted(self._intents, 'intent')}, {still} open, all others have their outcome")
        yield self._steps.check(f"no step is missing in {counted(self._ended, 'ended run')}")
        yield self._denials.check("nothing ran that was denied")

    def _intent(self, run: _Run, leaf: Leaf) -> None:
        self._intents += 1
        step = step_of(leaf.path)
        before = run.attempts.get(step, 0)
        if leaf.attempt > before + 1:
            self._steps.add(f"{named(leaf.id)}: attempt {before + 1} is missing before it")
        run.attempts[step] = max(before, leaf.attempt)
        run.open[leaf.path, leaf.attempt] = leaf.id
        if text(leaf.facts, "outcome") not in _INTENDED:
            self._denials.add(f"{named(leaf.id)} is an intent under the verdict {named(leaf.facts.get('outcome'))}")
        decision = run.decided.get(step)
        if decision is not None:
            self._after(decision, leaf)

    def _after(self, decision: Leaf, intent: Leaf) -> None:
        if text(decision.facts, "outcome") == "deny":
            self._denials.add(f"{named(intent.id)} was intended although {named(decision.id)} denied it")
            return
        same = decision.commit.get("args") == intent.commit.get("args")
        same = same and sorted(texts(decision.facts, "bundles")) == sorted(texts(intent.facts, "bundles"))
        if same and not intent.facts.get("approval"):
            self._denials.add(f"{named(intent.id)} ran without the approval that {named(decision.id)} asked for")

    def _delivered(self, run: _Run, leaf: Leaf) -> None:
        # What lost against a timer before it began left no record of its own.
        run.paths.update(texts(leaf.facts, "steps"))

    def _decision(self, run: _Run, leaf: Leaf) -> None:
        if text(leaf.facts, "outcome") not in _DECIDED:
            self._denials.add(f"{named(leaf.id)} is a decision with the verdict {named(leaf.facts.get('outcome'))}")
        run.decided[step_of(leaf.path)] = leaf

    def _outcome(self, run: _Run, leaf: Leaf) -> None:
        intent = run.open.pop((leaf.path, leaf.attempt), None)
        if intent is None:
            self._outcomes.add(f"{named(leaf.id)} has no intent before it")
            return
        status = text(leaf.facts, "status")
        if status not in STATUSES:
            self._outcomes.add(f"{named(leaf.id)} has the status {named(leaf.facts.get('status'))}")
        run.closed[leaf.path, leaf.attempt] = status
        if meaning(status, "executed", effect="") == "settles":
            self._doubted.add(intent)

    def _late(self, run: _Run, leaf: Leaf) -> None:
        path = leaf.path.partition("~")[0]
        first = run.closed.get((path, leaf.attempt))
        if first is None:
            self._outcomes.add(f"{named(leaf.id)} has no outcome before it")
        elif meaning(first, text(leaf.facts, "status"), effect="") == "asks":
            run.contradicted.add((step_of(path), leaf.attempt, first))
            self._doubted.add(record_id(leaf.run, path, leaf.attempt, "intent"))

    def _contradicted(self, run: _Run, leaf: Leaf) -> bool:
        # Whether something happened that the log says did not is asked by whoever finds out, after the end too.
        after = text(table(leaf.facts, "covers"), "after")
        return leaf.kind == "asked" and (step_of(leaf.path), leaf.attempt, after) in run.contradicted

    def _resolution(self, run: _Run, leaf: Leaf) -> None:
        if text(leaf.facts, "intent") not in self._doubted:
            self._outcomes.add(f"{named(leaf.id)} settles an intent whose outcome was neither unknown nor contradicted")

    def _end(self, run: _Run, leaf: Leaf) -> None:
        if run.ended:
            return
        run.ended = True
        self._ended += 1
        for missing in gaps(run.paths):
            self._steps.add(f"run {named(leaf.run)} ended without step {named(missing)}")
        run.paths.clear()
        run.decided.clear()
