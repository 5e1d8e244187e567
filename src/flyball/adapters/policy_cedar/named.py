"""Whom policies name: an agent, flow or tool that the project does not have is a misspelling that Cedar cannot see.

A policy about `Agent::"byer"` is well formed and never matches; a forbid of this kind protects nobody. The platform
layer is left out: it speaks of the agents of many projects. So is a kind of which the project has none yet: policies
may be written before the agents are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from flyball.adapters.policy_cedar.shape import Policy, nearest, walk
from flyball.core.effect import Action
from flyball.core.policy import Finding, Layer

NAMED: Final = {"Agent": "agent", "Flow": "flow", "Tool": "tool"}


def name_findings(policies: Iterable[Policy], actions: Sequence[Action], layer: Layer) -> list[Finding]:
    """One finding for each name in a policy of the project that is no agent, flow or tool of it."""
    if layer == "platform":
        return []
    known = {type_: sorted(a.name for a in actions if a.kind == kind) for type_, kind in NAMED.items()}
    return [
        Finding(
            where=policy.where, what=f"there is no {NAMED[type_]} {name} ({', '.join(known[type_])})",
            fix=nearest(name, known[type_]),
        )
        for policy in policies
        for type_, name in sorted(set(_literals(policy)))
        if known[type_] and name not in known[type_]
    ]  # fmt: skip


def _literals(policy: Policy) -> Iterator[tuple[str, str]]:
    for node in walk(policy.est):
        if node.keys() == {"type", "id"} and node["type"] in NAMED:
            yield node["type"], node["id"]
