"""Which policies an action needs: Cedar scans every policy it is given, so each action is given its own few.

Sound because only the scope's action constraint decides: a policy without one, or with one that names the action or a
group it is in, stays. Three sets per action: all that are enforced, the plain ones among them, all with the shadowed
ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import cedarpy
import msgspec
import orjson

from flyball.adapters.policy_cedar.encode import Reads, Types
from flyball.adapters.policy_cedar.quick import Quick
from flyball.adapters.policy_cedar.shape import Policy, walk


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """The policies of one action, parsed. `matched`: the input texts that a pattern of theirs looks into."""

    policies: cedarpy.PolicySet
    matched: frozenset[str]


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """The three sets of one action. `declared` is the type of its context, `read` the part that these policies read
    (`quick` is both at once), `schema` what a request with that part is checked against,
    `guards` those that policies name."""

    full: Slice
    plain: Slice
    shadow: Slice
    declared: Types
    read: Types
    schema: cedarpy.Schema
    quick: Quick
    guards: tuple[str, ...]
    signals: frozenset[str]


def slices(policies: Sequence[Policy], shadow: frozenset[str], schema: Mapping[str, Any]) -> Mapping[str, Slices]:
    """The sets of every action of a generated schema."""
    made: dict[tuple[str, ...], Slice] = {}

    def slice_of(chosen: Iterable[Policy]) -> Slice:
        members = tuple(sorted(chosen, key=lambda p: p.id))
        key = tuple(p.id for p in members)
        if key not in made:
            made[key] = Slice(policies=policy_set(members), matched=frozenset(t for p in members for t in _matched(p)))
        return made[key]

    found: dict[str, Slices] = {}
    for action, groups in groups_of(schema).items():
        mine = [p for p in policies if applies(p.est["action"], groups, action)]
        enforced = [p for p in mine if p.id not in shadow]
        plain = [p for p in enforced if p.plain]
        declared = schema[""]["actions"][action]["appliesTo"]["context"]["attributes"]
        read = _reads(mine).of(declared)
        found[action] = Slices(
            full=slice_of(enforced), plain=slice_of(plain), shadow=slice_of(mine),
            declared=declared, read=read, schema=_request_schema(action, schema, read),
            quick=Quick(declared, read), guards=tuple(declared.get("guard", {}).get("attributes", ())),
            signals=frozenset(declared["run"]["attributes"]["signals"]["attributes"]),
        )  # fmt: skip
    return found


def _request_schema(action: str, schema: Mapping[str, Any], read: Types) -> cedarpy.Schema:
    # Entities are parsed under the whole schema, a request needs the names of its types only.
    applies_to = schema[""]["actions"][action]["appliesTo"]
    context = {"type": "Record", "attributes": read}
    types: dict[str, Any] = {name: {} for name in (*applies_to["principalTypes"], *applies_to["resourceTypes"])}
    small = {"": {"entityTypes": types, "actions": {action: {"appliesTo": {**applies_to, "context": context}}}}}
    return cedarpy.Schema.from_json_str(orjson.dumps(small).decode())


def policy_set(policies: Iterable[Policy]) -> cedarpy.PolicySet:
    """Policies under our own ids."""
    static = {p.id: p.est for p in policies}
    whole = {"templates": {}, "templateLinks": [], "staticPolicies": static}
    return cedarpy.PolicySet.from_json_str(orjson.dumps(whole).decode(), release_gil=True)


def applies(constraint: Mapping[str, Any], groups: frozenset[str], action: str) -> bool:
    """Can a policy with this action constraint ever match the action?"""
    if constraint["op"] == "All":
        return True
    named = constraint.get("entities") or [constraint["entity"]]
    if constraint["op"] == "==":
        return any(uid["id"] == action for uid in named)
    return any(uid["id"] in groups for uid in named)


def groups_of(schema: Mapping[str, Any]) -> Mapping[str, frozenset[str]]:
    """Every action of a generated schema that can be asked about, with the groups it is in and itself."""
    actions = schema[""]["actions"]
    return {
        name: frozenset({name, *(g["id"] for g in action.get("memberOf", ()))})
        for name, action in actions.items()
        if "appliesTo" in action
    }


_CONTEXT: Final = {"Var": "context"}
_INPUT: Final = {".": {"left": _CONTEXT, "attr": "input"}}


def _reads(policies: Iterable[Policy]) -> Reads:
    """What these policies read; exact because `shape` refuses the context as a whole."""
    members: set[str] = set()
    arguments: set[str] = set()
    whole = False
    stack: list[Any] = [body for policy in policies for body in policy.bodies()]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif node == _INPUT:
            whole = True
        elif isinstance(node, dict):
            read = node.get(".") or node.get("has")
            left = read.get("left") if isinstance(read, dict) else None
            if isinstance(read, dict) and left in (_CONTEXT, _INPUT):
                (arguments if left == _INPUT else members).add(read["attr"])
            else:
                stack.extend(node.values())
    return Reads(frozenset(members), None if whole else frozenset(arguments))


def _matched(policy: Policy) -> Iterable[str]:
    for body in policy.bodies():
        for node in walk(body):
            like = node.get("like")
            # Whatever the pattern may look into, by an `if` too.
            for inner in walk(like.get("left")) if isinstance(like, dict) else ():
                yield "/".join(input_path(inner) or ())


def input_path(node: Any) -> tuple[str, ...] | None:
    """`context.input.a.b` as ("a", "b"); None for any other expression."""
    steps: list[str] = []
    while isinstance(node, dict) and isinstance(node.get("."), dict):
        steps.append(node["."]["attr"])
        node = node["."]["left"]
    steps.reverse()
    return tuple(steps[1:]) if node == {"Var": "context"} and steps[:1] == ["input"] and len(steps) > 1 else None
