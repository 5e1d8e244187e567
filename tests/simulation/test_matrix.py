"""The fault matrix in its short form: every fault where an effect is near, deaths in recovery, and pairs by seed."""

from __future__ import annotations

import pytest

from flyball.testing.simulation.case import play
from flyball.testing.simulation.faults import Fault
from flyball.testing.simulation.invariants import violations
from flyball.testing.simulation.matrix import pairs, recoveries, singles
from flyball.testing.simulation.scenarios import SCENARIOS

# A prime number of cases apart: so that over the scenarios every kind of fault comes at every kind of point.
STRIDE, RECOVERIES, PAIRS = 17, 83, 2


def check(name: str, faults: tuple[Fault, ...], seed: int = 0) -> None:
    played = play(SCENARIOS[name], seed, faults)
    wrong = violations(played)
    assert wrong == [], f"replay it: {played.command}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_breaks_where_nothing_goes_wrong(name: str) -> None:
    played = play(SCENARIOS[name], audit=True)
    assert violations(played) == [] and not played.story.errors and not played.story.unknown


@pytest.mark.promise("journal-one-fault-breaks-nothing")
@pytest.mark.parametrize("name", SCENARIOS)
def test_one_fault_breaks_nothing(name: str) -> None:
    start = list(SCENARIOS).index(name) % STRIDE
    for faults in list(singles(SCENARIOS[name]))[start::STRIDE]:
        check(name, faults)


@pytest.mark.promise("journal-one-fault-breaks-nothing")
@pytest.mark.parametrize("name", ["key", "probe", "neither", "approve", "asks_abreast"])
def test_dying_in_recovery_breaks_nothing(name: str) -> None:
    for faults in list(recoveries(SCENARIOS[name]))[::RECOVERIES]:
        check(name, faults)


@pytest.mark.promise("journal-one-fault-breaks-nothing")
@pytest.mark.parametrize("name", SCENARIOS)
def test_pairs_of_faults_break_nothing(name: str) -> None:
    for faults in pairs(SCENARIOS[name], 7, PAIRS):
        check(name, faults, 7)
