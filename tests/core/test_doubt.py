"""What later evidence means, and what is asked about it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.approval import over
from flyball.core.budget import ZERO, Amounts, Limit
from flyball.core.call import Call
from flyball.core.doubt import held_again, meaning, outlives, question, returned, settlers
from flyball.core.effect import Action
from flyball.core.identity import Authority, Principal
from flyball.core.journal import Hold
from flyball.core.origin import Origins
from flyball.core.proposal import Performer, Place, Proposal
from flyball.core.signature import signature_of

STATUSES = ["executed", "failed", "unknown", "interrupted", "not_started"]
DAY = 86_400_000_000


def proposal(by: str = "user:kim", **performer: Any) -> Proposal:
    holds = (Hold(node="run/r-1", amounts=ZERO, limit=Limit(effects=1)), Hold(node="tenant", amounts=ZERO))
    place = Place(
        tenant="acme", run="r-1", path="3", fence=None, release="", subjects=("s",), subject="s", log="l", holds=holds
    )
    return Proposal(
        place=place, action=Action(name="pay"), performer=Performer(perform=print, **performer), arguments={"n": 1},
        authority=Authority(principal=Principal(by)), origins=Origins(), attempt=2,
    )  # fmt: skip


@pytest.mark.promise("journal-executed-after-failed-asks", "journal-late-settles-unknown")
@pytest.mark.parametrize(
    ("first", "means"),
    [("unknown", "settles"), ("interrupted", "settles"), ("failed", "asks"), ("not_started", "asks"),
     ("executed", "repeats")],
)  # fmt: skip
def test_what_it_means_that_it_happened_after_all(first: str, means: str) -> None:
    assert meaning(first, "executed", effect="irreversible") == means


@given(st.sampled_from(STATUSES), st.sampled_from(STATUSES), st.sampled_from(["read", "reversible", "irreversible"]))
def test_only_that_it_happened_says_anything_new_and_of_a_read_nobody_is_asked(first: str, then: str, of: str) -> None:
    means = meaning(first, then, effect=of)
    assert means == "repeats" or (then == "executed" and not (of == "read" and means == "asks"))


def test_a_question_is_about_its_attempt_and_goes_to_who_can_say() -> None:
    row, asked = question(proposal())
    assert (row.id, row.intent, row.record) == ("r-1/3?2", "r-1/3/2/intent", asked.id)
    assert row.groups == ("project/owner", "project/user:kim") and row.over == over(asked.facts["covers"])
    assert asked.private["args"] == {"n": 1} and "Nobody here can tell" in asked.private["shown"]["question"]


def test_a_question_that_contradicts_the_log_says_so_and_outlives_its_run() -> None:
    (plain, _), (row, asked) = question(proposal()), question(proposal(), after="failed")
    assert outlives(row) and not outlives(plain) and row.over != plain.over
    assert "recorded as failed" in asked.private["shown"]["question"]


def test_a_service_that_asked_for_a_run_is_no_person_who_can_say() -> None:
    assert settlers(proposal(by="service:nightly")) == ("project/owner",)


def test_what_was_released_is_held_again_without_a_limit_on_the_day_of_the_attempt() -> None:
    held = held_again(proposal(), 5 * DAY, Amounts(calls=1, effects=1), Amounts(calls=1))
    assert held is not None and held.id == "r-1/3/2/intent"
    assert [(h.node, h.amounts, h.limit) for h in held.holds] == [
        ("run/r-1", Amounts(effects=1), Limit()), ("tenant/5", Amounts(effects=1), Limit()),
    ]  # fmt: skip


def test_where_nothing_was_released_nothing_is_held() -> None:
    assert held_again(proposal(), 0, Amounts(calls=1), Amounts(calls=1)) is None


def test_the_type_of_an_answer_is_that_of_the_action() -> None:
    async def pay(call: Call, n: int) -> str:
        return str(n)

    assert returned(proposal(returns=int)) is int
    assert returned(proposal(signature=signature_of(pay))) is str
