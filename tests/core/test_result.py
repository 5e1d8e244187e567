"""What comes back is a closed union; a failure is never told as a success."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta
from typing import Any, get_args

import pytest

from flyball.core.errors import FlyballError
from flyball.core.result import Blocked, Completed, Executed, Failed, NotDone, Pending, Stopped, Waiting, stop_reason
from flyball.core.stop import STOPS, StopReason


@pytest.mark.promise("api-results-are-closed")
def test_only_what_ended_well_is_ok() -> None:
    assert Completed("r", 1).ok and Executed(1).ok
    assert not Waiting("r", ()).ok and not Stopped("r", "killed").ok


@pytest.mark.parametrize("reason", get_args(StopReason))
def test_a_stopped_run_says_whether_trying_again_can_help(reason: StopReason) -> None:
    assert Stopped("r", reason).retryable is STOPS[reason].retryable


def test_a_blocked_action_says_why_by_which_policies_and_what_would_cure_it() -> None:
    blocked = Blocked("over_limit", policies=("project/p",), cures=("project/finance",), action="r/1/1/decision")
    assert (blocked.reason, blocked.code, str(blocked)) == ("over_limit", "over_limit", "blocked: over_limit")
    assert blocked.data == {"policies": ("project/p",), "cures": ("project/finance",), "action": "r/1/1/decision"}


def test_a_failure_says_what_went_wrong() -> None:
    assert str(Failed("timeout", "no answer in 3 s")) == "no answer in 3 s"
    assert (str(Failed("timeout")), Failed("timeout", action="a").data) == ("timeout", {"action": "a"})


@pytest.mark.parametrize("error", [Blocked("x", policies=("p",)), Failed("timeout", "slow", action="a")])
def test_blocked_and_failed_survive_pickle_and_copy(error: FlyballError) -> None:
    for back in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(back) is type(error) and vars(back) == vars(error)


def test_a_tool_can_say_when_to_try_again() -> None:
    assert NotDone("down", retry_after=timedelta(seconds=3)).retry_after == timedelta(seconds=3)
    assert NotDone("down").retry_after is None


def test_what_is_pending_has_nothing_to_show_unless_it_is_given() -> None:
    one, other = (Pending(id=i, kind="approval", run="r", about="pay") for i in "ab")
    assert one.arguments == {} and one.arguments is not other.arguments and not one.reversible


class Foreign(Exception):
    def __init__(self, reason: Any) -> None:
        super().__init__("foreign")
        self.reason = reason


@pytest.mark.promise("api-results-are-closed")
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Blocked("approval_rejected"), "approval_rejected"),
        (Blocked("over_limit"), "policy_denied"),
        (Failed("outcome_unknown"), "outcome_unknown"),
        (Failed("timeout"), "tool_failed"),
        (FlyballError("max_steps", "enough"), "max_steps"),
        (FlyballError("something", "else"), "internal_error"),
        (FlyballError("completed", "not at all"), "internal_error"),
        (ValueError("x"), "internal_error"),
        (Foreign(["unhashable"]), "internal_error"),
        (Foreign(7), "internal_error"),
    ],
)
def test_an_error_ends_a_run_with_a_reason_from_the_table_and_never_well(error: Exception, reason: str) -> None:
    assert stop_reason(error) == reason
