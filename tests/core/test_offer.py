"""What a model is offered to propose, and what is taken of what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.core.agent import agent
from flyball.core.call import Call
from flyball.core.offer import MOST_REASON, Offer, offers
from flyball.core.tool import tool


@tool(effect="read")
def look(call: Call, id: str) -> str:
    """Look it up."""
    return id


@tool(effect="irreversible")
def pay(call: Call, cents: int) -> str:
    return "paid"


@tool(effect="reversible")
def block(call: Call, card: str, reason: str) -> str:
    return "blocked"


@tool(effect="read", name="ask")
def own_ask(call: Call, topic: str) -> str:
    return topic


writer = agent("writer", instructions="Write.", about="It writes letters.", input=int)
clerk = agent("clerk", instructions="x", tools=[look, pay, block, writer], handoffs=[writer])
NAMES = ["look", "pay", "block", "writer", "handoff_to_writer", "ask", "hand_back"]


def properties(offer: Offer) -> dict[str, Any]:
    return dict(offer.spec.schema["properties"])


def test_everything_is_offered_in_order_each_under_a_name_of_its_own() -> None:
    assert list(offers(clerk)) == NAMES
    assert [o.kind for o in offers(clerk).values()] == ["tool"] * 3 + ["agent", "handoff", "ask", "hand_back"]


def test_what_the_agent_may_not_do_is_not_offered_and_a_tool_of_the_project_stands_for_ours() -> None:
    assert list(offers(agent("a", instructions="x", may_ask=False, may_hand_back=False))) == []
    assert offers(agent("a", instructions="x", tools=[own_ask]))["ask"].value is own_ask


def test_a_reason_is_asked_for_where_something_happens() -> None:
    asked = {name for name, offer in offers(clerk).items() if "reason" in properties(offer) and offer.argued}
    assert asked == {"pay", "writer", "handoff_to_writer"}
    assert offers(clerk)["pay"].spec.schema["required"] == ["cents"] and "reason" not in pay.action.input_schema
    assert offers(clerk)["block"].spec.schema is block.action.input_schema


def test_an_agent_is_offered_with_what_it_does_and_the_type_of_its_input() -> None:
    offered = offers(clerk)["handoff_to_writer"]
    assert properties(offered)["input"] == {"type": "integer"} and "It writes letters." in offered.spec.description
    anything = offers(agent("a", instructions="x", tools=[agent("b", instructions="y")]))["b"]
    assert properties(anything)["input"] == {"type": "string"}


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("pay", {"cents": 1, "reason": " it is owed "}, ({"cents": 1}, "it is owed")),
        ("pay", {"cents": 1}, ({"cents": 1}, "")),
        ("pay", {"cents": 1, "reason": None}, ({"cents": 1}, "")),
        ("pay", {"cents": 1, "reason": "x" * 2_000}, ({"cents": 1}, "x" * MOST_REASON)),
        ("block", {"card": "1", "reason": "lost"}, ({"card": "1", "reason": "lost"}, "")),
        ("look", {"id": "1", "reason": "why"}, ({"id": "1", "reason": "why"}, "")),
    ],
)
def test_a_reason_is_taken_apart_from_what_is_proposed(name: str, given: dict[str, Any], taken: Any) -> None:
    assert offers(clerk)[name].taken(given) == taken


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("ask", {"question": " "}, "ask needs"),
        ("ask", {"question": "How much?"}, ""),
        ("writer", {}, "writer needs"),
        ("writer", {"input": 1, "more": 2}, "writer needs"),
        ("handoff_to_writer", {"input": 1, "reason": "x"}, ""),
        ("pay", {"anything": 1}, ""),
        ("hand_back", {}, ""),
    ],
)
def test_what_no_tool_checks_is_checked_here(name: str, given: dict[str, Any], words: str) -> None:
    wrong = offers(clerk)[name].wrong(given)
    assert wrong.startswith(words) and bool(wrong) == bool(words)
