from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.record import MAX_LEAF, Event, leaf
from flyball.verify.leaf import Leaf, number, read_leaf, step_of, table, text, texts

GOOD: dict[str, Any] = {
    "v": 1, "id": "r-1/2/1/intent", "kind": "intent", "t": 5, "tenant": "acme", "run": "r-1", "path": "2", "attempt": 1,
    "facts": {"action": "send"}, "commit": {"args": "ab" * 32},
}  # fmt: skip


def written(**changes: Any) -> bytes:
    value = {name: what for name, what in {**GOOD, **changes}.items() if what is not ...}
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_what_core_writes_is_read_back() -> None:
    event = Event(kind="intent", run="r-1", path="2", attempt=1, facts={"action": "send"})
    read = read_leaf(7, leaf(event, "acme", 5, {"args": "ab" * 32}))
    assert isinstance(read, Leaf)
    assert (read.at, read.id, read.time, read.facts, read.commit) == (
        7, "r-1/2/1/intent", 5, {"action": "send"}, {"args": "ab" * 32}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"v": 2}, "version"), ({"v": True}, "version"), ({"v": ...}, "keys"), ({"more": 1}, "keys"),
        ({"kind": "party"}, "kind"), ({"kind": 1}, "not text"), ({"run": None}, "not text"), ({"path": []}, "not text"),
        ({"tenant": 5}, "not text"), ({"t": -1}, "whole number"), ({"t": True}, "whole number"),
        ({"t": 1.5}, "floating"), ({"attempt": "1"}, "whole number"), ({"id": "r-1/2/2/intent"}, "id"),
        ({"id": 1}, "id"), ({"facts": []}, "facts"), ({"commit": []}, "facts"),
        ({"commit": {"args": "AB" * 32}}, "digests"), ({"commit": {"args": "ab"}}, "digests"),
        ({"commit": {"args": 1}}, "digests"), ({"commit": {"a": "ab" * 33, "b": "ab" * 31}}, "digests"),
        ({"commit": {"args": "zz" * 32}}, "digests"), ({"facts": {"x": "y" * MAX_LEAF}}, "bytes"),
    ],
)  # fmt: skip
def test_a_leaf_of_another_shape_is_named(changes: dict[str, Any], why: str) -> None:
    read = read_leaf(0, written(**changes))
    assert isinstance(read, str)
    assert why in read


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff", written() + b" ", b'{"v":1,"v":1}'])
def test_what_is_not_canonical_is_named(raw: bytes) -> None:
    assert isinstance(read_leaf(0, raw), str)


def test_text_that_is_not_ascii_and_an_index_that_is_said_are_looked_at_in_another_way() -> None:
    read = read_leaf(7, written(facts={"action": "schicke Grüße"}))
    assert isinstance(read, Leaf) and (read.at, read.facts) == (7, {"action": "schicke Grüße"})
    assert read_leaf(7, written(at=-1)) == "it has not the keys of a leaf"
    assert "digests" in str(read_leaf(7, written(facts={"action": "ü"}, commit={"args": "é" * 64})))


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_named(raw: bytes) -> None:
    assert isinstance(read_leaf(0, raw), (str, Leaf))


@given(
    st.dictionaries(
        st.sampled_from(["a", "b"]), st.none() | st.integers() | st.text() | st.lists(st.text() | st.none())
    )
)
def test_facts_of_another_type_are_as_if_absent(facts: dict[str, Any]) -> None:
    assert isinstance(text(facts, "a"), str)
    assert isinstance(number(facts, "a"), int)
    assert all(isinstance(item, str) for item in texts(facts, "a"))
    assert table(facts, "a") == {}


@pytest.mark.parametrize(
    ("path", "step"),
    [("3", "3"), ("3.1~17", "3.1"), ("3!2", "3"), ("3#1!2", "3"), ("2?", "2"), ("", ""), ("@2.1", "@2.1")],
)
def test_a_path_belongs_to_a_step(path: str, step: str) -> None:
    assert step_of(path) == step
