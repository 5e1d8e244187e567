"""Show: what a person is asked about, as data, and every value in a form that cannot mislead the eye.

Rules (GATE section 4): control, bidirectional, zero-width and tag characters appear as code points; internationalised
domains as punycode; mixed scripts are flagged; critical values are never cut; the model's prose comes last.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flyball.core.approval import over, shown_group
from flyball.core.attested import moment
from flyball.core.journal import PendingRow
from flyball.core.origin import leaves
from flyball.core.proposal import Ruled
from flyball.core.result import Pending, PendingKind
from flyball.core.visible import unhidden

MOST_SHOWN = 2_000
_DOMAIN = re.compile(r"(?<=@)[^\s@,;<>\"']+|(?<=://)[^\s/,;<>\"']+")


def visible(text: str) -> str:
    """Text in which nothing hides: invisible characters as `<U+XXXX>`, foreign domains as punycode."""
    return _DOMAIN.sub(lambda found: _punycode(found.group()), unhidden(text))


def _punycode(domain: str) -> str:
    if domain.isascii():
        return domain
    try:
        return f"{domain.encode('idna').decode()} (written {domain})"
    except UnicodeError:
        return f"{domain} (not a valid domain)"


def scripts(text: str) -> frozenset[str]:
    """The scripts that a text's letters come from, by the first word of their Unicode names."""
    return frozenset(unicodedata.name(c, "UNKNOWN").split()[0] for c in text if c.isalpha())


def blocks(arguments: Mapping[str, Any], critical: frozenset[str]) -> Iterator[dict[str, Any]]:
    """One block per leaf: pointer, visible value, whether it is critical, what a reader should be warned of."""
    for name, argument in arguments.items():
        for at, leaf in leaves(argument, f"/{name}"):
            text = visible(leaf) if isinstance(leaf, str) else str(leaf)
            kept = text if name in critical or len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}… ({len(text)} in all)"
            warned = _warnings(leaf, text) if isinstance(leaf, str) else []
            yield {"at": at, "value": kept, "critical": name in critical, "warnings": warned}


def _warnings(leaf: str, text: str) -> list[str]:
    found = ["hidden characters"] if "<U+" in text and "<U+" not in leaf else []
    mixed = any(len(scripts(word)) > 1 for word in leaf.split())
    return [*found, "mixed scripts"] if mixed else found


def shown(ruled: Ruled, owners: Sequence[str] = ()) -> dict[str, Any]:
    """What the approver sees, as it is recorded. `owners` of credentials that it uses, who cannot approve it."""
    p, decision = ruled.proposal, ruled.decision
    whose = {"owners": list(owners)} if owners else {}
    return whose | {
        "action": p.action.name, "effect": p.action.effect, "egress": p.action.egress, "risk": p.action.risk,
        "resource": f"{ruled.inputs.resource.type}::{ruled.inputs.resource.id}",
        "by": p.authority.principal.id, "through": [link.agent for link in p.authority.links],
        "on_behalf_of": p.authority.principal.on_behalf_of,
        "blocks": list(blocks(decision.arguments, p.action.critical)), "origins": dict(ruled.inputs.origins),
        "because": [f"{c.layer}/{c.policy}" for c in decision.missing], "reasons": [c.reason for c in decision.missing],
        "modified": [f"{c.layer}/{c.policy}" for c in decision.modifiers],
    }  # fmt: skip


def pending_of(row: PendingRow, private: Mapping[str, Any], facts: Mapping[str, Any]) -> Pending:
    """A pending row with its `asked` record as people and programs get it."""
    show = private.get("shown", {})
    kind: PendingKind = row.kind  # type: ignore[assignment]
    return Pending(
        id=row.id, kind=kind, run=row.run, about=show.get("action", show.get("about", "")),
        arguments=private.get("args", {}), origins=show.get("origins", {}),
        groups=tuple(shown_group(c) for c in row.groups), because=tuple(_bare(b) for b in show.get("because", ())),
        reversible=show.get("effect") == "reversible",
        expires=moment(row.expires) if row.expires else None,
        default=private.get("default", row.default), over=over(facts["covers"]), question=show.get("question", ""),
        asked_by=show.get("by", ""), through=tuple(show.get("through", ())), version=row.version,
        owners=tuple(show.get("owners", ())), stated=private.get("stated", ""),
    )  # fmt: skip


def _bare(policy: str) -> str:
    return policy.removeprefix("project/")
