"""What the command line answers the shell with, and which error means which answer.

A run's stop reason brings its own exit code (`core.stop`); every other error is looked up here, and is 1 if not found.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from flyball.core.errors import FlyballError
from flyball.core.stop import STOPS


class ExitCode(IntEnum):
    """The exit codes, for scripts to rely on."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    DENIED = 3
    WAITING = 4
    NOT_VERIFIED = 5
    LIMIT = 6
    KILLED = 7
    GATE_FAILED = 8
    UNAVAILABLE = 75
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_STOPPED: Final = {str(reason): ExitCode(stop.exit_code) for reason, stop in STOPS.items()}

_ERRORS: Final[dict[str, ExitCode]] = {
    "usage": ExitCode.USAGE,
    "config_not_found": ExitCode.USAGE,
    "config_invalid": ExitCode.USAGE,
    "config_unknown_key": ExitCode.USAGE,
    "config_type": ExitCode.USAGE,
    "config_value": ExitCode.USAGE,
    "config_missing": ExitCode.USAGE,
    "config_format": ExitCode.USAGE,
    "secret_literal": ExitCode.USAGE,
    "env_unknown": ExitCode.USAGE,
    "bad_answer": ExitCode.USAGE,
    "bad_edit": ExitCode.USAGE,
    "bad_input": ExitCode.USAGE,
    "bad_limit": ExitCode.USAGE,
    "bad_principal": ExitCode.USAGE,
    "bad_resolution": ExitCode.USAGE,
    "bad_tenant": ExitCode.USAGE,
    "unknown_flow": ExitCode.USAGE,
    "unknown_pending": ExitCode.USAGE,
    "unknown_record": ExitCode.USAGE,
    "unknown_run": ExitCode.USAGE,
    "wrong_kind": ExitCode.USAGE,
    "not_eligible": ExitCode.DENIED,
    "request_refused": ExitCode.DENIED,
    "request_stale": ExitCode.DENIED,
    "key_exposed": ExitCode.DENIED,
    "bad_checkpoint": ExitCode.NOT_VERIFIED,
    "bad_commitment": ExitCode.NOT_VERIFIED,
    "bad_note": ExitCode.NOT_VERIFIED,
    "bad_proof": ExitCode.NOT_VERIFIED,
    "bad_tile": ExitCode.NOT_VERIFIED,
    "journal_forked": ExitCode.NOT_VERIFIED,
    "no_proof": ExitCode.NOT_VERIFIED,
    "unknown_signers": ExitCode.NOT_VERIFIED,
    "wrong_origin": ExitCode.NOT_VERIFIED,
    "signer_ahead": ExitCode.NOT_VERIFIED,
    "other_log": ExitCode.NOT_VERIFIED,
    "history_changed": ExitCode.NOT_VERIFIED,
    "policy_case_invalid": ExitCode.GATE_FAILED,
    "policy_cases_failed": ExitCode.GATE_FAILED,
    "policy_refused": ExitCode.GATE_FAILED,
    "indeterminate": ExitCode.UNAVAILABLE,
    "journal_owned": ExitCode.UNAVAILABLE,
    "journal_unavailable": ExitCode.UNAVAILABLE,
    "model_rate_limited": ExitCode.UNAVAILABLE,
    "model_timeout": ExitCode.UNAVAILABLE,
    "model_unavailable": ExitCode.UNAVAILABLE,
    "owner_busy": ExitCode.UNAVAILABLE,
    "owner_gone": ExitCode.UNAVAILABLE,
}


def ended(reason: str) -> ExitCode:
    """The exit code of a run by why it stopped, or by that it waits."""
    return ExitCode.WAITING if reason == "waiting" else _STOPPED[reason]


def exit_code(error: FlyballError) -> ExitCode:
    """The exit code of an error by its `code`; FAILURE for one that is not in the table."""
    return _STOPPED.get(error.code) or _ERRORS.get(error.code, ExitCode.FAILURE)
