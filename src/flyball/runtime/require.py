"""Require: what an action requires of the world is asked by a governed read of its own, a step beneath the action's.

Rules (GATE section 1):

* It is proposed by the same chain, with the arguments that would run, of the same origins, on the same object.
* It is asked before a person is asked to approve the action, and again at execution, whatever one said earlier.
* One that a crash or a wait has left open goes on where it stands; each other one is a step of its own.
* None is a yes. A reason, and a read that failed, is `precondition`; one that was refused is refused as that.
"""

from __future__ import annotations

from msgspec.structs import replace

from flyball.core.errors import recordable
from flyball.core.outcome import Past
from flyball.core.proposal import Precondition, Proposal, Ruled
from flyball.core.result import Attempted, Blocked, Executed, Failed
from flyball.core.steps import child

NOTHING = Past()


class Checks:
    """The reads of one step: what the log holds of them, and how many there are."""

    def __init__(self, past: Past) -> None:
        self._made = len(past.checks)
        self._open = past.checks[-1] if past.checks and not _over(past.checks[-1]) else None

    def next(self, ruled: Ruled, asks: Precondition) -> tuple[Proposal, Past]:
        """The next read of this step, with what the log holds of it."""
        past, self._open = self._open or NOTHING, None
        self._made += past is NOTHING
        p = ruled.proposal
        return Proposal(
            place=replace(p.place, path=child(p.place.path, self._made)), action=asks.action, performer=asks.performer,
            authority=p.authority, arguments=ruled.decision.arguments, origins=p.origins, given=p.given,
            edited=p.edited, typed=p.typed, resource=p.resource, entities=p.entities, digest=p.digest,
        ), past  # fmt: skip


def _over(past: Past) -> bool:
    outcome = past.last("outcome")
    return past.last("decision") is not None or (outcome is not None and bool(outcome.facts["final"]))


def unmet(ruled: Ruled, told: Attempted[str | None]) -> Blocked | None:
    """Why the action may not run, from what its read came to; None where it may."""
    if isinstance(told, Executed) and told.value is None:
        return None
    if isinstance(told, Blocked):
        blocked = Blocked(
            told.reason, policies=told.policies, cures=told.cures, what=told.what, why=told.why, fix=told.fix
        )
        blocked.data = {**told.data, **blocked.data}
    else:
        reason = f"it could not be asked: {told.message}" if isinstance(told, Failed) else told.value
        blocked = Blocked("precondition", what=recordable(f"{ruled.proposal.action.name}: {reason}"))
    if told.action:
        blocked.data = {**blocked.data, "precondition": told.action}
    return blocked
