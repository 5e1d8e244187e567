"""Every end of a run is a row of one table."""

from __future__ import annotations

from typing import get_args

import pytest

from flyball.core.stop import STOPS, StopReason

NAMED = """
completed handed_back max_steps max_seconds budget_exhausted loop_detected context_incomplete context_stale
policy_denied approval_rejected approval_expired auth_failed invalid_proposal tool_failed outcome_unknown
claim_unproven replay_diverged subject_erased killed stopped internal_error reply_too_large guard_blocked
"""


@pytest.mark.promise("gate-ends-have-names")
def test_every_reason_has_its_row_and_every_row_a_reason() -> None:
    assert set(STOPS) == set(get_args(StopReason)) == set(NAMED.split())


def test_only_completed_ends_well() -> None:
    assert [reason for reason, stop in STOPS.items() if stop.ok] == ["completed"]
    assert [reason for reason, stop in STOPS.items() if stop.exit_code == 0] == ["completed"]


@pytest.mark.promise("api-exit-codes")
def test_exit_codes_are_those_of_the_command_line() -> None:
    by_code = {code: {r for r, s in STOPS.items() if s.exit_code == code} for code in (3, 5, 6, 7)}
    assert by_code == {
        3: {"policy_denied", "approval_rejected", "approval_expired", "auth_failed", "guard_blocked"},
        5: {"replay_diverged"},
        6: {"max_steps", "max_seconds", "budget_exhausted", "loop_detected"},
        7: {"killed", "stopped"},
    }
    assert {s.exit_code for s in STOPS.values()} == {0, 1, 3, 5, 6, 7}


def test_what_was_denied_or_may_have_happened_is_not_simply_tried_again() -> None:
    final = {"completed", "policy_denied", "approval_rejected", "outcome_unknown", "replay_diverged", "killed"}
    assert not any(STOPS[reason].retryable for reason in final)  # type: ignore[index]
