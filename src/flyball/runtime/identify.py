"""Identify: may this chain act at all, now? Read live at every action, so that a revoked person ends a run at once."""

from __future__ import annotations

from msgspec.structs import replace

from flyball.core.identity import Authority, Principal
from flyball.core.journal import KeyRow
from flyball.core.proposal import Proposal
from flyball.core.result import Blocked
from flyball.ports.journal import Journal


class Identify:
    """Checks the principal behind a proposal against the directory of keys."""

    def __init__(self, journal: Journal, tenants: frozenset[str] = frozenset()) -> None:
        self._journal, self._tenants = journal, tenants

    def objection(self, proposal: Proposal) -> Blocked | None:
        """`auth_failed` where the chain may not act; None where it may."""
        principal = proposal.authority.principal
        if principal.tenant != proposal.place.tenant:
            return _failed(f"{principal.id} belongs to tenant {principal.tenant}, not {proposal.place.tenant}")
        if self._tenants and principal.tenant not in self._tenants:
            return _failed(f"there is no tenant {principal.tenant}")
        if principal.assurance == "key" and not self.known(principal):
            return _failed(f"{principal.id} has no valid key")
        return None

    def current(self, proposal: Proposal) -> Proposal:
        """The proposal under the groups that its principal still has: a run never gains any, and loses them at once."""
        principal = proposal.authority.principal
        if principal.assurance != "key":
            return proposal  # who vouched for the groups is not here to be asked again
        rows = self._journal.view(principal.tenant).rows(KeyRow, person=principal.id)
        groups = principal.groups & {group for row in rows if not row.revoked for group in row.groups}
        if groups == principal.groups:
            return proposal
        authority = Authority(principal=replace(principal, groups=groups), links=proposal.authority.links)
        return replace(proposal, authority=authority)

    def known(self, principal: Principal) -> bool:
        """Has the principal a key that is not revoked?"""
        rows = self._journal.view(principal.tenant).rows(KeyRow, person=principal.id)
        return any(not row.revoked for row in rows)


def _failed(what: str) -> Blocked:
    return Blocked("auth_failed", what=what, fix="ask who runs this project")
