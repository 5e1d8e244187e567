from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.modify import apply, conflict, overlapping, parse_modifier, tokens

VALUES = {"a": {"b": "text", "n": 7}, "x~/y": "slash", "none": None, "list": [{"b": 1}]}


def change(text: str, values: dict[str, Any] = VALUES) -> dict[str, Any]:
    return apply(values, [parse_modifier(text)])


@pytest.mark.promise("gate-modifiers-only-narrow")
@pytest.mark.parametrize(
    ("text", "pointer", "value"),
    [
        ("drop:/a/b", ("a", "b"), "gone"),
        ("mask:/a/b", ("a", "b"), "***"),
        ("clamp:/a/n:5", ("a", "n"), 5),
        ("clamp:/a/n:9", ("a", "n"), 7),
        ("clamp:/a/n:6.5", ("a", "n"), 6.5),
        ("truncate:/a/b:2", ("a", "b"), "te"),
        ('replace_const:/a/b:{"x":":"}', ("a", "b"), {"x": ":"}),
        ("mask:/x~0~1y", ("x~/y",), "***"),
    ],
)
def test_each_modifier_takes_something_away(text: str, pointer: tuple[str, ...], value: Any) -> None:
    found: Any = change(text)
    for step in pointer:
        found = found.get(step, "gone")
    assert found == value


def test_the_arguments_given_are_left_alone() -> None:
    before = {"a": {"b": {"c": 1}, "d": [1]}}
    change("drop:/a/b/c", before)
    assert before == {"a": {"b": {"c": 1}, "d": [1]}}


@pytest.mark.parametrize("text", ["drop:/zz", "drop:/zz/b", "mask:/none", "drop:/a/zz", "drop:/none/x"])
def test_what_is_not_there_is_left_alone(text: str) -> None:
    assert change(text) == VALUES


@pytest.mark.parametrize("text", ["mask:/a/n", "truncate:/a/n:1", "clamp:/a/b:1", "drop:/list/0", "drop:/a/b/c"])
def test_a_value_of_the_wrong_type_is_an_error(text: str) -> None:
    with pytest.raises(FlyballError) as bad:
        change(text)
    assert bad.value.code == "modifier_misfit" and bad.value.data["pointer"]


def test_true_is_no_number() -> None:
    with pytest.raises(FlyballError):
        change("clamp:/t:0", {"t": True})
    assert change("clamp:/t:0", {"t": Decimal(3)}) == {"t": 0}


@pytest.mark.promise("gate-modifiers-only-narrow")
@pytest.mark.parametrize(
    "text",
    [
        "", "drop", "add:/a", "drop:a", "drop:", "mask", "clamp:/a", "clamp:/a:x", "clamp:/a:true", "clamp:/a:NaN",
        "clamp:/a:1e40", "truncate:/a:-1", "truncate:/a:1.5", "truncate:/a", "replace_const:/a", "replace_const:/a:{",
        'replace_const:/a:{"__entity":1}',
    ],
)  # fmt: skip
def test_what_is_outside_the_closed_list_is_refused(text: str) -> None:
    with pytest.raises(FlyballError) as bad:
        parse_modifier(text)
    assert bad.value.code == "bad_modifier" and "drop:/p" in bad.value.fix


def test_a_pointer_is_read_as_rfc_6901_says() -> None:
    assert tokens("/a~1b/~0") == ("a/b", "~") and tokens("a") == () and tokens("/") == ("",)


def test_pointers_overlap_where_one_begins_with_the_other() -> None:
    drop, mask, other = (parse_modifier(t) for t in ("drop:/a", "mask:/a/b", "mask:/ab"))
    assert overlapping(drop, mask) and overlapping(mask, drop) and not overlapping(drop, other)
    assert not overlapping(drop, drop)
    assert conflict([other, drop, mask]) == (drop, mask) and conflict([drop, other, drop]) is None


@given(st.permutations(["drop:/a/b", "clamp:/a/n:3", "mask:/x~0~1y"]))
def test_modifiers_that_do_not_overlap_may_be_applied_in_any_order(texts: list[str]) -> None:
    expected = {**VALUES, "a": {"n": 3}, "x~/y": "***"}
    assert apply(VALUES, [parse_modifier(t) for t in texts]) == expected


@pytest.mark.promise("gate-modifiers-only-narrow")
@given(st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(), st.text(), st.none())))
def test_a_modifier_applied_twice_is_applied_once(values: dict[str, Any]) -> None:
    for text in ("drop:/a", 'replace_const:/b:"x"'):
        assert change(text, change(text, values)) == change(text, values)
