"""The kinds of record a log may hold. A kind that is not here is refused; kinds are added, never renamed.

`score`, `label`, `feedback` and `turn` are reserved for evaluation and sessions: they have a
name so that an old verifier meets a word it knows.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

Kind = Literal[
    # the log itself
    "opened", "checkpointed", "key_created", "key_revoked", "policy_activated", "release_loaded", "gap", "erasure",
    "clock_set", "forgotten", "artifact",
    # a run
    "run_started", "run_moved", "run_parked", "run_continued", "run_ended", "run_stopped",
    # an action
    "decision", "intent", "outcome", "late", "resolution",
    # people
    "asked", "approved", "rejected", "edited", "answered", "expired", "voided",
    # a flow
    "delivered", "state", "signal", "marker", "timer", "not_awaited",
    # reserved
    "score", "label", "feedback", "turn",
]  # fmt: skip

KINDS: Final[frozenset[str]] = frozenset(get_args(Kind))
