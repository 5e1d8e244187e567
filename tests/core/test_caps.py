"""Where asks, open approvals and denials count, and how a cap that is used up is told."""

from __future__ import annotations

import pytest

from flyball.core.budget import NO_LIMIT, TENANT, UNLIMITED, Amounts, Limit, of_agent
from flyball.core.caps import APPROVAL, DENIAL, MOST_DENIALS, MOST_OPEN, QUESTION, counted_at, full, of_run
from flyball.core.journal import Hold

DAY = 86_400_000_000
WRITER = of_agent("writer")


def at(node: str, **limit: int) -> Hold:
    return Hold(node=node, amounts=Amounts(), limit=Limit(**limit))


def told(*path: Hold, wanted: Amounts = APPROVAL) -> dict[str, Amounts]:
    return {hold.node: hold.amounts for hold in counted_at(path, wanted, 3 * DAY)}


def test_a_run_counts_whether_it_has_a_cap_or_not() -> None:
    assert told(at("run/r")) == {"run/r": APPROVAL}
    assert told(at("run/r"), wanted=QUESTION) == {"run/r": QUESTION}


def test_others_count_what_they_have_a_cap_for() -> None:
    path = (at(TENANT, usd=5), at(WRITER, denials=3, asks=2), at("agent/r/1", asks=2), at("step/r/1", usd=1))
    assert told(*path, wanted=QUESTION) == {"agents/writer/3": QUESTION, "agent/r/1": QUESTION}
    assert told(*path, wanted=DENIAL) == {"agents/writer/3": DENIAL}


@pytest.mark.promise("gate-caps-per-tenant")
@pytest.mark.parametrize("node", [TENANT, WRITER])
def test_asks_are_of_the_day_and_what_is_open_is_not(node: str) -> None:
    found = told(at(node, asks=9, open_approvals=4))
    assert found == {node: Amounts(open_approvals=1), f"{node}/3": Amounts(asks=1)}
    assert told(at(node, open_approvals=4)) == {node: Amounts(open_approvals=1)}


def test_what_counts_keeps_the_limit_that_it_counts_against() -> None:
    (hold,) = counted_at([at("run/r", denials=2)], DENIAL, 0)
    assert hold.limit == Limit(denials=2)


def test_a_run_has_caps_of_its_own_where_nothing_is_said() -> None:
    assert of_run(UNLIMITED) == Limit(open_approvals=MOST_OPEN, denials=MOST_DENIALS)
    assert of_run(Limit(open_approvals=0, denials=90, usd=1)) == Limit(open_approvals=0, denials=90, usd=1)
    assert of_run(UNLIMITED).asks == NO_LIMIT


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        ("run/r:open_approvals", "4 approvals of this run are open already"),
        ("run/q:denials", "6 proposals of run q were denied"),
        ("tenant:open_approvals", "4 approvals of this tenant are open already"),
        ("tenant/3:asks", "people were asked 5 times for this tenant today"),
        ("agents/writer/3:denials", "6 proposals of agent writer were denied today"),
        ("agent/r/1.2:asks", "people were asked 5 times for this agent"),
    ],
)
def test_a_cap_that_is_used_up_names_what_it_is_of(refused: str, words: str) -> None:
    nodes = ("run/r", "run/q", "run/q2", TENANT, "agents/write", WRITER, "agent/r/1.2")
    holds = [at(node, open_approvals=4, asks=5, denials=6) for node in nodes]
    assert full(refused, holds, "r") == words


def test_a_cap_of_a_node_that_nobody_knows_any_more_is_told_as_none() -> None:
    assert full("run/r:denials", (), "r") == "0 proposals of this run were denied"
