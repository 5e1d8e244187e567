from __future__ import annotations

import enum
import json
import string
import sys
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.canonical import (
    MAX_DEPTH,
    MAX_INTEGER,
    check_tree,
    decode,
    encode,
    parse_json,
    record_reader,
)
from flyball.core.errors import FlyballError
from tests import vectors

JCS = ("jcs_cyberphone", "testdata")
INSIDE = ("arrays", "unicode")
OUTSIDE = ("french", "structures", "values", "weird")

text = st.text(st.characters(exclude_categories=["Cs"]))
ascii_text = st.text(st.characters(max_codepoint=127))
scalars = st.none() | st.booleans() | text | st.integers(-MAX_INTEGER, MAX_INTEGER)
profile = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(ascii_text, inner), max_leaves=30)
safe_keys = text.filter(lambda key: not key.startswith("__"))
numbers = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**40), 10**40)
foreign = st.recursive(
    scalars | numbers, lambda inner: st.lists(inner) | st.dictionaries(safe_keys, inner), max_leaves=30
)


class Colour(enum.StrEnum):
    RED = "red"


class Key(str):
    __slots__ = ()


def refusal(call: Callable[..., object], *args: Any, **options: Any) -> tuple[str, object]:
    with pytest.raises(FlyballError) as refused:
        call(*args, **options)
    return refused.value.code, refused.value.data["pointer"]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


# --- encode


@given(profile)
def test_canonical_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert encode(value) == rfc8785.dumps(value)


@given(profile)
def test_canonical_bytes_decode_to_the_value(value: Any) -> None:
    assert decode(encode(value)) == value


@pytest.mark.parametrize("name", INSIDE)
def test_cyberphone_documents_inside_the_profile_are_equal(name: str) -> None:
    source, expected = (vectors.path(*JCS, kind, f"{name}.json").read_bytes() for kind in ("input", "output"))
    assert encode(parse_json(source)) == expected.strip()
    assert decode(expected.strip()) == parse_json(source)


@pytest.mark.parametrize("name", OUTSIDE)
def test_cyberphone_documents_outside_the_profile_are_refused(name: str) -> None:
    value = parse_json(vectors.path(*JCS, "input", f"{name}.json").read_bytes())
    assert refusal(encode, value)[0] == "not_canonical"


def test_the_cyberphone_suite_is_known_document_by_document() -> None:
    names = {file.stem for file in vectors.path(*JCS, "input").iterdir()}
    assert names == {*INSIDE, *OUTSIDE}


def test_tuples_are_arrays_and_keys_are_sorted() -> None:
    assert encode({"b": (1, 2), "a": {"Z": 1, "A": 2}, "": None}) == b'{"":null,"a":{"A":2,"Z":1},"b":[1,2]}'


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        (1.0, ""),
        ({"a": [1, float("nan")]}, "/a/1"),
        (float("inf"), ""),
        ([2**53], "/0"),
        ([-(2**53)], "/0"),
        ({"é": 1}, ""),
        ({"a": {1: 2}}, "/a"),
        ({"a": {None: 2}}, "/a"),
        ({Key("a"): 1}, ""),
        ({"a/b~c": b"bytes"}, "/a~1b~0c"),
        ([uuid.UUID(int=1)], "/0"),
        ({"colour": Colour.RED}, "/colour"),
        ([{1, 2}], "/0"),
        (["\ud800"], "/0"),
        ({"a": object()}, "/a"),
    ],
)
def test_what_is_outside_the_profile_is_refused_with_its_pointer(value: Any, pointer: str) -> None:
    assert refusal(encode, value) == ("not_canonical", pointer)


def test_the_largest_integers_are_inside() -> None:
    assert encode([MAX_INTEGER, -MAX_INTEGER]) == b"[9007199254740991,-9007199254740991]"


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}, lambda inner: (inner,)])
def test_values_nest_as_deep_as_the_limit_and_no_deeper(wrap: Callable[[Any], Any]) -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = wrap(value)
    assert decode(encode(value)) is not None
    assert refusal(encode, wrap(value))[0] == "not_canonical"


def test_a_cycle_is_refused_as_too_deep() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    assert refusal(encode, cycle)[0] == "not_canonical"


def test_a_refusal_quotes_no_value() -> None:
    with pytest.raises(FlyballError) as refused:
        encode({"password": b"hunter2"})
    assert "hunter2" not in str(refused.value)
    assert "/password" in str(refused.value)


# --- decode


@pytest.mark.parametrize(
    "raw",
    [b'{"b":1,"a":2}', b'{"a": 1}', b' {"a":1}', b"[1]\n", b'"\\u0041"', b"-0", b'"\\/"'],
)
def test_another_spelling_of_a_value_is_refused(raw: bytes) -> None:
    assert refusal(decode, raw) == ("not_canonical", "")


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (b'{"a":[{"b":1,"b":1}]}', "/a/0"),
        (b'{"a":1.5}', "/a"),
        (b'{"a":1e2}', "/a"),
        (b"[NaN]", "/0"),
        (b"[1,-Infinity]", "/1"),
        (b"[9007199254740992]", "/0"),
        ('{"é":1}'.encode(), ""),
        (b'["\\ud800"]', "/0"),
        (b"[1e999]", "/0"),
    ],
)
def test_text_outside_the_profile_does_not_decode(raw: bytes, pointer: str) -> None:
    assert refusal(decode, raw) == ("not_canonical", pointer)


@pytest.mark.parametrize("raw", [b"", b"{", b"[1,]", b"[1][2]", b"\xff", b'"\xff"', b'"a', b"\xef\xbb\xbf[]", b"nul"])
def test_what_is_not_json_does_not_decode(raw: bytes) -> None:
    assert refusal(decode, raw) == ("invalid_json", "")


@given(st.binary(max_size=40) | st.text('[]{}:,"\\ -01.eEaNtrufls', max_size=20).map(str.encode))
def test_bytes_decode_only_if_they_are_the_canonical_bytes(raw: bytes) -> None:
    try:
        value = decode(raw)
    except FlyballError:
        return
    assert encode(value) == raw


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    facts: Any
    v: int = 1


read_held = record_reader(Held, lambda held: {"facts": held.facts, "v": held.v})


@given(profile)
def test_a_record_is_read_as_it_would_be_decoded_or_left_to_decode(value: Any) -> None:
    raw = encode({"facts": value, "v": 1})
    read = read_held(raw)
    assert read == Held(facts=value) if raw.isascii() else read is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b'{"v":1}', b'{"facts":1}', b'{"facts":1,"v":1,"w":1}', b'{"facts":1,"v":"1"}',
        b'{"v":1,"facts":1}', b'{"facts":1, "v":1}', b'{"facts":1.0,"v":1}', b'{"facts":9007199254740992,"v":1}',
        b'{"facts":{"a":1,"a":1},"v":1}', b'{"facts":"\\u0041","v":1}', '{"facts":"é","v":1}'.encode(),
        b'{"facts":%s%s,"v":1}' % (b"[" * 64, b"]" * 64), b'{"facts":"\xff","v":1}', b'{"facts":"\\ud800","v":1}',
    ],
)  # fmt: skip
def test_what_is_no_such_record_or_not_plainly_canonical_is_not_read(raw: bytes) -> None:
    assert read_held(raw) is None


def test_decode_has_limits_of_size_and_depth() -> None:
    assert refusal(decode, b"[[1]]", max_bytes=4) == ("too_large", "")
    assert decode(b"[[1]]", max_depth=2) == [[1]]
    assert refusal(decode, b"[[1]]", max_depth=1) == ("too_deep", "")
    assert refusal(decode, b"[" * 100 + b"]" * 100, max_depth=1000) == ("too_deep", "")


# --- parse_json


@given(foreign)
def test_foreign_json_parses_to_what_json_says(value: Any) -> None:
    document = json.dumps(value)
    assert parse_json(document) == parse_json(document.encode()) == value
    check_tree(value)


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        ('{"a":{"b":1,"c":2,"b":1}}', "/a/b"),
        ('[{"\\u0061":1,"a":1}]', "/0/a"),
        ('{"a":[NaN]}', "/a/0"),
        ("[Infinity]", "/0"),
        ("[-Infinity]", "/0"),
        ("[1e999]", "/0"),
        ('{"a":{"__class__":1}}', "/a/__class__"),
        ('{"\\u005f_a":1}', "/__a"),
        ('["\\ud800"]', "/0"),
        ('{"\\udfff":1}', ""),
        ("[1" + "0" * 5000 + "]", ""),
        ("\ud800", ""),
        ('"a\nb"', ""),
        ("\ufeff[]", ""),
        ("", ""),
        (b'"\xff"', ""),
        ("[]".encode("utf-16"), ""),
    ],
)
def test_bad_foreign_json_is_refused_with_its_pointer(raw: bytes | str, pointer: str) -> None:
    assert refusal(parse_json, raw) == ("invalid_json", pointer)


def test_an_escaped_pair_of_surrogates_is_one_character() -> None:
    assert parse_json('"\\ud83d\\ude02"') == "😂"


def test_size_is_counted_in_utf_8_bytes() -> None:
    assert parse_json('"éé"', max_bytes=6) == "éé"
    assert refusal(parse_json, '"éé"', max_bytes=5) == ("too_large", "")
    assert parse_json("9", max_bytes=1) == 9


@given(foreign)
def test_a_document_of_exactly_the_limit_is_not_too_large(value: Any) -> None:
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert parse_json(raw, max_bytes=len(raw)) == value


@pytest.mark.parametrize("depth", [65, 1_000, 100_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ('{"a":', "}"), ("[", ""), ('[{"a":', "")])
def test_deep_json_is_refused_and_never_a_recursion_error(depth: int, start: str, end: str) -> None:
    raw = start * depth + "1" + end * depth
    assert refusal(parse_json, raw) == ("too_deep", "")
    assert refusal(decode, raw.encode()) == ("too_deep", "")


def test_even_without_a_depth_limit_there_is_no_recursion_error() -> None:
    deep = sys.getrecursionlimit() * 100
    raw = "[" * deep + "]" * deep
    assert refusal(parse_json, raw, max_depth=10**9, max_bytes=10**9) == ("too_deep", "")


def test_brackets_in_text_are_not_depth() -> None:
    raw = json.dumps(["[{" * 200 + '\\"[', {"[" * 100: "]" * 100}] + [[]] * 100)
    assert parse_json(raw, max_depth=2) == json.loads(raw)


def test_depth_is_counted_down_again() -> None:
    assert parse_json("[[],[],{},[[]]]", max_depth=3) == [[], [], {}, [[]]]
    assert refusal(parse_json, "[[],[],{},[[[]]]]", max_depth=3) == ("too_deep", "")


@pytest.mark.parametrize("raw", ['"' + '\\"' * 200_000, '"' + "\\" * 400_001, "[" * 70 + '"' + "a\\" * 200_000])
def test_unterminated_text_is_read_in_linear_time(raw: str) -> None:
    assert refusal(parse_json, raw)[0] in ("invalid_json", "too_deep")


def test_a_hostile_key_neither_floods_nor_corrupts_the_message() -> None:
    with pytest.raises(FlyballError) as refused:
        parse_json(json.dumps({"__\x1b[31m" + "k" * 5000: 1}))
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


# --- check_tree


@pytest.mark.parametrize(
    ("value", "pointer"),
    [
        ({"a": (float("nan"),)}, "/a/0"),
        ([float("-inf")], "/0"),
        ({"a": {"__b": 1}}, "/a/__b"),
        ({"a": {1: 1}}, "/a"),
        ([b"bytes"], "/0"),
        ([{1}], "/0"),
        (object(), ""),
        (["\udc00"], "/0"),
        ([10**4300], "/0"),
    ],
)
def test_a_parsed_value_is_held_to_the_same_rules(value: Any, pointer: str) -> None:
    assert refusal(check_tree, value) == ("invalid_json", pointer)


@given(foreign, st.integers(1, 4), st.sampled_from([3, 10, 30, 2**70]), st.sampled_from([3, 10, 2**70]))
def test_a_limit_is_kept_whatever_the_other_limits_are(value: Any, depth: int, size: int, items: int) -> None:
    def passes(**limits: int) -> bool:
        try:
            check_tree(value, **limits)
        except FlyballError:
            return False
        return True

    alone = [passes(max_depth=depth), passes(max_bytes=size), passes(max_items=items)]
    assert passes(max_depth=depth, max_bytes=size, max_items=items) is all(alone)


def test_limits_without_bound_still_refuse() -> None:
    assert refusal(check_tree, [object()], max_bytes=2**80, max_items=2**80) == ("invalid_json", "/0")


def test_a_parsed_value_is_held_to_its_depth() -> None:
    check_tree(nested(3), max_depth=3)
    assert refusal(check_tree, nested(4), max_depth=3) == ("too_deep", "/0/0/0")


def test_a_parsed_value_is_held_to_its_number_of_items() -> None:
    check_tree({"a": [1, 2]}, max_items=4)
    assert refusal(check_tree, {"a": [1, 2, 3]}, max_items=4) == ("too_large", "/a")


@pytest.mark.parametrize("value", ["x" * 100, {"x" * 100: 1}, ["x" * 50] * 2, "é" * 50, 10**100])
def test_a_parsed_value_is_held_to_its_bytes(value: Any) -> None:
    assert refusal(check_tree, value, max_bytes=99)[0] == "too_large"


def test_a_value_that_contains_itself_ends_at_a_limit() -> None:
    cycle: dict[str, Any] = {}
    cycle["a"] = cycle
    assert refusal(check_tree, cycle)[0] == "too_deep"


def test_shared_branches_that_unfold_without_end_stop_at_the_number_of_items() -> None:
    value: Any = string.ascii_letters
    for _ in range(60):
        value = [value, value]
    assert refusal(check_tree, value, max_bytes=2**40)[0] == "too_large"


def test_true_and_one_are_told_apart() -> None:
    assert encode([True, 1]) == b"[true,1]"
    check_tree([True, 1, None, 1.5])
