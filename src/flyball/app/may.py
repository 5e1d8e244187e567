"""May: asks policy whether a person may decide what waits. Eligibility by group is checked apart from it."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import structs

from flyball.core.approval import member, people
from flyball.core.effect import Action
from flyball.core.identity import Authority, Principal
from flyball.core.journal import PendingRow
from flyball.core.origin import Origins
from flyball.core.policy import Node, Uid
from flyball.core.proposal import Performer, Place, Proposal
from flyball.runtime.enforce import Enforce

APPROVE = Action(name="approve", kind="approve", effect="reversible", egress=False)


class May:
    """One governed question per group that a person would decide for."""

    def __init__(self, enforce: Enforce) -> None:
        self._enforce = enforce

    async def __call__(self, by: Principal, row: PendingRow) -> Mapping[str, str]:
        """Of the approvals that a row asks of this person: those that policy does not let them give, and why."""
        if row.kind != "approval":
            return {}
        asked = [cure for cure in row.groups if member(by, people(cure)[1])]
        refused = {cure: await self._refusal(by, row, people(cure)[1]) for cure in asked}
        return {cure: why for cure, why in refused.items() if why is not None}

    async def _refusal(self, by: Principal, row: PendingRow, name: str) -> str | None:
        # Whom a cure names ("user:kim") is for this question alone the one member of a group of that name.
        by = structs.replace(by, groups=by.groups | {name})
        group, resource = Uid("Group", name), Uid("Approval", row.id)
        nodes = (Node(uid=resource, attrs={"group": group, "run": row.run}), Node(uid=group))
        place = Place(tenant=by.tenant, run=row.run, path=row.path, fence=None, release="", subjects=(), subject="")
        proposal = Proposal(
            place=place, action=APPROVE, performer=Performer(perform=lambda *_: None),
            authority=Authority(principal=by), arguments={}, origins=Origins(), resource=resource, entities=nodes,
        )  # fmt: skip
        decision = (await self._enforce.rule(proposal)).decision
        if decision.outcome == "allow":
            return None
        return "; ".join((decision.reason, *decision.errors, *decision.determining))
