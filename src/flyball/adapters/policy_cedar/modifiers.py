"""Every modifier is shown to lift its own forbid before a bundle is taken; what cannot be shown is refused.

Rules:

* A pointer must exist on the tools the policy names, on at least one where it names none, and not reach into lists.
* The argument that determines the resource is not touched; a required member is not dropped; types must suit.
* Two modifiers that can meet on one tool do not overlap.
* The self-test: samples on which the part of the forbid that reads arguments fires are changed and asked about again.
  It must have fired at least once, and must not fire after the change, not once. Conditions that read no argument are
  left out: no modifier changes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from flyball.adapters.policy_cedar.compiled import CedarCompiled
from flyball.adapters.policy_cedar.sample import sample, samples
from flyball.adapters.policy_cedar.shape import Policy, walk
from flyball.adapters.policy_cedar.slices import applies
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.input_shape import InputShape, input_shape
from flyball.core.modify import apply, overlapping, tokens
from flyball.core.policy import Bundle, Finding, Modifier, Node, Request, Uid
from flyball.core.policy_context import policy_context

_ANY: Final = {"op": "All"}
_READ_BY_ARGUMENTS: Final = ("input", "length", "nulls", "opaque", "digested")
_SUITS: Final = {"clamp": ("whole", "number"), "mask": ("text",), "truncate": ("text",)}


class _Case(msgspec.Struct, frozen=True):
    policy: Policy
    modifier: Modifier
    action: Action
    shape: InputShape
    schema: Mapping[str, Any]

    def finding(self, what: str, fix: str = "") -> Finding:
        return Finding(where=self.policy.where, what=what, fix=fix)

    @property
    def text(self) -> str:
        return f"{self.modifier.name}:{self.modifier.pointer}"


def modifier_findings(
    policies: Sequence[Policy], actions: Sequence[Action], schema: Mapping[str, Any]
) -> list[Finding]:
    """Everything that is wrong with the modifiers of these policies."""
    found: list[Finding] = []
    met: list[_Case] = []
    tools = [a for a in actions if a.kind == "tool"]
    for policy in policies:
        modifier = policy.cure.modifier if policy.cure else None
        if modifier is None:
            continue
        scope = policy.est["action"]
        mine = [
            _Case(policy, modifier, a, input_shape(a), schema)
            for a in tools
            if applies(scope, frozenset({a.name, a.effect}), a.name)
        ]
        wrong = _fit_findings(mine, scope) or _self_test([c for c in mine if _target(c)])
        found += wrong
        if not wrong:
            found += _overlaps(mine, met)
            met += mine
    return found


def _fit_findings(cases: Sequence[_Case], scope: Mapping[str, Any]) -> list[Finding]:
    reached = [c for c in cases if _target(c)]
    if not reached and cases:
        known = ", ".join(cases[0].shape.record.fields) or "none"
        return [cases[0].finding(f"{cases[0].text} points to nothing on {cases[0].action.name} (arguments: {known})")]
    found: list[Finding] = []
    for case in cases:
        named = scope["op"] != "All" and not any(
            uid["id"] == case.action.effect for uid in scope.get("entities") or [scope["entity"]]
        )
        if _target(case) is None:
            if named:
                found.append(case.finding(f"{case.text} points to nothing on {case.action.name}"))
        else:
            found += _misfits(case)
    return found


def _misfits(case: _Case) -> list[Finding]:
    target, name = _target(case), case.action.name
    if target is None:
        return []
    inner, required = target
    path = tokens(case.modifier.pointer)
    shape = _shape_at(case.shape, path)
    if path[0] in case.action.refs:
        return [case.finding(f"{case.text} would change which {case.action.refs[path[0]]} {name} acts on")]
    if case.modifier.name == "drop" and required:
        fix = "Give it a default in the tool, or use another modifier."
        return [case.finding(f"{case.text}: {name} cannot do without {path[-1]}", fix)]
    suits = _SUITS.get(case.modifier.name)
    if suits and shape not in suits:
        return [case.finding(f"{case.modifier.name} does not suit {case.modifier.pointer} of {name}")]
    if case.modifier.name == "clamp" and shape == "whole" and not isinstance(case.modifier.value, int):
        return [case.finding(f"{case.text}: {path[-1]} of {name} is a whole number, {case.modifier.value} is not")]
    choices = inner.get("enum")
    if case.modifier.name == "replace_const" and choices and case.modifier.value not in choices:
        return [case.finding(f"{case.text}: {case.modifier.value!r} is none of the choices of {path[-1]}")]
    return []


def _target(case: _Case) -> tuple[Mapping[str, Any], bool] | None:
    # The schema that a pointer leads to, and whether its object cannot do without it.
    schema: Any = case.action.input_schema
    required = False
    for step in tokens(case.modifier.pointer):
        branches = [b for b in schema.get("anyOf", ()) if b.get("type") != "null"]
        schema = branches[0] if len(branches) == 1 else schema
        members = schema.get("properties", {})
        if step not in members:
            return None
        required = step in schema.get("required", ())
        schema = members[step]
    return schema, required


def _shape_at(shape: InputShape, path: tuple[str, ...]) -> str:
    current = shape.record
    for step in path:
        inner = current.fields.get(step)
        if inner is None:
            return "opaque"
        current = inner
    return current.kind


def _overlaps(mine: Sequence[_Case], met: Sequence[_Case]) -> list[Finding]:
    for case in mine:
        for other in met:
            same = case.action.name == other.action.name
            if same and (case.modifier == other.modifier or overlapping(case.modifier, other.modifier)):
                what = f"{case.text} overlaps with {other.text} of {other.policy.where} on {case.action.name}"
                return [case.finding(what, "Make one modifier of them.")]
    return []


def _self_test(cases: Sequence[_Case]) -> list[Finding]:
    fired = 0
    for case in cases:
        asking = _Asking(case)
        for arguments in samples(sample(case.action.input_schema), asking.bodies):
            if not asking.fires(arguments):
                continue
            fired += 1
            if not asking.lifted(arguments):
                fix = "Use drop, or let the condition ask what the modifier changes."
                return [case.finding(f"{case.text} does not lift its own forbid on {case.action.name}", fix)]
    if cases and not fired:
        fix = "Let the condition ask the argument itself: context.input has a && context.input.a > 5."
        return [cases[0].finding(f"it cannot be shown that {cases[0].text} lifts this forbid: no sample fires it", fix)]
    return []


class _Asking:
    """One forbid, reduced to what reads arguments, put to the engine on made-up arguments."""

    def __init__(self, case: _Case) -> None:
        self.case = case
        conditions = [c for part in case.policy.est["conditions"] for c in _split(part) if _reads_arguments(c["body"])]
        self.bodies = [c["body"] for c in conditions]
        scope = {"op": "==", "entity": {"type": "Action", "id": case.action.name}}
        est = {"effect": "forbid", "principal": _ANY, "action": scope, "resource": _ANY, "conditions": conditions}
        reduced = Policy(id="self-test", est=est, where=case.policy.where)
        bundle = Bundle(layer="project", name="self-test", digest="", content=b"", ids=("self-test",), cures={})
        self.compiled = CedarCompiled(bundle, [reduced], case.schema)

    def fires(self, arguments: Mapping[str, Any]) -> bool:
        try:
            answer = self.compiled.evaluate(self.request(arguments))
        except FlyballError:
            return False
        return not answer.errors and bool(answer.determining)

    def lifted(self, arguments: Mapping[str, Any]) -> bool:
        try:
            changed = _with_defaults(apply(arguments, [self.case.modifier]), self.case.action.input_schema)
            answer = self.compiled.evaluate(self.request(changed))
        except FlyballError:
            return False
        return not answer.errors and not answer.determining

    def request(self, arguments: Mapping[str, Any]) -> Request:
        kind = self.case.shape.entity or "Tool"
        types = self.case.schema[""]["entityTypes"]
        nodes = [Node(uid=Uid(n, "sample"), attrs=_attributes(types[n]["shape"]["attributes"])) for n in ("User", kind)]
        return Request(
            principal=nodes[0].uid, action=self.case.action.name, resource=nodes[1].uid, entities=tuple(nodes),
            context=policy_context(self.case.shape, arguments),
        )  # fmt: skip


def _split(condition: Mapping[str, Any]) -> list[dict[str, Any]]:
    # a && b under `when` is two conditions; under `unless` it is one.
    body = condition["body"]
    if condition["kind"] != "when" or "&&" not in body:
        return [dict(condition)]
    return [c for side in ("left", "right") for c in _split({"kind": "when", "body": body["&&"][side]})]


def _reads_arguments(body: Any) -> bool:
    for node in walk(body):
        read = node.get(".") or node.get("has")
        if isinstance(read, dict) and read.get("left") == {"Var": "context"} and read["attr"] in _READ_BY_ARGUMENTS:
            return True
    return False


def _with_defaults(arguments: dict[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    # What the tool's own parsing would put back.
    declared = schema.get("properties", {}).items()
    return {**{name: inner["default"] for name, inner in declared if "default" in inner}, **arguments}


def _attributes(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _attribute(kind) for name, kind in declared.items()}


def _attribute(kind: Mapping[str, Any]) -> Any:
    if kind["type"] == "Set":
        return [_attribute(kind["element"])]
    if kind["type"] == "Record":
        return _attributes(kind["attributes"])
    if kind["type"] == "Entity":
        return Uid(kind["name"], "sample")
    return {"String": "x", "Long": 1, "Boolean": False}.get(kind["type"], 1)
