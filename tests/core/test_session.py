"""A session belongs to one principal; a history tells ended turns, and what of them is known."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.session import MAX_TURNS, History, Turn, history, passage, remembered, scope

KIM = Principal("user:kim", tenant="acme")


def turn(number: int = 1, **other: Any) -> Turn:
    return Turn(number=number, run=f"r-{number}", ended=number, asked="Write to bea@acme.example", **other)


def test_a_session_is_that_of_one_principal() -> None:
    others = [
        scope(KIM, "t"), scope(Principal("user:noor"), "s"), scope(Principal("user:kim", issuer="key"), "s"),
        scope(Principal("user:kim", on_behalf_of="user:noor"), "s"),
    ]  # fmt: skip
    assert scope(KIM, "s") not in others and scope(Principal("user:kim", tenant="b"), "s") == scope(KIM, "s")


def test_a_history_is_an_optional_source_that_is_read_from_the_log() -> None:
    made = history(turns=3, tokens=50, max_age=timedelta(days=1), sensitivity="confidential")
    assert isinstance(made, History) and (made.name, made.turns, made.required, made.trusted) == (
        "history",
        3,
        False,
        False,
    )
    assert (made.tokens, made.max_age, made.sensitivity) == (50, timedelta(days=1), "confidential")
    assert made.action.kind == "context" and made.signature.names == ("input",)
    with pytest.raises(FlyballError, match="read from the log"):
        made.function(None, "")  # type: ignore[arg-type, unused-awaitable]


@pytest.mark.parametrize(
    "bad", [{"turns": 0}, {"turns": MAX_TURNS + 1}, {"turns": True}, {"tokens": 0}, {"sensitivity": "x"}]
)
def test_a_history_that_makes_no_sense_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(FlyballError) as refused:
        history(**bad)
    assert refused.value.code == "bad_source"


def test_a_turn_says_what_was_answered_or_why_it_ended_or_why_it_is_absent() -> None:
    shown = [json.loads(passage(t).text) for t in (turn(answered="Yes"), turn(why="stopped"), turn(absent="erased"))]
    asked = "Write to bea@acme.example"
    assert shown == [
        {"turn": 1, "asked": asked, "answered": "Yes"}, {"turn": 1, "asked": asked, "ended": "stopped"},
        {"turn": 1, "absent": "erased"},
    ]  # fmt: skip


def test_what_is_told_is_trusted_by_turn_and_labelled_as_the_most_sensitive_one() -> None:
    told = remembered([turn(2, tainted=True, sensitivity="confidential"), turn(1)], at=9)
    assert [(e.place, e.ref, e.as_of) for e in (*told.untrusted, *told.trusted)] == [(0, "r-2", 2), (1, "r-1", 1)]
    assert told.sensitivity == "confidential" and told.at == 9 and remembered([], at=9).sensitivity == "public"


def test_values_of_an_earlier_request_are_known_and_those_of_an_absent_one_are_not() -> None:
    assert remembered([turn(answered="evil@x.example")], at=9).earlier == (
        "Write to bea@acme.example", "bea@acme.example",
    )  # fmt: skip
    assert remembered([turn(absent="erased")], at=9).earlier == ()


@given(st.text(), st.text())
def test_no_text_of_a_turn_can_pass_for_another_part_of_it(asked: str, answered: str) -> None:
    made = Turn(number=1, run="r", ended=1, asked=asked, answered=answered)
    assert json.loads(passage(made).text) == {"turn": 1, "asked": asked, "answered": answered}
