from __future__ import annotations

from typing import Any

import pytest

from flyball.verify.leaf import Leaf
from flyball.verify.runs import Runs
from tests.verify.leaves import at, found

ARGS = {"args": "ab" * 32}


def begun(run: str = "r-1") -> Leaf:
    return at("run_started", run=run)


def intent(path: str, attempt: int = 1, verdict: str = "allow", **facts: Any) -> Leaf:
    return at("intent", path, {"outcome": verdict, "bundles": ["b"], **facts}, attempt=attempt, commit=ARGS)


def outcome(path: str, attempt: int = 1, status: str = "executed") -> Leaf:
    return at("outcome", path, {"status": status}, attempt=attempt)


def decision(path: str, verdict: str = "deny") -> Leaf:
    return at("decision", path, {"outcome": verdict, "bundles": ["b"]}, attempt=1, commit=ARGS)


def ended() -> Leaf:
    return at("run_ended", facts={"reason": "completed", "ok": True})


def problems(*leaves: Leaf) -> dict[str, tuple[str, ...]]:
    return found(read(*leaves).checks())


def read(*leaves: Leaf) -> Runs:
    runs = Runs()
    for leaf in leaves:
        runs.see(leaf)
    return runs


def test_a_complete_run_has_no_findings() -> None:
    steps = [intent("1"), outcome("1"), intent("2"), outcome("2", status="failed"), intent("2", 2), outcome("2", 2)]
    assert problems(begun(), *steps, at("delivered", "3"), at("marker", "3.1"), ended()) == {}


@pytest.mark.promise("journal-open-intents-are-listed")
def test_an_intent_without_an_outcome_is_open_not_wrong() -> None:
    runs = read(begun(), intent("1"), outcome("1"), intent("2"))
    assert found(runs.checks()) == {}
    assert runs.open_intents() == ("r-1/2/1/intent",)


def test_an_intent_of_an_ended_run_stays_open() -> None:
    assert read(begun(), intent("1"), ended()).open_intents() == ("r-1/1/1/intent",)


def test_a_run_begins_with_its_start() -> None:
    assert "not its start" in problems(intent("1"))["runs"][0]


def test_the_gates_record_of_a_start_may_come_first() -> None:
    assert problems(decision("0"), begun()) == {}


@pytest.mark.parametrize(
    "leaf", [at("intent", "1", {"outcome": "allow"}, attempt=1), at("run_ended", "2"), at("asked", "1#1")]
)
def test_a_driver_records_nothing_after_the_end(leaf: Leaf) -> None:
    assert "after the end" in problems(begun(), ended(), leaf)["runs"][0]


def test_an_outcome_and_peoples_records_may_follow_the_end() -> None:
    late = at("late", "1~5", {"status": "executed"}, attempt=1)
    assert problems(begun(), intent("1"), ended(), outcome("1"), late, at("expired", "2!1"), at("score", "1")) == {}


def test_an_outcome_needs_its_intent() -> None:
    assert "no intent" in problems(begun(), intent("1"), outcome("1", 2))["outcomes"][0]
    assert "no intent" in problems(begun(), outcome("1"), intent("1"))["outcomes"][0]


def test_a_second_outcome_of_an_attempt_is_not_an_outcome() -> None:
    assert "no intent" in problems(begun(), intent("1"), outcome("1"), outcome("1"))["outcomes"][0]


@pytest.mark.parametrize("status", ["", "fine", None])
def test_an_outcome_has_a_status_of_the_table(status: Any) -> None:
    assert "has the status" in problems(begun(), intent("1"), outcome("1", status=status))["outcomes"][0]


def test_a_late_outcome_needs_a_first_one() -> None:
    late = at("late", "1~5", {"status": "executed"}, attempt=1)
    assert "no outcome" in problems(begun(), intent("1"), late)["outcomes"][0]


def test_a_person_settles_only_what_was_unknown_or_contradicted() -> None:
    settled = at("resolution", "1!1", {"intent": "r-1/1/1/intent", "status": "executed"})
    late = at("late", "1~5", {"status": "executed"}, attempt=1)
    assert problems(begun(), intent("1"), outcome("1", status="unknown"), settled) == {}
    assert problems(begun(), intent("1"), outcome("1", status="failed"), late, settled) == {}
    for first in ((outcome("1"),), (outcome("1", status="failed"),), (outcome("1"), late)):
        assert "neither unknown" in problems(begun(), intent("1"), *first, settled)["outcomes"][0]


def test_after_the_end_only_what_contradicts_the_run_is_asked() -> None:
    late = at("late", "1~5", {"status": "executed"}, attempt=1)
    asked = at("asked", "1?", {"kind": "unknown", "covers": {"after": "failed"}}, attempt=1)
    run = (begun(), intent("1"), outcome("1", status="failed"), ended())
    assert problems(*run, late, asked) == {}
    assert "after the end" in problems(*run, asked)["runs"][0]
    plain = at("asked", "1?", {"kind": "unknown", "covers": {}}, attempt=1)
    assert "after the end" in problems(*run, late, plain)["runs"][0]


@pytest.mark.promise("journal-open-intents-are-listed")
def test_a_missing_attempt_is_named() -> None:
    assert "attempt 1 is missing" in problems(begun(), intent("1", 2))["steps"][0]
    assert "attempt 2 is missing" in problems(begun(), intent("1", 1), outcome("1", 1), intent("1", 3))["steps"][0]


@pytest.mark.promise("journal-open-intents-are-listed")
def test_a_missing_step_of_an_ended_run_is_named() -> None:
    assert problems(begun(), at("delivered", "1"), at("timer", "3"), ended()) == {
        "steps": ("run r-1 ended without step 2",)
    }
    assert problems(begun(), at("delivered", "1"), at("timer", "3")) == {}


def test_nothing_runs_after_a_denial() -> None:
    assert "denied it" in problems(begun(), decision("1"), intent("1"))["denials"][0]


def test_a_new_decision_may_lift_a_denial() -> None:
    lifted = intent("1", verdict="require_approval", approval={"pending": "p", "over": "o"})
    assert problems(begun(), decision("1"), decision("1", "require_approval"), lifted) == {}


def test_nothing_runs_without_the_approval_it_was_told_to_get() -> None:
    assert "without the approval" in problems(begun(), decision("1", "require_approval"), intent("1"))["denials"][0]


def test_other_policies_or_arguments_may_allow_what_needed_an_approval() -> None:
    assert problems(begun(), decision("1", "require_approval"), intent("1", bundles=["c"])) == {}


@pytest.mark.parametrize("verdict", ["deny", "", None])
def test_an_intent_has_a_verdict_that_lets_it_run(verdict: Any) -> None:
    assert "under the verdict" in problems(begun(), intent("1", verdict=verdict))["denials"][0]


def test_a_decision_has_a_verdict_that_stops() -> None:
    assert "with the verdict" in problems(begun(), decision("1", "allow"))["denials"][0]


def test_records_of_no_run_are_not_steps() -> None:
    assert problems(at("policy_activated", "project:3", run="-")) == {}
