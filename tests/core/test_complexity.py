from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.complexity import MOST, Complexity, complexity, depth
from flyball.core.model import Message, ModelRequest, ToolCall, ToolSpec

FLAT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}
DEEP: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "array", "items": FLAT}}}
roles = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.lists(st.builds(Message, role=roles, text=st.text()), max_size=8).map(tuple)


def scored(*texts: str, **more: Any) -> Complexity:
    return complexity(ModelRequest(model="m", messages=tuple(Message(role="user", text=t) for t in texts), **more))


@given(messages, messages)
def test_a_score_is_from_0_to_1000_and_more_never_makes_it_less(some: Any, more: Any) -> None:
    one, both = (complexity(ModelRequest(model="m", messages=m)).score for m in (some, some + more))
    assert 0 <= one <= both <= MOST


def test_each_part_has_a_most_of_its_own() -> None:
    huge = Message(role="assistant", text="x = {\n" * 10_000)
    tools = tuple(ToolSpec(name=str(n), schema=DEEP) for n in range(50))
    request = ModelRequest(model="m", messages=(huge,) * 50, tools=tools, output_schema=DEEP)
    assert complexity(request) == Complexity(length=300, tools=200, schema=200, code=150, history=150)


def test_the_instructions_do_not_count() -> None:
    request = ModelRequest(model="m", messages=(Message(role="system", text="x" * 9_000),))
    assert complexity(request).score == 0


def test_what_was_called_counts_as_length() -> None:
    call = ToolCall(id="1", name="a", arguments="x" * 300)
    assert complexity(ModelRequest(model="m", messages=(Message(role="assistant", calls=(call,)),))).length == 10


@pytest.mark.parametrize(
    ("text", "lines"),
    [("def pay(x):", 1), ("    return x * 2", 1), ("const a = 1;", 1), ("}", 1), ("```python", 1), ("import os", 0),
     ("From Monday on we pay less.", 0), ("class struggle", 0), ("Pay me (soon).", 0), ("", 0)],
)  # fmt: skip
def test_lines_of_code_are_told_from_prose(text: str, lines: int) -> None:
    assert scored(f"Look:\n{text}\n").code == 10 * lines


@pytest.mark.parametrize(
    ("schema", "levels"),
    [(None, 0), ({}, 0), ({"type": "string"}, 0), (FLAT, 1), (DEEP, 3), ({"anyOf": [FLAT, {"type": "null"}]}, 1),
     ({"properties": {"a": FLAT}}, 2), ({"$defs": {"x": FLAT}, "type": "object"}, 2),
     ({"items": 5, "type": "array"}, 1), ({"type": "array", "prefixItems": [FLAT]}, 1)],
)  # fmt: skip
def test_the_depth_of_a_schema_is_counted(schema: Any, levels: int) -> None:
    assert depth(schema) == levels


def test_a_schema_that_holds_itself_comes_to_an_end() -> None:
    endless: dict[str, Any] = {"type": "array"}
    endless["items"] = endless
    assert depth(endless) == 8
