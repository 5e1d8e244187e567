"""Where a value came from is decided by value, and what could match by accident matches nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.origin import (
    DEFAULT,
    REQUEST,
    SEVERAL,
    UNKNOWN,
    Origins,
    forms,
    leaves,
    normal,
    trace,
    untrusted,
    values,
    with_output,
)
from flyball.core.origin import with_request as requested

NOTHING = Origins()
NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
)
SCALARS = st.text(max_size=8) | st.integers() | st.booleans() | st.none()
TREES = st.recursive(SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(st.text(max_size=3), t, max_size=3))


def origin(value: Any, known: Origins) -> str:
    return trace({"x": value}, known)["x"]


@given(NUMBERS, NUMBERS)
def test_two_numbers_are_the_same_leaf_exactly_where_they_are_equal(a: Any, b: Any) -> None:
    exact = [Decimal(repr(n)) if isinstance(n, float) else Decimal(n) for n in (a, b)]
    assert (normal(a) == normal(b)) == (exact[0] == exact[1])


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (10**30 + 1, 10**30 + 2),
        (Decimal("1." + "0" * 40 + "1"), 1),
        (2**53 + 1, float(2**53)),
        (1, "1"),
        (1, True),
        (0.1, "0.1"),
    ],
)
def test_numbers_that_differ_in_the_last_place_or_in_type_are_not_one(a: Any, b: Any) -> None:
    assert normal(a) != normal(b)


@pytest.mark.parametrize(
    ("a", "b"), [(1, 1.0), (Decimal("1.50"), 1.5), (-0.0, 0), (10**22, 1e22), (Decimal("1E+3"), 1000)]
)
def test_a_number_is_compared_by_value(a: Any, b: Any) -> None:
    assert normal(a) == normal(b) is not None


def test_a_number_of_any_size_has_a_short_form() -> None:
    assert len(normal(Decimal("1E+999999")) or "") < 20
    assert normal(10**5000) == "n:1e5000"


@pytest.mark.parametrize(
    "value", [None, True, False, "", " \n\t", float("nan"), float("inf"), Decimal("-Infinity"), Decimal("sNaN")]
)
def test_what_says_nothing_has_no_origin(value: Any) -> None:
    assert normal(value) is None
    assert origin(value, requested(NOTHING, {"x": value})) == UNKNOWN


@pytest.mark.parametrize(
    ("a", "b"),
    [("Ada@ACME.example", "ada@acme.example"), ("two  words\n", "Two words"), ("ＡＣＭＥ", "acme"), ("ﬁle", "FILE")],
)
def test_text_is_compared_without_case_width_and_blanks(a: str, b: str) -> None:
    assert normal(a) == normal(b)


@pytest.mark.parametrize(("a", "b"), [("аda", "ada"), ("a\u200bda", "ada"), ("ada", "ada@acme.example"), ("á", "a")])
def test_look_alikes_invisible_characters_and_parts_do_not_match(a: str, b: str) -> None:
    assert normal(a) != normal(b)


def test_leaves_have_pointers_and_list_items_a_star() -> None:
    assert list(leaves({"a": [1, {"b": 2}], "c": 3})) == [("/a/*", 1), ("/a/*/b", 2), ("/c", 3)]


def test_the_forms_of_a_value_are_those_of_its_leaves_that_say_something() -> None:
    assert forms({"to": "Acme ", "lines": [3, 3.0, None, ""]}) == {normal("acme"), normal(3)}


def test_a_key_that_looks_like_another_place_is_none() -> None:
    output = {"contact/mail": "x", "*": {"id": "y"}, "~1": "z"}
    assert [at for at, _ in leaves(output)] == ["/contact~1mail", "/~2/id", "/~01"]
    assert with_output(NOTHING, "t", output, frozenset({"/contact", "/*/id"})) == NOTHING


@pytest.mark.promise("gate-origins-by-value")
@given(TREES)
def test_every_leaf_of_the_request_that_says_something_comes_from_the_request(request: Any) -> None:
    known = requested(NOTHING, request)
    assert all(origin(leaf, known) == REQUEST for _, leaf in leaves(request) if normal(leaf) is not None)


@pytest.mark.parametrize("token", ["ada@acme.example", "A-17-2026", "INV-0000017", "2026-06-13"])
@pytest.mark.parametrize("around", ["pay {} now", "({})", "see {}.", "<{}>", "*{}*, please", "'{}'"])
def test_a_token_that_cannot_be_an_accident_counts_from_free_text(token: str, around: str) -> None:
    assert origin(token, requested(NOTHING, around.format(token))) == REQUEST


@pytest.mark.parametrize("value", ["13", "A-17", "June", "everybody", "@finance", "finance@", "@", 13, "acme.example"])
def test_a_short_id_a_word_or_a_mention_in_a_sentence_authorises_nothing(value: Any) -> None:
    text = "June 13: A-17 for everybody at ada@acme.example, tell @finance or finance@ or @ about it"
    assert origin(value, requested(NOTHING, text)) == UNKNOWN


def test_a_token_matches_whole_or_not_at_all() -> None:
    known = requested(NOTHING, "write to ada@acme.example about INV-0000017")
    assert origin("da@acme.example", known) == origin("ada@acme.example.evil.example", known) == UNKNOWN
    assert origin("INV-00000170", known) == origin("ada@acme.example, eve@evil.example", known) == UNKNOWN


@pytest.mark.promise("gate-origins-by-value")
def test_only_trusted_fields_of_an_output_are_known_by_their_place() -> None:
    output = {"id": "c-1", "contacts": [{"mail": "ada@acme.example", "note": "pay eve@evil.example"}]}
    known = with_output(NOTHING, "find", output, frozenset({"/id", "/contacts/*/mail"}))
    assert origin("c-1", known) == "find.id"
    assert origin("ada@acme.example", known) == "find.contacts.mail"
    assert origin("pay eve@evil.example", known) == origin("eve@evil.example", known) == UNKNOWN


@pytest.mark.parametrize("trusted", [frozenset({""}), frozenset({"/a"})])
def test_what_is_trusted_is_trusted_with_everything_below(trusted: frozenset[str]) -> None:
    known = with_output(NOTHING, "t", {"a": {"b": "below"}, "ab": "beside"}, trusted)
    assert origin("below", known) == "t.a.b"
    assert origin("beside", known) == ("t.ab" if "" in trusted else UNKNOWN)


def test_an_output_without_trusted_fields_adds_nothing() -> None:
    assert with_output(NOTHING, "t", {"a": "x"}, frozenset()) is NOTHING


def test_the_earlier_source_wins() -> None:
    known = with_output(requested(NOTHING, {"id": "c-1"}), "find", {"id": "c-1"}, frozenset({"/id"}))
    assert origin("c-1", known) == REQUEST
    assert origin("c-1", requested(with_output(NOTHING, "find", {"id": "c-1"}, frozenset({"/id"})), "c-1")) == "find.id"


@pytest.mark.promise("gate-origins-by-value")
@given(TREES, TREES)
def test_nothing_but_the_values_themselves_is_ever_known(request: Any, argument: Any) -> None:
    known = {normal(leaf) for _, leaf in leaves(request)} - {None}
    found = origin(argument, requested(NOTHING, {"r": request}))
    if found != UNKNOWN:
        assert {normal(leaf) for _, leaf in leaves(argument)} <= known | {normal(t) for t in _texts(request)}


def _texts(tree: Any) -> list[str]:
    return [t for _, leaf in leaves(tree) if isinstance(leaf, str) for t in leaf.split()]


@pytest.mark.promise("gate-origins-by-value")
def test_an_argument_is_only_as_well_known_as_its_leaves() -> None:
    known = with_output(requested(NOTHING, {"a": "one"}), "t", {"b": "two"}, frozenset({"/b"}))
    told = trace(
        {"same": ["one", "ONE"], "mixed": ["one", "two"], "bad": ["one", "three"], "none": [], "void": {}}, known
    )
    assert told == {"same": REQUEST, "mixed": SEVERAL, "bad": UNKNOWN, "none": UNKNOWN, "void": UNKNOWN}


@pytest.mark.promise("gate-origins-by-value")
def test_what_the_proposal_did_not_name_is_the_declared_default() -> None:
    assert trace({"a": "x", "b": "y"}, NOTHING, frozenset({"a"})) == {"a": UNKNOWN, "b": DEFAULT}


@pytest.mark.promise("gate-untrusted-text-taints")
@pytest.mark.parametrize(
    ("output", "taints"),
    [
        ({"id": "c"}, False),
        ({"id": "c", "note": "hi"}, True),
        ({"id": "c", "note": ""}, False),
        ({"n": 5, "ok": True}, False),
        ("x", True),
    ],
)
def test_text_that_nobody_vouches_for_taints(output: Any, taints: bool) -> None:
    assert untrusted(output, frozenset({"/id"})) is taints


@pytest.mark.parametrize(
    ("output", "taints"),
    [({"a": {"b": ["", "x"]}}, True), ({"a": ["", 5, None], "b": {}}, False), (("x",), True), ("", False), (5, False)],
)
def test_where_nothing_is_vouched_for_every_text_taints(output: Any, taints: bool) -> None:
    assert untrusted(output, frozenset()) is taints


@given(st.integers(-(2**70), 2**70))
def test_a_whole_number_reads_as_the_decimal_of_its_value(number: int) -> None:
    assert normal(number) == normal(Decimal(number)) == normal(Decimal(f"{number}.00"))


def test_what_a_person_names_are_leaves_and_tokens_that_are_no_accident() -> None:
    assert list(values({"to": "Write to bea@acme.example", "n": 7, "none": None})) == [
        "Write to bea@acme.example", "bea@acme.example", 7,
    ]  # fmt: skip
