"""Who may approve what: an approval is a single-use capability over the exact action that will run.

`over` is the SHA-256 of the canonical form of what is covered. What came from people or the world appears in it as the
salted commitment that the intent repeats verbatim, so that an outsider can check equality without seeing anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from flyball.core.canonical import encode
from flyball.core.decision import Decision
from flyball.core.identity import Authority, Principal
from flyball.core.policy import Cure

_COUNTS: Final = frozenset("23456789")
NOBODY: Final[Mapping[str, Collection[str]]] = {}
_NAMED: Final = frozenset({"", "user", "service"})


def over(covers: Mapping[str, Any]) -> str:
    """The digest that an approver signs."""
    return hashlib.sha256(encode(dict(covers))).hexdigest()


def cure_name(cure: Cure) -> str:
    """`layer/group` or `layer/group:n`: how a needed approval is named in rows and records."""
    return f"{cure.layer}/{cure.approval}"


def cure_names(decision: Decision) -> tuple[str, ...]:
    """The approvals that a decision rests on, held ones included, each once."""
    return tuple(sorted({cure_name(c) for c in decision.cures}))


def people(cure: str) -> tuple[str, str, int]:
    """The layer, group and number of people that a cure's name asks for."""
    layer, _, rest = cure.partition("/")
    group, _, count = rest.rpartition(":")
    # "finance:2" asks for two people; "user:kim" and "user:7" name one.
    return (layer, group, int(count)) if group not in _NAMED and count in _COUNTS else (layer, rest, 1)


def leaf_cure(cure: str, pseudonym: Callable[[str], str]) -> str:
    """How a cure stands in a leaf, which is permanent: a person whom it names ("user:kim") is a pseudonym there."""
    layer, group, _ = people(cure)
    kind, _, name = group.partition(":")
    return f"{layer}/{kind}:{pseudonym(group)}" if name else cure


def shown_group(cure: str) -> str:
    """How a cure is shown to people: the project's own groups by their bare name, others with their layer."""
    layer, group, count = people(cure)
    name = group if layer == "project" else f"{layer}/{group}"
    return name if count == 1 else f"{name}:{count}"


def unmet(cures: Sequence[str], given: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The cures that still need somebody."""
    signed = list(given)
    return tuple(c for c in cures if len({g["by"] for g in signed if g["cure"] == c}) < people(c)[2])


def approvals(cures: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Cures as what `context.approvals` holds, by layer."""
    found: dict[str, list[str]] = {}
    for cure in cures:
        layer, _, rest = cure.partition("/")
        found.setdefault(layer, []).append(rest)
    return {layer: tuple(sorted(names)) for layer, names in found.items()}


def member(principal: Principal, group: str) -> bool:
    """Is the person in the group, or named by it ("user:kim")?"""
    return group in principal.groups or (":" in group and group == principal.id)


def objection(
    approver: Principal, authority: Authority, pseudonym: str, editors: Collection[str], owners: Collection[str] = ()
) -> str | None:  # fmt: skip
    """Why this principal may never approve this action, whatever group they are in; None where they may.

    The approver is an authenticated person who is nobody in the chain, no editor of this proposal and no owner of a
    credential that it uses; `editors` and `owners` are pseudonyms.
    """
    if approver.kind != "user" or approver.agent is not None:
        return f"{approver.id} is no person"
    if approver.assurance == "os":
        return "the operating-system user alone may start runs, not approve"
    if approver.tenant != authority.principal.tenant:
        return f"{approver.id} belongs to another tenant"
    if approver.id in (authority.principal.id, authority.principal.on_behalf_of):
        return f"{approver.id} asked, so {approver.id} cannot approve"
    if pseudonym in editors:
        return f"{approver.id} edited this proposal, so {approver.id} cannot approve it"
    if pseudonym in owners:
        return f"{approver.id} owns a credential that this uses, so {approver.id} cannot approve it"
    return None


def cure_for(
    approver: Principal, cures: Sequence[str], given: Sequence[Mapping[str, Any]], by: str,
    others: Mapping[str, Collection[str]] = NOBODY, refused: Collection[str] = (),
) -> str | None:  # fmt: skip
    """The unmet cure that this person signs; one person counts once, for one cure.

    `others` are the people who could still sign, with the names that cures may call them by (groups, and themselves):
    of several cures it is the one that leaves most of the rest to them, and the first of those. `refused` are the cures
    that policy does not let them sign.
    """
    if any(g["by"] == by for g in given):
        return None
    mine = [c for c in unmet(cures, given) if c not in refused and member(approver, people(c)[1])]
    if len(mine) < 2:
        return mine[0] if mine else None

    def left_to_others(cure: str) -> int:
        return filled(slots(cures, (*given, {"by": by, "cure": cure})), others)

    return max(mine, key=left_to_others)


def slots(cures: Sequence[str], given: Iterable[Mapping[str, Any]] = ()) -> tuple[str, ...]:
    """The group of every signature that is still needed: `finance:2` needs two."""
    signed = list(given)
    found: list[str] = []
    for cure in cures:
        _, group, count = people(cure)
        found += [group] * (count - len({g["by"] for g in signed if g["cure"] == cure}))
    return tuple(found)


def filled(needed: Sequence[str], by: Mapping[str, Collection[str]]) -> int:
    """How many of the needed signatures these people can give together, each of them one."""
    taken: dict[str, int] = {}

    def place(slot: int, asked: set[str]) -> bool:
        for person, names in by.items():
            if needed[slot] not in names or person in asked:
                continue
            asked.add(person)
            if person not in taken or place(taken[person], asked):
                taken[person] = slot
                return True
        return False

    return sum(place(slot, set()) for slot in range(len(needed)))
