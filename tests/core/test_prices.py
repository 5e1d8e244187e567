from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from flyball.core.artifact import Artifact
from flyball.core.errors import FlyballError
from flyball.core.model import Message, ModelRequest, ToolCall, ToolSpec, Usage
from flyball.core.prices import Price, Rates, bound_tokens, cost, greatest, lookup, overlaid, price_table

MINI: dict[str, Any] = {"input": 250_000, "output": 2_000_000, "cached": 25_000}
LONG: dict[str, Any] = {**MINI, "over": 1000, "long": {"input": 500_000, "output": 3_000_000}}


def table(**models: Any) -> dict[str, Any]:
    return {"prices": 1, "models": models}


def refused(data: dict[str, Any]) -> FlyballError:
    with pytest.raises(FlyballError) as caught:
        price_table(data)
    assert caught.value.code == "bad_prices"
    return caught.value


def test_a_table_gives_exact_names_their_price_and_others_none() -> None:
    prices = price_table(table(mini={**MINI, "also": ["mini-2026"]}))
    assert lookup(prices, "mini") == lookup(prices, "mini-2026") == Price(**MINI)
    assert lookup(prices, "mini-2027") is None and lookup(prices, "Mini") is None


def test_zero_is_a_price() -> None:
    price = lookup(price_table(table(local={"input": 0, "output": 0})), "local")
    assert price is not None and cost(Usage(input=10**9, output=10**9), price) == 0


def test_without_a_cached_price_cached_tokens_cost_as_much() -> None:
    price = lookup(price_table(table(m={"input": 5, "output": 9})), "m")
    assert price is not None and price.cached == 5


def test_the_digest_names_the_prices_and_not_their_order() -> None:
    one, two = price_table(table(a=MINI, b=LONG)), price_table(table(b=LONG, a=MINI))
    assert one.digest == two.digest and len(one.digest) == 64
    assert price_table(table(a=MINI)).digest != one.digest


def test_the_digest_of_one_table_is_pinned() -> None:
    assert price_table(table(mini=MINI)).digest == "877d16562bfb01f9318b2a3b248e66baffa524d5b1a5945e145a2b7479dd5ede"


def test_a_project_lays_its_prices_over_the_others() -> None:
    base, own = price_table(table(a=MINI, b=MINI)), price_table(table(b={"input": 1, "output": 1}, c=MINI))
    both = overlaid(base, own)
    assert [both.prices[n].input for n in "abc"] == [250_000, 1, 250_000]
    assert both.digest not in (base.digest, own.digest)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({}, "format"),
        ({"prices": True}, "format"),
        ({"prices": 2}, "format"),
        ({"prices": 1, "modles": {}}, "Did you mean models?"),
        ({"prices": 1, "zzz": {}}, "Known: prices, models"),
        ({"prices": 1, "models": []}, "not a table"),
        (table(m=3), "models.m: it is not a table"),
        (table(gpt={"5": {"input": 1, "output": 1}}), "in quotes"),
        (table(m={"input": 1}), "models.m.output: it is missing"),
        (table(m={"input": 0.25, "output": 1}), "models.m.input: it is not a whole number"),
        (table(m={"input": -1, "output": 1}), "whole number"),
        (table(m={"input": True, "output": 1}), "whole number"),
        (table(m={"inptu": 1, "output": 1}), "Did you mean input?"),
        (table(m={**MINI, "also": "x"}), "not a list of names"),
        (table(m={**MINI, "also": ["m"]}), "stands twice"),
        (table(**{"é": MINI}), "not ASCII"),
        (table(m={**MINI, "over": 5}), "models.m.long.input: it is missing"),
        (table(m={**MINI, "long": MINI}), "models.m.over: it is missing"),
    ],
)
def test_a_table_with_a_fault_is_refused_with_the_place(data: dict[str, Any], said: str) -> None:
    assert said in str(refused(data))


def test_cached_tokens_are_charged_at_their_own_rate() -> None:
    usage = Usage(input=1_000_000, cached=400_000, output=100_000)
    assert cost(usage, Price(**MINI)) == 150_000 + 10_000 + 200_000


def test_tokens_put_into_a_cache_are_charged_at_their_own_rate() -> None:
    usage = Usage(input=1_000_000, cached=400_000, written=100_000)
    assert cost(usage, Price(**MINI, written=300_000)) == 125_000 + 10_000 + 30_000
    assert cost(usage, Price(**MINI)) == 150_000 + 10_000


def test_a_written_price_is_read_for_long_prompts_too() -> None:
    long = {"input": 500_000, "output": 3_000_000, "written": 600_000}
    price = lookup(price_table(table(m={**LONG, "written": 7, "long": long})), "m")
    assert price is not None and price.written == 7 and price.long is not None and price.long.written == 600_000


def test_a_cost_is_rounded_up() -> None:
    assert cost(Usage(input=1), Price(input=1, output=0, cached=0)) == 1
    assert cost(Usage(), Price(**MINI)) == 0


def test_a_long_prompt_is_charged_at_the_long_rate_throughout() -> None:
    price = lookup(price_table(table(m=LONG)), "m")
    assert price is not None and price.long == Rates(input=500_000, output=3_000_000, cached=500_000)
    assert cost(Usage(input=1000, output=10), price) == 250 + 20
    assert cost(Usage(input=1001, output=10), price) == 501 + 30  # 500.5, rounded up


def test_the_greatest_cost_is_at_the_dearest_rate() -> None:
    assert greatest(1_000_000, 1, Price(**MINI, written=300_000)) == 300_002
    assert greatest(1_000_000, 1, Price(**MINI, written=7)) == greatest(1_000_000, 1, Price(**MINI)) == 250_002


@pytest.mark.parametrize("max_tokens", [0, -5])
def test_without_a_limit_on_its_output_there_is_no_greatest_cost(max_tokens: int) -> None:
    with pytest.raises(FlyballError) as caught:
        greatest(10, max_tokens, Price(**MINI))
    assert caught.value.code == "no_max_tokens"


RATE = st.integers(0, 10**8)
WRITTEN = st.one_of(st.just(UNSET), RATE)
RATES = st.builds(Rates, input=RATE, output=RATE, cached=RATE, written=WRITTEN)
PRICES = st.builds(
    Price,
    input=RATE,
    output=RATE,
    cached=RATE,
    written=WRITTEN,
    over=st.integers(0, 5000),
    long=st.one_of(st.none(), RATES),
)


@given(PRICES, st.integers(0, 10_000), st.integers(1, 10_000), st.data())
def test_no_call_costs_more_than_its_greatest_cost(price: Price, bound: int, most: int, data: st.DataObject) -> None:
    read = data.draw(st.integers(0, bound))
    cached = data.draw(st.integers(0, read))
    written, output = data.draw(st.integers(0, read - cached)), data.draw(st.integers(0, most))
    usage = Usage(input=read, cached=cached, written=written, output=output)
    assert 0 <= cost(usage, price) <= greatest(bound, most, price)


@given(st.text(max_size=200), st.text(max_size=50))
def test_a_request_is_bounded_by_all_of_its_bytes(text: str, arguments: str) -> None:
    call = ToolCall(id="1", name="t", arguments=arguments)
    messages = (Message(role="user", text=text), Message(role="assistant", calls=(call,), echo=text))
    request = ModelRequest(model="m", messages=messages)
    assert bound_tokens(request) >= len((text + text + arguments).encode()) + 512


def test_what_goes_back_to_a_model_is_counted() -> None:
    plain = ModelRequest(model="m", messages=(Message(role="assistant"),))
    signed = ModelRequest(model="m", messages=(Message(role="assistant", echo="e" * 1000),))
    assert bound_tokens(signed) == bound_tokens(plain) + 1000


def test_tools_and_schemas_are_counted() -> None:
    plain = ModelRequest(model="m", messages=())
    tool = ToolSpec(name="search", description="d" * 100, schema={"type": "object"})
    told = ModelRequest(model="m", messages=(), tools=(tool,), output_schema={"type": "string"})
    assert bound_tokens(told) > bound_tokens(plain) + 100 + 2 * len('{"type":"object"}')


def test_a_file_is_bounded_by_what_providers_make_of_it() -> None:
    def bound(media_type: str, size: int) -> int:
        file = Artifact(digest="d", name="n", media_type=media_type, size=size)
        shown = Message(role="user", artifacts=(file,))
        return bound_tokens(ModelRequest(model="m", messages=(shown,)))

    nothing = bound_tokens(ModelRequest(model="m", messages=(Message(role="user"),)))
    assert bound("image/png", 9_000_000) - nothing == bound("application/pdf", 10) - nothing == 6_000
    assert bound("application/pdf", 50_000) - nothing == 50_000
