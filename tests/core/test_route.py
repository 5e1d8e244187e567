from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig
from flyball.core.route import (
    Choice,
    Offer,
    Question,
    Route,
    Rule,
    by_tries,
    check_routes,
    fitting,
    mistaken,
    objection,
    ordered,
    reach,
)

CONFIGS = {
    "small": ModelConfig(name="small", fallback=("spare",)), "large": ModelConfig(name="large", fallback=("spare",)),
    "spare": ModelConfig(name="spare"),
}  # fmt: skip
NAMES = st.sampled_from(["a", "b", "c", "d"])


def offers(**usd: int | None) -> dict[str, Offer]:
    return {name: Offer(name=name, usd=each, latency_ms=10 - len(name)) for name, each in usd.items()}


@pytest.mark.parametrize(
    ("rule", "question", "fits"),
    [
        (Rule(), Question(), True), (Rule(roles=("planner",)), Question(role="planner"), True),
        (Rule(roles=("planner",)), Question(role="executor"), False),
        (Rule(agents=("a", "b")), Question(agent="b"), True),
        (Rule(tenants=("acme",)), Question(tenant="other"), False),
        (Rule(sensitivities=("secret",)), Question(sensitivity="public"), False),
        (Rule(complexity=600), Question(score=600), True), (Rule(complexity=600), Question(score=599), False),
        (Rule(roles=("planner",), complexity=1), Question(role="planner"), False),
    ],
)  # fmt: skip
def test_a_rule_fits_where_all_that_it_names_does(rule: Rule, question: Question, fits: bool) -> None:
    assert fitting(Route(models=("m",), rules={"r": rule}), question)[0] == ("r" if fits else "")


def test_the_first_rule_that_fits_counts_and_takes_from_the_route_what_it_does_not_say() -> None:
    rules = {"no": Rule(complexity=9), "yes": Rule(regions=("eu",)), "too": Rule(models=("x",), prefer="latency")}
    route = Route(models=("m",), prefer="cost", rules=rules)
    assert fitting(route, Question()) == ("yes", Rule(regions=("eu",), models=("m",), prefer="cost"))
    only = Route(models=("m",), prefer="cost", rules={"too": rules["too"]})
    assert fitting(only, Question()) == ("too", rules["too"])
    assert fitting(Route(models=("m",)), Question()) == ("", Rule(models=("m",), prefer="listed"))


@pytest.mark.parametrize(
    ("prefer", "order"),
    [("listed", ("small", "large", "spare")), ("cost", ("large", "small", "spare")),
     ("latency", ("small", "large", "spare"))],
)  # fmt: skip
def test_what_is_listed_is_ordered_and_fallbacks_come_behind_it(prefer: Any, order: tuple[str, ...]) -> None:
    rule = Rule(models=("small", "large", "small"), prefer=prefer)
    assert ordered(rule, offers(small=20, large=10, spare=1), CONFIGS) == order


def test_what_has_no_price_is_the_dearest() -> None:
    rule = Rule(models=("small", "large"), prefer="cost")
    assert ordered(rule, offers(small=None, large=10**9, spare=1), CONFIGS)[:2] == ("large", "small")


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        (Rule(), ""), (Rule(regions=("eu",)), ""), (Rule(regions=("us", "uk")), "region"), (Rule(max_usd=50), ""),
        (Rule(max_usd=49), "cost"), (Rule(max_usd=0), "cost"), (Rule(max_latency_ms=800), ""),
        (Rule(max_latency_ms=799), "latency"),
    ],
)  # fmt: skip
def test_bounds_of_a_rule_leave_out_what_is_beyond_them(rule: Rule, why: str) -> None:
    assert objection(rule, Offer(name="m", region="eu", usd=50, latency_ms=800)) == why


def test_what_nobody_knows_is_left_to_the_gate_or_tried() -> None:
    assert objection(Rule(max_usd=0, max_latency_ms=1), Offer(name="m")) == ""


@given(st.lists(NAMES, unique=True), st.lists(NAMES))
def test_the_least_tried_comes_first_and_else_the_order_stands(names: list[str], tried: list[str]) -> None:
    found = by_tries(names, tried)
    places = [(tried.count(name), names.index(name)) for name in found]
    assert sorted(found) == sorted(names) and places == sorted(places)


@given(st.lists(NAMES, unique=True, min_size=1), st.lists(NAMES), st.data())
def test_a_choice_follows_from_what_is_recorded_with_it_and_no_other_does(names: Any, tried: Any, data: Any) -> None:
    left = dict.fromkeys(data.draw(st.lists(st.sampled_from(names), unique=True)), ("policy",))
    usable = by_tries([name for name in names if name not in left], tried) or names
    made = Choice(candidates=tuple(names), chosen=usable[0], left_out=left, tried=tuple(tried))
    assert mistaken(msgspec.convert(made.told, Choice)) == ""
    assert "no candidate" in mistaken(msgspec.structs.replace(made, chosen="x"))
    for other in usable[1:]:
        if len(left) < len(names):
            assert mistaken(msgspec.structs.replace(made, chosen=other)) == f"{usable[0]} stands before it"


def test_a_route_reaches_what_it_and_its_rules_list_and_the_fallbacks() -> None:
    routes = {"desk": Route(name="desk", models=("small",), rules={"r": Rule(models=("large",))})}
    assert reach(CONFIGS, routes, "desk") == ("small", "spare", "large")
    assert reach(CONFIGS, routes, "large") == ("large", "spare")
    with pytest.raises(FlyballError) as caught:
        reach(CONFIGS, routes, "dask")
    assert caught.value.code == "unknown_model" and "desk" in caught.value.fix


def test_what_is_wrong_with_a_route_is_said_with_its_key() -> None:
    routes = {
        "small": Route(name="small", models=("large",)), "a": Route(name="a"),
        "b": Route(name="b", models=("lorge",), rules={"r": Rule(models=("xyz", "small"))}),
    }  # fmt: skip
    found = list(check_routes(CONFIGS, routes))
    assert [key for key, _, _ in found] == [("small",), ("a",), ("b", "models"), ("b", "rules", "r", "models")]
    assert [fix for _, _, fix in found][2:] == ["Did you mean large?", "Add [models.xyz]."]
