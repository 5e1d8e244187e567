"""What a policy may look like beyond what Cedar itself checks (GATE section 3, "Shape").

Rules:

* Every policy has a unique `@id`; ids that begin with `flyball.` are ours. Only known annotations are taken.
* A cure rides on a forbid, one per policy.
* `context.approvals` occurs only as `unless { context.approvals.contains(G) }` on a forbid annotated
  `@require_approval(G)`, which must have it. So adding an approval can lift such forbids and do nothing else.
* `context` is never used as a whole, for that would be a way around the rule above.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
import orjson

from flyball.core.errors import FlyballError
from flyball.core.modify import parse_modifier
from flyball.core.policy import Cure, Finding, Layer

ANNOTATIONS: Final = ("id", "require_approval", "modify", "reason", "shadow", "notify", "description")
OURS: Final = "flyball."

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_GROUP: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,99})(?::([2-9]))?")
_APPROVALS: Final = {".": {"left": {"Var": "context"}, "attr": "approvals"}}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy of good shape: its JSON form, its cure, where it stands."""

    id: str
    est: dict[str, Any]
    where: str
    cure: Cure | None = None

    @property
    def annotations(self) -> Mapping[str, str | None]:
        """Its annotations; None for one without a value."""
        return self.est.get("annotations") or {}

    @property
    def plain(self) -> bool:
        """A permit or a forbid without a cure."""
        return self.cure is None

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the JSON form: changes when the policy means or says something else, not when others do."""
        return hashlib.sha256(orjson.dumps(self.est, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def bodies(self) -> Iterator[Any]:
        """The conditions' expressions."""
        for condition in self.est["conditions"]:
            yield condition["body"]


def shaped(est: dict[str, Any], where: str, layer: Layer) -> Policy | list[Finding]:
    """A policy of good shape, or everything that is wrong with its shape."""
    annotations: Mapping[str, str | None] = est.get("annotations") or {}
    name = annotations.get("id") or ""
    place = f"{where} {name}" if name else where
    wrong = [*_annotation_faults(annotations), *_cure_faults(est, annotations), *_context_faults(est, annotations)]
    cure = None
    try:
        cure = _cure(annotations, layer)
    except FlyballError as bad:
        wrong.append((f"{bad.what}: {bad.why}", bad.fix))
    if wrong:
        return [Finding(where=place, what=what, fix=fix) for what, fix in wrong]
    return Policy(id=name, est=_ordered(est), where=place, cure=cure)


def duplicates(policies: Iterable[Policy]) -> list[Finding]:
    """One finding for every id that stands twice."""
    seen: dict[str, str] = {}
    found: list[Finding] = []
    for policy in policies:
        if policy.id in seen:
            what = f"the id {policy.id} stands twice, first at {seen[policy.id]}"
            found.append(Finding(where=policy.where, what=what, fix="Rename one of the two."))
        seen.setdefault(policy.id, policy.where)
    return found


def nearest(word: str, known: Iterable[str]) -> str:
    """ "Did you mean ...?" for the closest known word, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]}?" if close else ""


def walk(node: Any) -> Iterator[Any]:
    """Every object of an expression, outermost first."""
    if isinstance(node, dict):
        yield node
        for inner in node.values():
            yield from walk(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from walk(inner)


def _annotation_faults(annotations: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    name = annotations.get("id")
    if not name:
        yield "the policy has no @id", 'Begin it with @id("a-name").'
    elif not _ID.fullmatch(name):
        yield f"{name!r} is no id", "Use letters, digits, dots, dashes and underscores."
    for annotation, value in annotations.items():
        if annotation not in ANNOTATIONS:
            close = nearest(annotation, ANNOTATIONS).replace("mean ", "mean @")
            yield f"unknown annotation @{annotation}", close or f"Known are @{', @'.join(ANNOTATIONS)}."
        elif not value and annotation not in ("id", "shadow"):
            yield f"@{annotation} has no value", f'Write @{annotation}("...").'


def _cure_faults(est: Mapping[str, Any], annotations: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    cures = [a for a in ("require_approval", "modify") if a in annotations]
    if len(cures) > 1:
        yield "a policy has one cure, this one has two", "Make two policies of it."
    if cures and est["effect"] == "permit":
        what = f"@{cures[0]} stands on a permit, where a broader permit would silently drop it"
        yield what, "Write a forbid, and a permit without a cure."
    group = annotations.get("require_approval")
    if group and not _GROUP.fullmatch(group):
        yield f'@require_approval("{group}") names no group', 'Write "finance", or "finance:2" for two people.'


def _context_faults(est: Mapping[str, Any], annotations: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    group = annotations.get("require_approval")
    wanted = f'unless {{ context.approvals.contains("{group}") }}'
    lifting = [c for c in est["conditions"] if group and _lifts(c, group)]
    if group and est["effect"] == "forbid" and len(lifting) != 1:
        yield f'@require_approval("{group}") needs exactly one: {wanted}', "Nothing else may lift the forbid."
    rest = [c["body"] for c in est["conditions"] if c not in lifting]
    if any(_reads_approvals(node) for body in rest for node in walk(body)):
        fix = f"Write {wanted} as a condition of its own." if group else "Write a forbid with @require_approval."
        yield "context.approvals is read in a way that is not a cure", fix
    if any(_uses_whole_context(body) for body in rest):
        yield "context is used as a whole", "Name the attribute that is meant, such as context.input.amount."


def _lifts(condition: Mapping[str, Any], group: str) -> bool:
    wanted = {"contains": {"left": _APPROVALS, "right": {"Value": group}}}
    return bool(condition["kind"] == "unless" and condition["body"] == wanted)


def _reads_approvals(node: Mapping[str, Any]) -> bool:
    read = node.get(".") or node.get("has")
    return isinstance(read, dict) and (read.get("left"), read.get("attr")) == ({"Var": "context"}, "approvals")


def _uses_whole_context(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_uses_whole_context, node))
    if not isinstance(node, dict):
        return False
    if node == {"Var": "context"}:
        return True
    read = node.get(".") or node.get("has")
    if isinstance(read, dict) and read.get("left") == {"Var": "context"}:
        return False
    return any(map(_uses_whole_context, node.values()))


def _cure(annotations: Mapping[str, str | None], layer: Layer) -> Cure | None:
    name, reason = annotations.get("id") or "", annotations.get("reason") or ""
    modify = annotations.get("modify")
    if modify:
        return Cure(policy=name, layer=layer, modifier=parse_modifier(modify), reason=reason)
    match = _GROUP.fullmatch(annotations.get("require_approval") or "")
    if not match:
        return None
    return Cure(policy=name, layer=layer, group=match[1], people=int(match[2] or 1), reason=reason)


def _ordered(est: dict[str, Any]) -> dict[str, Any]:
    # The approval comes last: an error in the other conditions then shows whether or not it is held.
    last = [c for c in est["conditions"] if any(_reads_approvals(n) for n in walk(c["body"]))]
    return {**est, "conditions": [c for c in est["conditions"] if c not in last] + last}
