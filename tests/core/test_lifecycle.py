"""Lifecycles are tables; what they do not allow does not happen."""

from __future__ import annotations

from typing import get_args

import pytest

from flyball.core.lifecycle import DUE, LIVE, QUEUED, SETTLED, WAKEABLE, ApprovalState, Machine, RunState, moved, states

EVENTS = {
    "run": ("park", "take", "end", "wake"),
    "action": ("ask", "block", "intend", "execute", "fail", "lose", "interrupt", "skip", "compensate"),
    "approval": ("grant", "complete", "reject", "edit", "expire", "void", "consume"),
}


@pytest.mark.parametrize("machine", ["run", "action", "approval"])
def test_every_move_stays_in_the_machine(machine: Machine) -> None:
    for state in states(machine):
        for event in EVENTS[machine]:
            assert moved(machine, state, event) in states(machine) | {None}


@pytest.mark.parametrize("event", EVENTS["run"])
def test_an_ended_run_stays_ended(event: str) -> None:
    assert moved("run", "ended", event) is None


@pytest.mark.parametrize("state", sorted(LIVE))
def test_a_live_run_can_be_taken_woken_and_ended(state: str) -> None:
    assert moved("run", state, "take") == "running"
    assert moved("run", state, "wake") is not None
    assert moved("run", state, "end") == "ended"


def test_waking_makes_ready_only_who_waits() -> None:
    assert {state for state in LIVE if moved("run", state, "wake") != state} == WAKEABLE


@pytest.mark.parametrize("state", ["consumed", "rejected", "expired", "void"])
def test_a_closed_approval_is_never_granted(state: str) -> None:
    assert all(moved("approval", state, event) is None for event in EVENTS["approval"])


@pytest.mark.promise("gate-approval-used-once")
def test_only_a_granted_approval_is_consumed() -> None:
    assert {state for state in states("approval") if moved("approval", state, "consume")} == {"granted"}


@pytest.mark.parametrize("state", ["executed", "blocked", "compensated", "unknown"])
def test_what_may_have_happened_is_not_intended_again(state: str) -> None:
    assert moved("action", state, "intend") is None


def test_an_unknown_outcome_can_become_known() -> None:
    assert (moved("action", "unknown", "execute"), moved("action", "unknown", "fail")) == ("executed", "failed")


def test_a_word_that_is_not_in_the_table_moves_nothing() -> None:
    assert moved("run", "running", "teleport") is None
    assert moved("run", "sleeping", "wake") is None


def test_the_named_sets_are_states() -> None:
    assert QUEUED in LIVE and LIVE | DUE | WAKEABLE | {"ended"} == states("run") == set(get_args(RunState))
    assert states("action") > SETTLED
    assert states("approval") == set(get_args(ApprovalState))
