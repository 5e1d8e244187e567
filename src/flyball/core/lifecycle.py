"""Every lifecycle as a table of allowed transitions. A state compared anywhere else belongs here.

>>> moved("run", "waiting", "wake")
'ready'
>>> moved("approval", "consumed", "approve") is None
True
"""

from __future__ import annotations

from typing import Final, Literal

RunState = Literal["queued", "running", "waiting", "ready", "ended"]
ActionState = Literal[
    "proposed", "asked", "intended", "executed", "failed", "blocked", "unknown", "interrupted", "not_started",
    "compensated",
]  # fmt: skip
ApprovalState = Literal["open", "granted", "rejected", "expired", "void", "consumed"]
Machine = Literal["run", "action", "approval"]

_TABLES: Final[dict[str, dict[tuple[str, str], str]]] = {
    "run": {
        ("queued", "take"): "running",
        ("queued", "end"): "ended",
        ("queued", "wake"): "queued",  # what comes for it waits with it: an earlier turn of its session is under way
        ("running", "park"): "waiting",
        ("running", "take"): "running",
        ("running", "end"): "ended",
        ("waiting", "wake"): "ready",
        ("waiting", "take"): "running",
        ("waiting", "end"): "ended",
        ("ready", "wake"): "ready",
        ("ready", "take"): "running",
        ("ready", "end"): "ended",
        ("running", "wake"): "running",
    },
    "action": {
        ("proposed", "ask"): "asked",
        ("proposed", "block"): "blocked",
        ("proposed", "intend"): "intended",
        ("asked", "block"): "blocked",
        ("asked", "intend"): "intended",
        ("intended", "execute"): "executed",
        ("intended", "fail"): "failed",
        ("intended", "lose"): "unknown",
        ("intended", "interrupt"): "interrupted",
        ("intended", "skip"): "not_started",
        ("unknown", "execute"): "executed",
        ("unknown", "fail"): "failed",
        ("executed", "compensate"): "compensated",
        # A new attempt of the same step, where the effect class allows one.
        ("failed", "intend"): "intended",
        ("interrupted", "intend"): "intended",
        ("not_started", "intend"): "intended",
    },
    "approval": {
        ("open", "grant"): "open",  # more people are needed
        ("open", "complete"): "granted",
        ("open", "reject"): "rejected",
        ("open", "edit"): "void",
        ("open", "expire"): "expired",
        ("open", "void"): "void",
        ("granted", "consume"): "consumed",
        ("granted", "reject"): "rejected",
        ("granted", "expire"): "expired",
        ("granted", "void"): "void",
    },
}

WAKEABLE: Final[frozenset[str]] = frozenset({"waiting"})
LIVE: Final[frozenset[str]] = frozenset({"queued", "running", "waiting", "ready"})
QUEUED: Final = "queued"
DUE: Final[frozenset[str]] = frozenset({"running", "ready"})
SETTLED: Final[frozenset[str]] = frozenset({"executed", "failed", "blocked", "compensated"})


def moved(machine: Machine, state: str, event: str) -> str | None:
    """The state that follows, or None where the table has no such transition."""
    return _TABLES[machine].get((state, event))


def states(machine: Machine) -> frozenset[str]:
    """Every state a machine can be in."""
    table = _TABLES[machine]
    return frozenset(state for state, _ in table) | frozenset(table.values())
