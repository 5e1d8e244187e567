"""Why a run ended. This table is the only place where a stop reason is made; extend it, never invent a string in place.

Each row says in which state the run ends (see `core.lifecycle`), whether trying again can help, and the exit code that
the command line answers with.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

StopReason = Literal[
    "completed", "handed_back", "max_steps", "max_seconds", "budget_exhausted", "loop_detected", "context_incomplete",
    "context_stale", "policy_denied", "approval_rejected", "approval_expired", "auth_failed", "invalid_proposal",
    "reply_too_large", "guard_blocked", "tool_failed", "outcome_unknown", "claim_unproven", "replay_diverged",
    "subject_erased", "killed", "stopped", "internal_error",
]  # fmt: skip


class Stop(NamedTuple):
    """What a stop reason means for the run, its caller and the shell."""

    ok: bool
    retryable: bool
    exit_code: int


_FAILED, _DENIED, _REPLAY, _LIMIT, _KILLED = 1, 3, 5, 6, 7

STOPS: Final[dict[StopReason, Stop]] = {
    "completed": Stop(True, False, 0),
    "handed_back": Stop(False, True, _FAILED),
    "max_steps": Stop(False, True, _LIMIT),
    "max_seconds": Stop(False, True, _LIMIT),
    "budget_exhausted": Stop(False, True, _LIMIT),
    "loop_detected": Stop(False, False, _LIMIT),
    "context_incomplete": Stop(False, True, _FAILED),
    "context_stale": Stop(False, True, _FAILED),
    "policy_denied": Stop(False, False, _DENIED),
    "approval_rejected": Stop(False, False, _DENIED),
    "approval_expired": Stop(False, True, _DENIED),
    "auth_failed": Stop(False, False, _DENIED),
    "invalid_proposal": Stop(False, False, _FAILED),
    "reply_too_large": Stop(False, False, _FAILED),
    "guard_blocked": Stop(False, False, _DENIED),
    "tool_failed": Stop(False, True, _FAILED),
    "outcome_unknown": Stop(False, False, _FAILED),
    "claim_unproven": Stop(False, False, _FAILED),
    "replay_diverged": Stop(False, False, _REPLAY),
    "subject_erased": Stop(False, False, _FAILED),
    "killed": Stop(False, False, _KILLED),
    "stopped": Stop(False, True, _KILLED),
    "internal_error": Stop(False, True, _FAILED),
}
