"""What leaves come to, one after the other, where no run of a lab comes to it."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.core.budget import Amounts
from flyball.verify.folded import Folded
from flyball.verify.leaf import Leaf
from tests.verify.leaves import at

START = at("run_started", "", {"release": "r1"})
INTENT = {"action_kind": "tool", "reserved": {"calls": 2}}
ASKED = {"pending": "p", "kind": "unknown"}


def folded(*leaves: Leaf) -> Folded:
    state = Folded()
    for leaf in leaves:
        state.see(leaf)
    return state


@pytest.mark.promise("journal-verified-while-it-grows")
@pytest.mark.parametrize("kind", ["approved", "late", "resolution", "answered", "run_stopped"])
def test_what_others_record_while_a_run_goes_on_afresh_may_belong_to_either_generation(kind: str) -> None:
    told, seen, other = at("delivered", "1"), at("outcome", "2"), at(kind, "3!1")
    continued = at("run_continued", "", attempt=2)
    since = folded(START, told, seen, other, at("marker", "m"), continued).runs["r-1"].since
    assert since == (told.at, continued.at) and since[0] <= seen.at < since[1] and since[0] <= other.at < since[1]


@pytest.mark.parametrize("kind", ["delivered", "intent", "decision", "asked", "timer", "run_parked"])
def test_what_its_driver_recorded_before_is_of_the_generation_before(kind: str) -> None:
    last = at(kind, "2")
    assert folded(START, last, at("run_continued", "", attempt=2)).runs["r-1"].since[0] == last.at


def test_a_generation_begins_after_the_one_before() -> None:
    first, second = at("run_continued", "", attempt=2), at("run_continued", "", attempt=3)
    assert folded(START, first, second).runs["r-1"].since == (first.at, second.at)


@pytest.mark.parametrize(
    ("outcome", "held", "spent"),
    [
        ({"status": "executed", "usage": {"calls": 1}}, False, Amounts(calls=1)),
        ({"status": "unknown", "usage": {}}, False, Amounts()),
        ({"status": "unknown", "final": True}, True, Amounts()),
    ],
)
def test_an_outcome_settles_what_its_intent_reserved_unless_nobody_knows(
    outcome: dict[str, Any], held: bool, spent: Amounts
) -> None:
    state = folded(START, at("intent", "1", INTENT), at("outcome", "1", outcome))
    assert (bool(state.held), state.runs["r-1"].spent) == (held, spent)


@pytest.mark.parametrize(("status", "spent"), [("executed", Amounts(calls=2)), ("failed", Amounts())])
def test_a_person_settles_what_nobody_knew(status: str, spent: Amounts) -> None:
    said = {"intent": "r-1/1/0/intent", "status": status}
    state = folded(START, at("intent", "1", INTENT), at("asked", "1?", ASKED), at("resolution", "1!1", said))
    assert not state.held and state.runs["r-1"].spent == spent
    assert (state.waits["p"].settled, state.waits["p"].decided) == ("resolution", 1)


def test_a_resolution_settles_neither_another_attempt_nor_an_approval() -> None:
    said = at("resolution", "1!1", {"intent": "r-1/1/0/intent", "status": "failed"})
    for asked in (at("asked", "1?", ASKED, attempt=2), at("asked", "1?", {**ASKED, "kind": "approval"})):
        assert folded(START, at("intent", "1", INTENT), asked, said).waits["p"].settled == ""
    assert folded(START, at("asked", "1?", ASKED), said).waits["p"].settled == ""  # of an intent that is not there


def test_what_came_to_light_late_settles_its_step_s_question() -> None:
    late = at("late", "1~1", {"status": "executed", "usage": {"calls": 2}})
    state = folded(START, at("intent", "1", INTENT), at("asked", "1?", ASKED), late)
    assert state.waits["p"].late and not state.held and state.runs["r-1"].spent == Amounts(calls=2)
    failed = at("late", "1~1", {"status": "failed"})
    assert not folded(START, at("intent", "1", INTENT), at("asked", "1?", ASKED), failed).waits["p"].late


def test_an_action_within_a_run_spends_and_taints_that_run_too() -> None:
    inner = at("run_started", "", {"parent": "r-1"}, run="r-2")
    untrusted = at("outcome", "1", {"status": "executed", "code": "untrusted", "usage": {"calls": 1}}, run="r-2")
    state = folded(START, inner, at("intent", "1", INTENT, run="r-2"), untrusted)
    assert state.runs["r-1"].spent == state.runs["r-2"].spent == Amounts(calls=1)
    assert {"taint:r-1", "taint:r-2"} <= state.tainted
    model = at("intent", "1", {**INTENT, "action_kind": "model"}, run="r-2")
    assert folded(START, inner, model, untrusted).tainted == set()


def test_leaves_of_nothing_that_is_known_change_nothing() -> None:
    kinds = ("run_parked", "run_continued", "run_moved", "run_ended", "approved", "rejected", "late", "outcome")
    state = folded(*(at(kind, "1", {"status": "executed", "pending": "p"}) for kind in kinds))
    assert not (state.runs or state.waits or state.held or state.tainted)
    assert folded(START, at("intent", "1", {"reserved": {"calls": "x"}})).held["r-1/1/0/intent"].reserved == Amounts()


COVERS = {"covers": {"cures": ["project/finance"]}}
ENDINGS = {
    "rejected": {},
    "edited": {},
    "expired": {},
    "voided": {},
    "approved": {"by": "ab", "cure": "project/finance"},
}


@pytest.mark.parametrize("how", [*ENDINGS, "run_ended"])
def test_what_is_asked_counts_while_it_is_open_and_as_an_ask_after_that(how: str) -> None:
    asked = at("asked", "1#1", {"pending": "p", "kind": "approval", **COVERS})
    run = folded(START, asked).runs["r-1"]
    assert (run.asking, run.spent) == (Amounts(asks=1, open_approvals=1), Amounts())
    over = at(how, "1!1" if how in ENDINGS else "", {"pending": "p", **ENDINGS.get(how, {})})
    run = folded(START, asked, over, at("run_ended", "")).runs["r-1"]
    assert (run.asking, run.spent) == (Amounts(), Amounts(asks=1))


def test_a_denial_counts_unless_the_denials_were_used_up_before() -> None:
    run = folded(START, at("decision", "1"), at("decision", "2", {"capped": "tenant/3"})).runs["r-1"]
    assert run.spent == Amounts(denials=1)
