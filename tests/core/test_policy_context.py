from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.guard import Signal
from flyball.core.input_shape import input_shape
from flyball.core.policy_context import UNLIMITED, Facts, exact_decimal, policy_context

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
PERSON = {"type": "object", "properties": {"name": TEXT, "notes": {}}, "required": ["name"]}


def context(value: Any, schema: Any = TEXT, name: str = "x", **more: Any) -> dict[str, Any]:
    given = {"type": "object", "properties": {name: schema}, "required": [name]}
    return policy_context(input_shape(Action(name="do", input_schema=given, **more)), {name: value})


def refusal(value: Any, schema: Any = TEXT, name: str = "x", **more: Any) -> str:
    with pytest.raises(FlyballError) as bad:
        context(value, schema, name, **more)
    assert bad.value.code == "policy_input" and bad.value.data["argument"]
    return str(bad.value)


@pytest.mark.parametrize(
    ("value", "schema", "seen"),
    [
        ("a", TEXT, "a"),
        (True, {"type": "boolean"}, True),
        (-(2**63), {"type": "integer"}, -(2**63)),
        (1.5, NUMBER, Decimal("1.5")),
        (3, NUMBER, Decimal(3)),
        ("0.1000", {**TEXT, "format": "decimal"}, Decimal("0.1")),
        (["a", None], {"type": "array", "items": {"anyOf": [TEXT, {"type": "null"}]}}, ["a"]),
        ({"name": "a", "notes": [1]}, PERSON, {"name": "a"}),
    ],
)
def test_values_are_seen_under_their_types(value: Any, schema: Any, seen: Any) -> None:
    assert context(value, schema)["input"]["x"] == seen


@pytest.mark.promise("gate-trap-numbers")
@pytest.mark.parametrize(
    ("value", "schema", "why"),
    [
        (1, TEXT, "not text"),
        (1, {"type": "boolean"}, "not true or false"),
        (True, {"type": "integer"}, "no whole number"),
        (1.0, {"type": "integer"}, "whole"),
        (2**63, {"type": "integer"}, "64 bits"),
        (True, NUMBER, "not a number"),
        ("x", NUMBER, "not a number"),
        (1e-5, NUMBER, "four decimal places"),
        (float("inf"), NUMBER, "finite"),
        (1e18, NUMBER, "larger"),
        ("a", {"type": "array", "items": TEXT}, "not a list"),
        (["a", 1], {"type": "array", "items": TEXT}, "not text"),
        ([1], PERSON, "not an object"),
        ({"name": "a", "other": 1}, PERSON, "x/other"),
        ({"name": "a", "__extn": 1}, PERSON, "declared"),
        (["x"] * 1001, {"type": "array", "items": TEXT}, "1000 members"),
        ([f"{n:5}{'y' * 100}" for n in range(900)], {"type": "array", "items": TEXT}, "65536 bytes"),
    ],
)
def test_what_does_not_fit_is_refused_and_named(value: Any, schema: Any, why: str) -> None:
    text = refusal(value, schema)
    assert "do: the argument x" in text and why.replace("no whole", "not a whole") in text


def test_an_argument_that_is_not_declared_is_refused() -> None:
    with pytest.raises(FlyballError, match="argument y"):
        policy_context(input_shape(Action(name="do")), {"y": 1})


def test_too_many_arguments_are_refused() -> None:
    with pytest.raises(FlyballError, match="input"):
        policy_context(input_shape(Action(name="do")), {f"a{n}": 1 for n in range(1001)})


@pytest.mark.promise("gate-nulls-are-named", "gate-opaque-arguments")
def test_null_and_opaque_are_named() -> None:
    found = context({"name": None, "notes": {"a": 1}}, PERSON)
    assert found["nulls"] == ["x/name"] and found["opaque"] == ["x/notes"]
    assert context([None], {"type": "array", "items": {"anyOf": [TEXT, {"type": "null"}]}})["nulls"] == ["x/*"]


def test_long_text_is_a_digest_with_its_length() -> None:
    found = context("é" * 5000)
    assert found["input"]["x"].startswith("sha256:") and found["digested"] == ["x"] and found["length"] == {"x": 5000}
    assert context("x" * 8192)["digested"] == []


def test_text_with_a_lone_surrogate_does_not_raise_anything_else() -> None:
    assert context("\ud800")["length"] == {"x": 1}


@pytest.mark.promise("gate-derived-recipients")
@pytest.mark.parametrize(
    ("value", "addresses", "domains"),
    [
        ("Ada <a@x.example>, b@y.example", ["a@x.example", "b@y.example"], ["x.example", "y.example"]),
        ("nobody", ["nobody"], ["invalid"]),
        ("", [""], ["invalid"]),
    ],
)
def test_recipients_are_derived(value: str, addresses: list[str], domains: list[str]) -> None:
    seen = context(value, TEXT, "to", critical=frozenset({"to"}))["input"]
    assert (seen["to_addresses"], seen["to_domains"]) == (addresses, domains)


def test_recipients_of_a_list_are_those_of_all_its_members() -> None:
    many = {"type": "array", "items": {"anyOf": [TEXT, {"type": "null"}]}}
    seen = context(["a@x.example", None, "b@y.example"], many, "to", critical=frozenset({"to"}))["input"]
    assert seen["to_domains"] == ["x.example", "y.example"]


def test_the_host_of_a_url_is_derived() -> None:
    assert context("https://X.example/", TEXT, "url", critical=frozenset({"url"}))["input"]["url_domains"] == [
        "x.example"
    ]
    assert context("nowhere", TEXT, "url", critical=frozenset({"url"}))["input"]["url_domains"] == ["invalid"]


@pytest.mark.parametrize(("form", "why"), [("email", "no list of addresses"), ("uri", "no URL")])
def test_a_declared_format_is_held(form: str, why: str) -> None:
    assert why in refusal("nobody", {**TEXT, "format": form})


def test_recipients_count_too() -> None:
    many = {"type": "array", "items": TEXT}
    assert "1000 members" in refusal(
        [f"a{n}@x.example,b{n}@x.example" for n in range(600)], many, "to", critical=frozenset({"to"})
    )


def test_an_absent_or_null_recipient_has_no_sets() -> None:
    maybe = {"anyOf": [TEXT, {"type": "null"}]}
    assert context(None, maybe, "to", critical=frozenset({"to"}))["input"] == {}


@pytest.mark.promise("gate-neutral-values")
def test_facts_that_are_not_known_are_neutral() -> None:
    found = context("a", effect="read", egress=False, risk="high")
    assert found["budget"]["left"]["usd"] == UNLIMITED and found["run"]["brake"] == "none"
    assert found["origin"] == {"x": "unknown"} and (found["effect"], found["egress"], found["risk"]) == (
        "read",
        False,
        "high",
    )
    assert "approvals" not in found


@pytest.mark.promise("gate-context-is-complete")
def test_facts_are_shown() -> None:
    shape = input_shape(Action(name="do"))
    facts = Facts(
        left={"usd": 5, "calls": 2**60},
        did=("a", "b"),
        denied=("c",),
        tainted=True,
        release="r",
        env="prod",
    )
    found = policy_context(shape, {}, facts)
    assert found["budget"]["left"] | {"steps": 0} == {
        "usd": 5,
        "calls": UNLIMITED,
        "effects": UNLIMITED,
        "tokens": UNLIMITED,
        "steps": 0,
    }
    assert found["run"] == {"did": ["a", "b"], "denied": ["c"], "tainted": True, "brake": "none", "signals": {}}


def test_what_guards_said_is_shown_by_their_names() -> None:
    facts = Facts(guard={"pii": Signal(score=900, verdict="redact")})
    assert policy_context(input_shape(Action(name="do")), {}, facts)["guard"] == {
        "pii": {"score": 900, "verdict": "redact"}
    }


@pytest.mark.parametrize(
    ("now", "hour", "weekday"), [(0, 0, 4), (1_767_225_600_000 + 3_600_000 * 13, 13, 4), (345_600_000, 0, 1)]
)
def test_hour_and_weekday_are_utc(now: int, hour: int, weekday: int) -> None:
    found = policy_context(input_shape(Action(name="do")), {}, Facts(now=now))["time"]
    assert (found["hour"], found["weekday"]) == (hour, weekday)


@pytest.mark.promise("gate-numbers-are-never-rounded")
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**14), max_value=10**14))
def test_a_number_is_never_rounded(value: Decimal) -> None:
    try:
        assert exact_decimal(value) == value == Decimal(f"{exact_decimal(value):.4f}")
    except ValueError:
        assert value != Decimal(f"{value:.4f}")


@given(st.floats())
def test_a_float_is_taken_as_it_is_written(value: float) -> None:
    try:
        assert exact_decimal(value) == Decimal(repr(value))
    except ValueError:
        assert not math.isfinite(value) or abs(value) > 9e14 or value != round(value, 4)
