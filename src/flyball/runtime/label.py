"""Label: where each argument of a proposal came from. An edit is the person's; what cannot be traced is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from flyball.core.artifact import without
from flyball.core.origin import APPROVER, Origins, trace
from flyball.core.proposal import Proposal


def label(proposal: Proposal) -> Proposal:
    """The proposal with the origin of each argument."""
    arguments = _traced(proposal)
    labels = trace(arguments, proposal.origins, proposal.given)
    if not proposal.edited:
        return replace(proposal, labels=labels)
    origins = Origins({**proposal.origins.known, **dict.fromkeys(proposal.typed, APPROVER)})
    for name in proposal.edited & labels.keys():
        value = arguments[name]
        # Of a whole list or object only what the editor wrote is theirs; the rest was there before.
        whole = not isinstance(value, (Mapping, list, tuple))
        labels[name] = APPROVER if whole else trace({name: value}, origins)[name]
    return replace(proposal, labels=labels)


def _traced(proposal: Proposal) -> Mapping[str, Any]:
    """The arguments with the digest in the place of each file: it stands for the bytes."""
    arguments: Mapping[str, Any] = proposal.arguments
    signature = proposal.performer.signature
    for pointer in sorted(signature.artifacts) if signature is not None and signature.artifacts else ():
        arguments = without(arguments, pointer)
    return arguments
