"""Would the simulation see it? The runtime is broken on purpose, in one place at a time, and a case shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flyball.core import admission, outcome
from flyball.core.effect import Action
from flyball.runtime import recover
from flyball.testing.simulation.case import play
from flyball.testing.simulation.faults import parse
from flyball.testing.simulation.invariants import violations
from flyball.testing.simulation.scenarios import SCENARIOS

Patch = pytest.MonkeyPatch


def nothing(*_: object) -> None:
    return None


def unsynced(patch: Patch) -> None:
    patch.setattr(Action, "pure_read", property(lambda _: True))


def retried(patch: Patch) -> None:
    patch.setattr(recover, "may_retry", lambda action, certain: True)


def unchecked(name: str) -> Callable[[Patch], None]:
    def broken(patch: Patch) -> None:
        left = tuple(check for check in admission._CHECKS if check.__name__ != name)
        assert len(left) < len(admission._CHECKS)
        patch.setattr(admission, "_CHECKS", left)

    return broken


def unsettled(patch: Patch) -> None:
    patch.setattr(admission, "_settle", nothing)


def forgotten(patch: Patch) -> None:
    patch.setattr(outcome.Past, "open_intent", nothing)


def hasty(patch: Patch) -> None:
    patch.setattr(recover, "GRACE_US", -(10**12))


def undecided(patch: Patch) -> None:
    patch.setattr(recover.Recover, "known", nothing)


BROKEN: list[tuple[str, Callable[[Patch], None], str, str, str]] = [
    ("T1 is not durable before the effect", unsynced, "neither", "", "intended_before"),
    ("what is unknown is tried again", retried, "neither", "r1.applied=error", "once"),
    ("a spent approval is not used up", unchecked("_consumed"), "approve", "", "approved_once"),
    ("reservations are not settled", unsettled, "key", "", "budgets_conserved"),
    ("budgets are not looked at", unchecked("_budgeted"), "budget", "", "budgets_conserved"),
    ("an intent without an outcome is forgotten", forgotten, "neither", "r1.applied=crash", "once"),
    ("the epochs of a verdict are not checked", unchecked("_seen"), "key", "j6=closed", "policy_in_force"),
    ("a probe's no is believed at once", hasty, "probe", "r1.before=late", "once"),
    ("what was told is not told again", undecided, "subflow", "j9=crash", "once"),
]


@pytest.mark.parametrize(
    ("what", "broken", "name", "faults", "by"), BROKEN, ids=[b[0].replace(" ", "-") for b in BROKEN]
)
def test_a_broken_runtime_is_caught(
    what: str, broken: Callable[[Patch], Any], name: str, faults: str, by: str, monkeypatch: Patch
) -> None:
    assert violations(play(SCENARIOS[name], 0, parse(faults))) == []
    broken(monkeypatch)
    wrong = violations(play(SCENARIOS[name], 0, parse(faults)))
    assert any(each.startswith(f"{by}:") for each in wrong), f"{what}: {wrong}"
