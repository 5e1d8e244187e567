"""A tool is an inert value that cannot be called; what is wrong with it is said when it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from flyball.core.call import Call
from flyball.core.effect import Key, Rate, Retry
from flyball.core.errors import FlyballError
from flyball.core.marks import Critical, Outgoing
from flyball.core.tool import Tool, tool


def pay(call: Call, to: Critical[str], text: Outgoing[str] = "", cents: int = 0) -> str:
    """Pays somebody."""
    return to


async def sell(call: Call) -> str:
    return "sold"


def many(call: Call) -> Iterator[int]:
    yield 1


async def stream(call: Call) -> AsyncIterator[int]:
    yield 1


def test_a_tool_is_what_was_said_of_it() -> None:
    made = tool(
        effect="irreversible", name="transfer", egress=True, idempotency="probe", risk="high",
        timeout=timedelta(seconds=1.5), retry=Retry(attempts=1), cost="0.01", rate="5/s", credentials=["bank"],
        isolation="process",
    )(pay)  # fmt: skip
    action = made.action
    assert (made.name, action.effect, action.egress, action.idempotency, action.risk) == (
        "transfer", "irreversible", True, "probe", "high",
    )  # fmt: skip
    assert (action.timeout_ms, action.retry, action.cost, action.rate) == (
        1500,
        Retry(1),
        10_000,
        Rate(count=5, seconds=1),
    )
    assert (action.credentials, action.isolation, action.description) == (("bank",), "process", "Pays somebody.")
    assert (repr(made), made.function) == ("<tool transfer irreversible>", pay)


def test_what_arguments_are_marked_as_is_part_of_the_action() -> None:
    made = tool(effect="read")(pay)
    assert (made.action.critical, made.action.outgoing) == (frozenset({"to"}), frozenset({"text"}))
    assert made.action.schema_digest == made.signature.digest and made.name == "pay"


def test_a_key_may_say_how_long_it_lasts_and_what_is_unique() -> None:
    key = Key(window=timedelta(days=1), business="to")
    assert (made := tool(effect="reversible", idempotency=key)(pay)).action.key == key
    assert made.action.idempotency == "key"


@pytest.mark.promise("api-tools-are-not-callable")
def test_a_tool_is_not_called() -> None:
    with pytest.raises(FlyballError, match="pay is a tool, not a function") as caught:
        tool(effect="read")(pay)(to="ada")
    assert caught.value.code == "tool_called" and "await run.call(pay, ...)" in caught.value.fix


@pytest.mark.promise("api-tools-are-not-callable")
def test_its_function_is_the_bare_one_for_a_unit_test() -> None:
    made: Tool[[], str] = tool(effect="read")(sell)
    assert asyncio.run(made.function(None)) == "sold"  # type: ignore[arg-type]


def test_undo_probe_and_precondition_are_kept_and_stay_functions() -> None:
    made: Any = tool(effect="reversible")(pay)
    assert (made.undo(many), made.probe(sell), made.requires(stream)) == (many, sell, stream)
    assert (made.undo_function, made.probe_function, made.requires_function) == (many, sell, stream)
    assert made.precondition.name == f"{made.name}.requires" and made.precondition.effect == "read"


@pytest.mark.promise("api-wrong-words-fail-early")
@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"effect": "raed"}, "bad_effect"),
        ({"idempotency": "maybe"}, "bad_idempotency"),
        ({"risk": "some"}, "bad_risk"),
        ({"isolation": "box"}, "bad_isolation"),
        ({"name": "pay.requires"}, "bad_name"),
        ({"timeout": timedelta(0)}, "bad_timeout"),
        ({"timeout": timedelta(seconds=-1)}, "bad_timeout"),
        ({"cost": 0.5}, "float_money"),
        ({"rate": "often"}, "bad_rate"),
        ({"idempotency": Key(business="invoice")}, "bad_key"),
    ],
)
def test_a_word_that_means_nothing_is_refused_when_the_tool_is_made(said: dict[str, Any], code: str) -> None:
    with pytest.raises(FlyballError) as caught:
        tool(**{"effect": "read", **said})(pay)
    assert caught.value.code == code


@pytest.mark.parametrize("function", [many, stream])
def test_a_generator_has_no_one_result_and_is_no_tool(function: Any) -> None:
    with pytest.raises(FlyballError, match="yields") as caught:
        tool(effect="read")(function)
    assert caught.value.code == "bad_signature"
