"""The matrix: which cases are played, what is counted, and the smallest faults behind what does not hold.

singles      every fault at every point that a run without faults passes
recoveries   every way to die at every append, then every way to die at every point of the recovery from it
pairs        two or three faults drawn by a seed
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Final

from flyball.testing.simulation import shop
from flyball.testing.simulation.case import Played, play
from flyball.testing.simulation.faults import Fault, kinds_at
from flyball.testing.simulation.invariants import no_false_executed, said_last, steps, violations
from flyball.testing.simulation.scenarios import SCENARIOS, Scenario

Faults = tuple[Fault, ...]
DEATHS: Final = ("crash", "torn", "crash_after")
DEATHS_AGAIN: Final = ("crash", "crash_after", "usurp")
# One case in so many is exported and verified as an outsider would: that costs as much as the case itself.
AUDITED: Final = 16
GROUPS: Final = {
    "crash": ("crash", "torn", "crash_after", "outage"),
    "error": ("error", "notdone", "garbage", "invalid"),
    "cancel": ("cancel", "cancel_after"),
    "disk full": ("full", "full_long"),
    "I/O error": ("io_lost", "io_kept"),
    "delay": ("slow", "long", "hang"),
    "twice": ("twice", "repeated", "again", "rival"),
    "late": ("late", "stubborn"),
    "clock": ("forward", "back", "reboot"),
    "owners": ("usurp",),
    "policy": ("closed", "reopened", "enrolled", "stop"),
    "wake-up": ("elsewhere",),
}
_GROUP: Final = {kind: group for group, kinds in GROUPS.items() for kind in kinds}


@dataclass(slots=True)
class Counted:
    """What was played and found; adds up."""

    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    false_executed: int = 0
    failures: list[tuple[str, list[str]]] = field(default_factory=list)

    def add(self, other: Counted) -> None:
        """Adds what was counted elsewhere."""
        self.cases += other.cases
        self.broken += other.broken
        self.calls += other.calls
        self.unknown += other.unknown
        self.false_executed += other.false_executed
        self.failures += other.failures

    def count(self, played: Played, wrong: Sequence[str], mode: str) -> None:
        """Counts one case under its scenario and the group of its fault, or its mode where there are several."""
        faults = played.faults
        group = _GROUP[faults[0].kind] if len(faults) == 1 else mode if faults else "none"
        self.cases[played.scenario.name, group] += 1
        self.broken[played.scenario.name, group] += bool(wrong)
        self.false_executed += sum(1 for _ in no_false_executed(played))
        for records in steps(played).values():
            tool = next(str(r.facts["action"]) for r in records if "action" in r.facts)
            how = shop.TOOLS[tool].action.idempotency
            last = [r for r in records if r.kind == "outcome"]
            self.calls[how] += bool(last)
            self.unknown[how] += bool(last) and last[-1].facts["status"] == "unknown" and said_last(records) is not None
        if wrong:
            self.failures.append((played.command, list(wrong)))


def singles(scenario: Scenario, seed: int = 0) -> Iterator[Faults]:
    """Every fault at every point that a run without faults passes, and none."""
    yield ()
    for point in play(scenario, seed).points:
        for kind in kinds_at(point.name):
            yield (Fault(point.name, kind),)


def recoveries(scenario: Scenario, seed: int = 0) -> Iterator[Faults]:
    """Every death at every append, then a death at every point that the recovery from it passes."""
    for point in play(scenario, seed).points:
        for kind in DEATHS if point.name.startswith("j") else ():
            first = Fault(point.name, kind)
            passed = [p.name for p in play(scenario, seed, (first,)).points]
            for name in passed[passed.index(point.name) + 1 :]:
                for again in DEATHS_AGAIN:
                    if again in kinds_at(name):
                        yield first, Fault(name, again)


def pairs(scenario: Scenario, seed: int, count: int) -> Iterator[Faults]:
    """Two or three faults, each at a point that the case with those before it passes."""
    chance = Random(f"{scenario.name}/{seed}")
    for _ in range(count):
        faults: Faults = ()
        after = ""
        for _ in range(chance.choice((2, 2, 3))):
            names = [p.name for p in play(scenario, seed, faults).points]
            later = names[names.index(after) + 1 :] if after in names else names
            if not later:
                break
            after = chance.choice(later)
            faults = (*faults, Fault(after, chance.choice(kinds_at(after))))
        yield faults


def chosen(name: str, mode: str, seed: int, count: int) -> list[Faults]:
    """The cases of a scenario in one mode."""
    scenario = SCENARIOS[name]
    if mode == "singles":
        return list(singles(scenario, seed))
    return list(recoveries(scenario, seed) if mode == "recoveries" else pairs(scenario, seed, count))


def run_cases(name: str, mode: str, seed: int, cases: Sequence[Faults]) -> Counted:
    """Plays these cases of a scenario and counts what was found."""
    counted = Counted()
    for number, faults in enumerate(cases):
        played = play(SCENARIOS[name], seed, faults, audit=number % AUDITED == 0)
        wrong = violations(played)
        if wrong and len(faults) > 1:
            smallest = play(SCENARIOS[name], seed, shrunk(SCENARIOS[name], seed, faults))
            wrong = [smallest.command, *(violations(smallest) or wrong)]
        counted.count(played, wrong, mode)
    return counted


def shrunk(scenario: Scenario, seed: int, faults: Faults) -> Faults:
    """The smallest part of these faults that still breaks something."""
    for number in range(len(faults)):
        fewer = faults[:number] + faults[number + 1 :]
        if fewer and violations(play(scenario, seed, fewer)):
            return shrunk(scenario, seed, fewer)
    return faults


def table(counted: Counted) -> str:
    """What was counted, as text: a row for each scenario, a column for each group of faults."""
    groups = [g for g in ("none", *GROUPS, "recoveries", "pairs") if any(at[1] == g for at in counted.cases)]
    rows = [["scenario", *groups, "cases", "violations"]]
    for name in [n for n in SCENARIOS if any(at[0] == n for at in counted.cases)]:
        cells = [_cell(counted.cases[name, g], counted.broken[name, g]) for g in groups]
        mine = [sum(c[name, g] for g in groups) for c in (counted.cases, counted.broken)]
        rows.append([name, *cells, *map(str, mine)])
    total, broken = sum(counted.cases.values()), sum(counted.broken.values())
    all_of = [_cell(sum(v for at, v in counted.cases.items() if at[1] == g), 0) for g in groups]
    rows.append(["all", *all_of, str(total), str(broken)])
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = ["  ".join(_aligned(row, widths)) for row in rows]
    return "\n".join([*lines, "", *_shares(counted)])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.rjust(width) if number else cell.ljust(width)


def _cell(cases: int, broken: int) -> str:
    return "" if not cases else f"{cases}" + (f" ({broken} broken)" if broken else "")


def _shares(counted: Counted) -> Iterator[str]:
    yield "calls that ended unknown, so that a person was asked:"
    for how in ("key", "probe", "none"):
        calls, unknown = counted.calls[how], counted.unknown[how]
        yield f"  {how:<6} {unknown:>6} of {calls:>7} calls  {100 * unknown / max(calls, 1):5.1f} %"
    yield f"false executed: {counted.false_executed}"
