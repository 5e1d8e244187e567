"""Disclosure: what is sealed stays, but for what is named and not personal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.disclosure import Marks, Rules, disclosed, needed
from flyball.core.record import Opened

REQUEST = {"resource": {"type": "Model", "id": "default"},
           "entities": [{"uid": {"type": "Model", "id": "default"}, "attrs": {"vendor": "openai"}}]}  # fmt: skip
REPLY = {"text": "hello", "calls": [{"name": "pay", "arguments": "{}"}], "model": "m-1", "stop": "end",
         "usage": {"input": 3}, "provider_id": "x", "echo": "secret"}  # fmt: skip


def record(kind: str, private: dict[str, Any] | None, /, **facts: Any) -> Opened:
    return Opened(
        index=0, kind=kind, run="r-1", path="1", attempt=1, time=0, facts=facts, commits={}, private=private,
        salts={"args": b"salt"},
    )  # fmt: skip


def left(one: Opened, *content: str, action: str = "pay", kind: str = "tool", **marks: set[str]) -> dict[str, Any]:
    known = Marks(**{side: frozenset(found) for side, found in marks.items()})
    name = "model" if kind == "model" else action
    shown = disclosed(
        one, action, kind, Rules(content={name: content}, marks={"pay": known}, models={"default": "gpt"})
    )
    assert shown.salts == {}
    return dict(shown.private or {})


INTENT = record("intent", {"args": {"cents": 5, "to": "kim"}, "request": REQUEST}, action_kind="tool")
OUTCOME = record("outcome", {"result": {"id": "p-1", "mail": "kim@x"}, "error": "boom"})


@given(st.sampled_from(["intent", "decision", "outcome", "late", "run_started", "run_ended", "asked", "approved"]))
def test_without_a_word_nothing_leaves(kind: str) -> None:
    told = {"args": {"a": 1}, "result": 1, "input": 2, "reason": "x", "person": "kim", "shown": {}, "detail": "d"}
    assert left(record(kind, told, kind="flow", action_kind="tool")) == {}


def test_what_is_named_leaves() -> None:
    assert left(INTENT, "arguments.cents") == {"input": {"cents": 5}}
    assert left(INTENT, "arguments") == {"input": {"cents": 5, "to": "kim"}}
    assert left(OUTCOME, "result.id") == {"output": {"id": "p-1"}}
    assert left(OUTCOME, "error") == {"error": "boom"} and left(OUTCOME, "arguments") == {}


def test_what_is_personal_never_leaves() -> None:
    assert left(INTENT, "arguments", arguments={"/to"}) == {"input": {"cents": 5, "to": "<personal>"}}
    assert left(OUTCOME, "result", "result.mail", result={"/mail"})["output"] == {"id": "p-1", "mail": "<personal>"}
    many = record("outcome", {"result": {"all": [{"mail": "a"}, {"mail": "b"}]}})
    assert left(many, "result", result={"/all/*/mail"}) == {"output": {"all": [{"mail": "<personal>"}] * 2}}
    assert left(record("outcome", {"result": "kim"}), "result", result={""}) == {"output": "<personal>"}


def test_a_field_of_what_has_none_is_nothing() -> None:
    assert left(record("outcome", {"result": "text"}), "result.id") == {}


def test_of_an_action_that_the_code_does_not_have_nothing_leaves() -> None:
    assert left(INTENT, "arguments", action="gone") == {}


@pytest.mark.parametrize("kind", ["flow", "agent", "handoff"])
def test_what_was_handed_over_stands_one_level_in(kind: str) -> None:
    inside = record("intent", {"args": {"input": {"to": "kim"}}}, action_kind=kind)
    assert left(inside, "arguments.to") == {"input": {"to": "kim"}}
    assert left(inside, "arguments", arguments={"/to"}) == {"input": {"to": "<personal>"}}


def test_what_a_run_was_handed_stands_in_its_start() -> None:
    assert left(record("run_started", {"input": {"id": 1}}, kind="flow"), "arguments.id") == {"input": {"id": 1}}
    act = record("run_started", {"input": {"arguments": {"cents": 5}}}, kind="act")
    assert left(act, "arguments") == {"input": {"cents": 5}}


def test_which_model_was_asked_and_what_it_used_is_no_content() -> None:
    asked = record("intent", {"args": {}, "request": REQUEST, "new": []}, action_kind="model")
    assert left(asked, kind="model") == {"model": {"name": "gpt", "vendor": "openai"}}
    told = left(record("outcome", {"result": REPLY}), kind="model")
    assert told == {"reply": {"model": "m-1", "stop": "end", "usage": {"input": 3}, "provider_id": "x"}}


def test_what_a_tool_returned_is_not_told_by_what_a_model_was_shown() -> None:
    new = [
        {"role": "user", "text": "hi"},
        {"role": "tool", "text": "kim@x", "name": "look"},
        {"role": "tool", "text": "y"},
    ]
    asked = record("intent", {"new": new}, action_kind="model")
    texts = [m["text"] for m in left(asked, "messages", kind="model")["input"]]
    assert texts == ["hi", "<result of look>", "<result of a tool>"]
    said = left(record("outcome", {"result": REPLY}), "result", kind="model")["output"]
    assert said == {"text": "hello", "calls": [{"name": "pay"}]}
    assert left(record("outcome", {"result": {"text": "a"}}), "result", kind="model")["output"] == {"text": "a"}


def test_whose_trace_it_is_is_no_content() -> None:
    assert left(record("run_started", {"traceparent": "00-a"}, kind="flow")) == {"traceparent": "00-a"}


def test_what_was_erased_is_not_there() -> None:
    assert left(record("outcome", None), "result") == {}


@pytest.mark.parametrize(
    ("kind", "action", "of", "wanted"),
    [
        ("run_started", "", "", True), ("intent", "pay", "tool", True), ("intent", "look", "tool", False),
        ("outcome", "model", "model", True), ("approved", "pay", "tool", False), ("run_parked", "pay", "", False),
    ],
)  # fmt: skip
def test_a_payload_is_opened_only_where_it_is_needed(kind: str, action: str, of: str, wanted: bool) -> None:
    assert needed(record(kind, None), action, of, Rules(content={"pay": ["result"]})) is wanted
