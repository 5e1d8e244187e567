"""Arguments that are no arguments: refused before any policy sees them, recorded as refused, and nothing ran."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from flyball import Blocked, Completed, Executed, FlyballError, Stopped, agent
from flyball.core.model import ModelReply, ToolCall
from flyball.testing import Say
from tests.bad_input.bank import Books, lab, limited, pay, paying

MIB = 1_048_576
clerk = agent("clerk", instructions="Pay.", tools=[pay])


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def endless() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["a"] = value
    return value


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "none of what is needed": (dict, "missing required field `cents`"),
    "one that nobody knows": (lambda: {"cents": 1, "amount": 2}, "unknown field `amount`"),
    "text for a number": (lambda: {"cents": "1"}, "Expected `int`"),
    "true for a number": (lambda: {"cents": True}, "Expected `int`"),
    "a fraction for a number": (lambda: {"cents": 1.5}, "Expected `int`"),
    "null for a default": (lambda: {"cents": 1, "to": None}, "Expected `str`, got `null`"),
    "a list": (lambda: [1], "no object"),
    "more than 1 MiB": (lambda: {"cents": 1, "note": "x" * MIB}, "more than 1048576 bytes"),
    "100 MB": (lambda: {"cents": 1, "note": "x" * 100_000_000}, "more than 1048576 bytes"),
    "a million values": (lambda: {"cents": 1, "tags": {"a": [None] * 1_000_000}}, "more than"),
    "65 levels": (lambda: {"cents": 1, "tags": nested(64)}, "more than 64 levels"),
    "100 000 levels": (lambda: {"cents": 1, "tags": nested(100_000)}, "cannot be recorded"),
    "itself": (lambda: {"cents": 1, "tags": endless()}, "cannot be recorded"),
    "NaN": (lambda: {"cents": 1, "rate": math.nan}, "NaN and Infinity are not JSON (at /rate)"),
    "Infinity": (lambda: {"cents": 1, "rate": math.inf}, "NaN and Infinity are not JSON"),
    "minus Infinity deep inside": (lambda: {"cents": 1, "tags": {"a": [-math.inf]}}, "(at /tags/a/0)"),
    "thousands of digits": (lambda: {"cents": 10**5000}, "thousands of digits"),
    "text that is no Unicode": (lambda: {"cents": 1, "note": "\ud800"}, "lone surrogate"),
    "a key that is no Unicode": (lambda: {"cents": 1, "tags": {"\udfff": 1}}, "lone surrogate"),
    "a reserved key": (lambda: {"cents": 1, "__cents": 2}, "two underscores"),
    "an entity in disguise": (lambda: {"cents": 1, "tags": {"__entity": {"type": "Group", "id": "x"}}}, "(at /tags/__"),
    "what is no data": (lambda: {"cents": 1, "tags": {"a": object()}}, "is not data"),
}


@pytest.mark.promise("gate-arguments-are-validated")
@pytest.mark.promise("gate-trap-nan", case="NaN")
@pytest.mark.promise("gate-reserved-keys-refused", case="a reserved key")
@pytest.mark.parametrize("bad", BAD)
async def test_arguments_that_are_none_are_refused_and_the_refusal_is_recorded(bad: str) -> None:
    kept, (make, why) = Books(), BAD[bad]
    async with lab(kept) as bank:
        told = await bank.act(pay, make(), call_id="1")
        assert isinstance(told, Blocked) and told.reason == "invalid_proposal" and why in str(told)
        (decision,) = [r for r in bank.records() if r.kind == "decision"]
        assert decision.facts["reason"] == "invalid_proposal" and told.action == decision.id
        assert not kept.calls and (await bank.verify()).ok


@pytest.mark.parametrize("bad", BAD)
async def test_a_flow_that_is_handed_them_says_so_and_does_nothing(bad: str) -> None:
    kept, (make, _) = Books(), BAD[bad]
    async with lab(kept) as bank:
        try:
            told = await bank.run(paying, make())
            said = str(told.reason) if isinstance(told, Stopped) else ""
        except FlyballError as refused:  # what no record could hold starts no run
            said = refused.code if not bank.records("x") else ""
        assert said in ("invalid_proposal", "invalid_json", "too_large", "too_deep", "not_data")
        assert not kept.calls


async def test_the_same_refusal_is_told_again_under_the_same_call_id() -> None:
    async with lab() as bank:
        first, again = [await bank.act(pay, {"cents": math.nan}, call_id="1") for _ in range(2)]
        assert isinstance(first, Blocked) and isinstance(again, Blocked) and str(first) == str(again)
        assert sum(r.kind == "decision" for r in bank.records()) == 1


async def test_a_call_id_of_another_action_is_refused_in_words() -> None:
    async with lab() as bank:
        await bank.act(pay, {"cents": 1}, call_id="monday")
        with pytest.raises(FlyballError, match="the key 'monday' started another run") as caught:
            await bank.act(pay, {"cents": 2}, call_id="monday")
    assert caught.value.code == "key_conflict" and "\0" not in str(caught.value) and "\\x00" not in str(caught.value)


@pytest.mark.promise("gate-null-is-not-absent")
async def test_a_null_where_null_is_allowed_is_not_the_default() -> None:
    kept = Books()
    async with lab(kept) as bank:
        assert isinstance(await bank.act(pay, {"cents": 1, "rate": None}, call_id="1"), Executed)
        assert isinstance(await bank.act(pay, {"cents": 1}, call_id="2"), Executed)
        assert [p["rate"] for p in kept.paid] == [None, 1.0]


@pytest.mark.promise("gate-arguments-are-validated")
@pytest.mark.parametrize(("max_bytes", "size", "runs"), [(2_000, 3_000, False), (3 * MIB, 2 * MIB, True)])
async def test_how_large_arguments_may_be_is_configured(max_bytes: int, size: int, runs: bool) -> None:
    async with lab(config=limited(max_bytes)) as bank:
        told = await bank.act(pay, {"cents": 1, "note": "x" * size}, call_id="1")
        assert isinstance(told, Executed) is runs
        assert runs or (isinstance(told, Blocked) and "more than 2000 bytes" in str(told))


@pytest.mark.promise("gate-arguments-are-validated")
@pytest.mark.parametrize(("max_bytes", "size", "runs"), [(2_000, 3_000, False), (3 * MIB, 2 * MIB, True)])
async def test_what_a_model_writes_is_held_to_the_same_size(max_bytes: int, size: int, runs: bool) -> None:
    kept = Books()
    call = ToolCall(id="1", name="pay", arguments='{"cents": 1, "note": "%s"}' % ("x" * size))
    answers = [ModelReply(calls=(call,), stop="tool", model="raw"), Say("that is all")]
    async with lab(kept, config=limited(max_bytes), models={"clerk": answers}) as bank:
        assert isinstance(await bank.run(clerk, "pay"), Completed) and bool(kept.paid) is runs
