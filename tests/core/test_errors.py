from __future__ import annotations

import copy
import pickle

import pytest

from flyball.core.errors import FlyballError, Superseded, said


class NarrowError(FlyballError):
    def __init__(self, limit: int) -> None:
        super().__init__("narrow", "too narrow", data={"limit": limit})
        self.limit = limit


@pytest.mark.promise("api-errors-say-what-why-fix")
def test_an_error_reads_what_why_and_fix() -> None:
    error = FlyballError(code="full", what="no room", why="12 of 12 are taken", fix="Free one")
    assert str(error) == "no room: 12 of 12 are taken. Free one"


def test_parts_that_are_missing_leave_no_trace_in_the_text() -> None:
    assert str(FlyballError("full", "no room")) == "no room"
    assert str(FlyballError("full", "no room", "12 are taken")) == "no room: 12 are taken"
    assert str(FlyballError("full", "no room.", fix="Free one")) == "no room. Free one"


def test_a_pickled_error_keeps_its_fields() -> None:
    back = pickle.loads(pickle.dumps(FlyballError("full", "no room", "why", "fix", {"limit": 12})))
    assert (back.code, back.what, back.why, back.fix, back.data) == ("full", "no room", "why", "fix", {"limit": 12})


def test_a_subclass_with_other_arguments_survives_pickle_and_copy() -> None:
    for back in (pickle.loads(pickle.dumps(NarrowError(3))), copy.copy(NarrowError(3))):
        assert type(back) is NarrowError
        assert (back.limit, back.code, back.data, str(back)) == (3, "narrow", {"limit": 3}, "too narrow")


def test_data_is_a_copy_of_what_was_passed() -> None:
    facts = {"limit": 1}
    error = FlyballError("full", "no room", data=facts)
    facts["limit"] = 2
    assert error.data == {"limit": 1}


class Broke(Exception):
    def __str__(self) -> str:
        raise RuntimeError("this cannot be shown either")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no such day"), "ValueError: no such day"),
        (ValueError(), "ValueError"),
        (Broke(), "Broke"),
        (ValueError("a\ud800b"), "ValueError: a\\ud800b"),
        (ValueError("x" * 9_000), "ValueError: " + "x" * 3_988),
    ],
    ids=["words", "none", "broken", "surrogate", "long"],
)
def test_what_an_error_says_fits_every_record(error: Exception, words: str) -> None:
    assert said(error) == words and said(error).encode()


def test_an_error_of_our_own_is_a_sentence_without_its_class() -> None:
    assert said(FlyballError("late", "too late", "it is noon", "Hurry.")) == "too late: it is noon. Hurry."
    assert said(FlyballError("late", "")) == "FlyballError"


def test_a_superseded_driver_is_stopped_by_no_handler_of_errors() -> None:
    lost = Superseded(FlyballError("fenced", "another one drives it"))
    assert not isinstance(lost, Exception) and (lost.error.code, str(lost)) == ("fenced", "another one drives it")
