"""May: asks policy whether a person may decide what waits. Eligibility by group is checked apart from it."""

from __future__ import annotations

from flyball.core.approval import people
from flyball.core.effect import Action
from flyball.core.identity import Authority, Principal
from flyball.core.journal import PendingRow
from flyball.core.origin import Origins
from flyball.core.policy import Node, Uid
from flyball.core.proposal import Performer, Place, Proposal
from flyball.runtime.enforce import Enforce

APPROVE = Action(name="approve", kind="approve", effect="reversible", egress=False)


class May:
    """One governed question per decision of a person."""

    def __init__(self, enforce: Enforce) -> None:
        self._enforce = enforce

    async def __call__(self, by: Principal, row: PendingRow) -> str | None:
        """Why policy refuses, or None where it lets them."""
        if row.kind != "approval":
            return None
        mine = [people(cure)[1] for cure in row.groups if people(cure)[1] in by.groups]
        group = Uid("Group", mine[0] if mine else people(row.groups[0])[1])
        resource = Uid("Approval", row.id)
        nodes = (Node(uid=resource, attrs={"group": group, "run": row.run}), Node(uid=group))
        place = Place(tenant=by.tenant, run=row.run, path=row.path, fence=None, release="", subjects=(), subject="")
        proposal = Proposal(
            place=place, action=APPROVE, performer=Performer(perform=lambda *_: None),
            authority=Authority(principal=by), arguments={}, origins=Origins(), resource=resource, entities=nodes,
        )  # fmt: skip
        decision = (await self._enforce.rule(proposal)).decision
        if decision.outcome == "allow" or not mine:
            return None  # who is in no group that is asked is told so by the approval itself
        return "; ".join((decision.reason, *decision.errors, *decision.determining))
