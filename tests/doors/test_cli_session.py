"""`flyball session`: who talks about what, turn by turn."""

from __future__ import annotations

import pytest

from tests.doors.desk import Desk


@pytest.fixture
def talked(desk: Desk) -> Desk:
    """A desk with two turns of a session."""
    for number in ("1", "2"):
        assert desk("run", "looks", number, "--session", "ticket-42").code == 0
    return desk


def test_a_session_is_told_turn_by_turn(talked: Desk) -> None:
    (told,) = talked.json("session", "show", "ticket-42")["sessions"]
    assert [(t["turn"], t["asked"], t["reason"]) for t in told["turns"]] == [
        (1, 1, "completed"), (2, 2, "completed"),
    ]  # fmt: skip
    out = talked("session", "show", "ticket-42").out
    assert "2 turns" in out and "asked     2" in out


def test_sessions_are_listed_and_told_by_principal(talked: Desk) -> None:
    (one,) = talked.json("session", "list")["sessions"]
    assert (one["session"], len(one["runs"]), one["state"]) == ("ticket-42", 2, "ended")
    assert "ticket-42" in talked("session", "list").out
    assert talked("session", "show", "ticket-42", "--of", one["by"]).code == 0


def test_a_session_that_is_not_there_is_said_to_be(talked: Desk) -> None:
    for options in (("ticket-43",), ("ticket-42", "--of", "user:mallory")):
        missing = talked("session", "show", *options)
        assert missing.code != 0 and "flyball session list" in missing.err


def test_without_sessions_the_list_is_empty(desk: Desk) -> None:
    assert desk("run", "looks", "1").code == 0
    assert desk("session", "list").out.endswith("no sessions\n")
