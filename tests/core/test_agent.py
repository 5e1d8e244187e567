"""An agent is an inert value: what it may propose and must return is fixed when it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from flyball.core.agent import Agent, Prompt, agent
from flyball.core.call import Call
from flyball.core.errors import FlyballError
from flyball.core.limits import Limits
from flyball.core.memory import Recall
from flyball.core.source import Passage, source
from flyball.core.tool import tool


@dataclass(frozen=True)
class Advice:
    cents: int


@tool(effect="read")
def look(call: Call, id: str) -> str:
    return id


def test_an_agent_is_what_was_said_of_it() -> None:
    clerk = agent(
        "clerk", instructions="Look.", role="planner", model="small", tools=[look], output=Advice, input=str,
        may_ask=False, may_hand_back=False, limits=Limits(steps=3),
    )  # fmt: skip
    assert (clerk.name, clerk.role, clerk.model, clerk.tools) == ("clerk", "planner", "small", (look,))
    assert (clerk.may_ask, clerk.may_hand_back, clerk.limits) == (False, False, Limits(steps=3))
    assert (clerk.input, clerk.output, repr(clerk)) == (str, Advice, "<agent clerk planner>")


def test_an_agent_answers_in_text_unless_it_says_otherwise() -> None:
    plain, typed = agent("plain", instructions="x"), agent("typed", instructions="x", output=Advice)
    assert plain.output is str and plain.output_schema is None
    assert typed.output_schema is not None and typed.output_schema["required"] == ["cents"]


def test_starting_an_agent_is_an_action_that_changes_nothing_by_itself() -> None:
    action = agent("clerk", instructions="x", input=int).action
    assert (action.kind, action.effect, action.egress) == ("agent", "read", False)
    assert (action.input_schema, action.output_schema) == ({"type": "integer"}, {"type": "string"})


@pytest.mark.parametrize("instructions", ["Be brief.", Prompt("clerk.md", "Be brief.")])
def test_instructions_are_text_or_a_prompt_from_a_file(instructions: str | Prompt) -> None:
    assert agent("clerk", instructions=instructions).text == "Be brief."


@source(tokens=10)
async def rules(call: Call, about: str) -> Sequence[Passage]:
    return []


def test_an_agent_knows_its_sources_in_their_order() -> None:
    assert agent("clerk", instructions="x", context=[rules]).context == (rules,)
    assert agent("clerk", instructions="x").context == ()


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"role": "boss"}, "bad_role"), ({"tools": [look.function]}, "bad_tool"),
     ({"context": [rules.function]}, "bad_source"), ({"context": [rules, rules]}, "bad_source"),
     ({"tools": [look, look]}, "bad_tool"), ({"handoffs": [look]}, "bad_handoff"),
     ({"handoffs": [agent("count", instructions="x", output=int)]}, "bad_handoff")],
)  # fmt: skip
def test_what_is_no_role_and_no_tool_is_refused_when_the_agent_is_made(settings: dict[str, Any], code: str) -> None:
    with pytest.raises(FlyballError) as caught:
        agent("clerk", instructions="x", **settings)
    assert caught.value.code == code and caught.value.fix


def test_an_agent_may_remember() -> None:
    assert agent("a", instructions="").memory is None
    assert agent("a", instructions="", memory=Recall(top_k=2)).memory == Recall(top_k=2)


def test_a_source_called_memory_does_not_stand_beside_an_agents_memory() -> None:
    @source(tokens=1)
    async def memory(call: Call, input: str) -> Sequence[Passage]:
        return []

    assert agent("a", instructions="", context=[memory]).context == (memory,)
    for settings in ({"memory": Recall(), "context": [memory]}, {"memory": 4}):
        with pytest.raises(FlyballError):
            agent("a", instructions="", **settings)  # type: ignore[call-overload]


def test_an_agent_may_have_others_work_and_hand_over_to_them() -> None:
    writer, reader = agent("writer", instructions="x", about="It writes."), agent("reader", instructions="x")
    clerk = agent("clerk", instructions="x", tools=[look, writer], handoffs=[reader])
    assert clerk.agents == (writer, reader) and clerk.handoffs == (reader,) and writer.about == "It writes."
    assert (reader.handoff.kind, reader.handoff.name) == ("handoff", "reader") and reader.action.kind == "agent"


def test_making_an_agent_calls_no_tool() -> None:
    assert isinstance(agent("clerk", instructions="x", tools=[look]), Agent)
