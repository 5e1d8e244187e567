"""A flow is an inert value made of an async function of a run and one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from flyball.core.call import Call
from flyball.core.errors import FlyballError
from flyball.core.flow import Flow, flow
from flyball.core.tool import tool

if TYPE_CHECKING:
    from decimal import Decimal


@dataclass(frozen=True)
class Order:
    id: str


@tool(effect="read")
def look(call: Call, id: str) -> str:
    return id


async def handle(run: Any, order: Order) -> int:
    """Handles an order."""
    return 1


async def bare(run: Any, anything) -> None:  # type: ignore[no-untyped-def]
    pass


async def one(run: Any) -> int:
    return 1


async def unread(run: Any, amount: Decimal) -> int:
    return 1


def sync(run: Any, order: Order) -> int:
    return 1


def test_a_bare_decorator_takes_everything_from_the_function() -> None:
    made = flow(handle)
    assert (made.name, made.input, made.output, made.state, made.ensures) == ("handle", Order, int, type(None), ())
    assert (made.__module__, repr(made), made.function) == (__name__, "<flow handle>", handle)


def test_a_flow_is_named_and_promises_tools() -> None:
    made = flow(name="desk", state=dict, ensures=[look])(handle)
    assert (made.name, made.state, made.ensures) == ("desk", dict, (look,))


@pytest.mark.promise("api-one-input")
def test_starting_a_flow_is_an_action_with_its_input_as_schema() -> None:
    action = flow(handle).action
    assert (action.kind, action.effect, action.egress, action.description) == (
        "flow",
        "read",
        False,
        "Handles an order.",
    )
    assert action.input_schema["required"] == ["id"] and action.output_schema == {"type": "integer"}


def test_an_input_without_a_type_may_be_anything() -> None:
    made: Flow[Any, Any] = flow(bare)
    assert (made.input, made.output, made.action.input_schema) == (Any, type(None), {})


@pytest.mark.promise("api-flows-are-not-callable")
def test_a_flow_is_not_called() -> None:
    with pytest.raises(FlyballError, match="is a flow, not a function") as caught:
        flow(handle)(None, Order("1"))
    assert caught.value.code == "flow_called" and "run.flow(handle, input)" in caught.value.fix


@pytest.mark.promise("api-wrong-words-fail-early")
@pytest.mark.parametrize(("function", "code"), [(sync, "bad_flow"), (one, "bad_flow"), (unread, "bad_annotation")])
def test_what_cannot_be_a_flow_is_refused_when_it_is_made(function: Any, code: str) -> None:
    with pytest.raises(FlyballError) as caught:
        flow(function)
    assert caught.value.code == code and caught.value.fix


def test_a_promise_names_a_tool_and_not_its_function() -> None:
    with pytest.raises(FlyballError) as caught:
        flow(ensures=[look.function])(handle)  # type: ignore[list-item]
    assert caught.value.code == "bad_ensures"
