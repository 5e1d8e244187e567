"""Label: where each argument of a proposal came from. What a person edited is theirs; what cannot be traced is unknown."""

from __future__ import annotations

from dataclasses import replace

from flyball.core.origin import APPROVER, trace
from flyball.core.proposal import Proposal


def label(proposal: Proposal) -> Proposal:
    """The proposal with the origin of each argument."""
    labels = trace(proposal.arguments, proposal.origins, proposal.given)
    labels |= {name: APPROVER for name in proposal.edited if name in labels}
    return replace(proposal, labels=labels)
