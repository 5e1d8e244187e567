"""The Cedar schema of a project: every action with its typed input, every entity with its declared attributes.

Rules:

* A schema is closed: an attribute that is not declared is refused in policies and in what is evaluated, never dropped.
* Every tool is an action in the group of its effect; model calls, context sources and recalling are in `read`; starting
  agents and flows, streaming, remembering, forgetting, approving and activating have no group, so that no rule about
  effects meets them by accident.
* A project's entity types declare attributes by JSON schema or in short: "string", "integer", "number", "boolean",
  "entity:Type", each with `[]` for a set and a `?` at the end of the attribute's name for one that may be absent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from flyball.core.effect import Action
from flyball.core.input_shape import BUILT_IN_SHAPES, InputShape, Shape, derived_names, input_shape, shape_findings
from flyball.core.policy import GUARDS, SIGNALS, Finding, PolicyError
from flyball.core.policy_context import LEFT

GROUPS: Final = ("read", "reversible", "irreversible")
PRINCIPALS: Final = ("User", "Service", "Agent")
BUILT_IN: Final[Mapping[str, tuple[str, str | None]]] = {
    "model": ("Model", "read"), "stream": ("Model", None), "context": ("Source", "read"), "agent": ("Agent", None),
    "handoff": ("Agent", None), "flow": ("Flow", None), "approve": ("Approval", None), "activate": ("Bundle", None),
    "recall": ("Memory", "read"), "remember": ("Memory", None), "forget": ("Memory", None),
}  # fmt: skip

CedarType = dict[str, Any]


class _Named(NamedTuple):
    guards: Sequence[str]
    signals: Sequence[str]


_STRING: Final[CedarType] = {"type": "String"}
_LONG: Final[CedarType] = {"type": "Long"}
_FLAG: Final[CedarType] = {"type": "Boolean"}
_STRINGS: Final[CedarType] = {"type": "Set", "element": _STRING}
_PERSON: Final[Mapping[str, CedarType]] = {
    "tenant": _STRING, "issuer": _STRING, "assurance": _STRING, "scopes": _STRINGS,
    "on_behalf_of": {**_STRING, "required": False},
}  # fmt: skip
_TYPE_NAME: Final = re.compile(r"[A-Z][A-Za-z0-9_]*")
_SHORT: Final[Mapping[str, CedarType]] = {
    "string": _STRING, "integer": _LONG, "boolean": _FLAG, "number": {"type": "Extension", "name": "decimal"},
}  # fmt: skip


def generate(actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    """The schema in Cedar's JSON form; raises PolicyError for tools and entities that cannot be governed. Beside the
    entity types `entities` may name guards (`GUARDS`), each a member of `context.guard`, and signals (`SIGNALS`), each
    one of `context.run.signals`."""
    named = _Named(sorted(entities.get(GUARDS, ())), sorted(entities.get(SIGNALS, ())))
    entities = {name: attributes for name, attributes in entities.items() if name not in (GUARDS, SIGNALS)}
    found = [*shape_findings(actions), *_entity_findings(actions, entities)]
    if found:
        raise PolicyError(found)
    shapes = sorted((input_shape(a) for a in actions if a.kind == "tool"), key=lambda s: s.action)
    return {"": {"entityTypes": _entity_types(entities), "actions": _actions(shapes, named)}}


def _entity_types(entities: Mapping[str, Mapping[str, object]]) -> dict[str, Any]:
    own = sorted(entities)
    parents = [*own, "Group", "Tenant", "User", "Service"]
    types: dict[str, Any] = {
        "User": _entity(_PERSON, ["Group", "Tenant"]), "Service": _entity(_PERSON, ["Group", "Tenant"]),
        "Group": _entity({}, ["Group", "Tenant"]), "Tenant": _entity({}, []), "Role": _entity({}, ["Role"]),
        "Agent": _entity(
            {"tenant": _optional(_STRING), "role": _optional(_STRING), "on_behalf_of": _optional(_STRING)},
            ["Role", "Tenant"],
        ),
        "Tool": _entity({}, ["Tenant"]), "Flow": _entity({}, ["Tenant"]),
        "Model": _entity({"vendor": _optional(_STRING), "region": _optional(_STRING)}, ["Tenant"]),
        "Source": _entity({"sensitivity": _STRING, "trusted": _FLAG}, ["Tenant"]),
        "Approval": _entity({
            "group": {"type": "Entity", "name": "Group"}, "tool": _optional(_STRING), "run": _optional(_STRING),
        }, ["Tenant"]),
        "Bundle": _entity({"layer": _optional(_STRING)}, ["Tenant"]),
        "Memory": _entity({"mine": _FLAG, "egress": _FLAG}, ["Tenant"]),
    }  # fmt: skip
    for name in own:
        types[name] = _entity({n.removesuffix("?"): _attribute(n, t) for n, t in entities[name].items()}, parents)
    return types


def _entity(attributes: Mapping[str, CedarType], parents: Sequence[str]) -> dict[str, Any]:
    return {"memberOfTypes": list(parents), "shape": _record(attributes)}


def _record(attributes: Mapping[str, CedarType]) -> CedarType:
    return {"type": "Record", "attributes": dict(attributes)}


def _optional(kind: CedarType) -> CedarType:
    return {**kind, "required": False}


def _attribute(name: str, declared: object) -> CedarType:
    kind = _declared(declared)
    if kind is None:
        raise PolicyError([Finding(where=name, what=f"{declared!r} is no attribute type")])
    return _optional(kind) if name.endswith("?") else kind


def _declared(declared: object) -> CedarType | None:
    if isinstance(declared, Mapping):
        shape = input_shape(Action(name="_", input_schema={"properties": {"_": declared}, "required": ["_"]}))
        return cedar_type(shape.record.fields["_"])
    if not isinstance(declared, str):
        return None
    if declared.endswith("[]"):
        element = _declared(declared[:-2])
        return {"type": "Set", "element": element} if element else None
    if declared.startswith("entity:"):
        return {"type": "Entity", "name": declared.removeprefix("entity:")}
    return _SHORT.get(declared)


def cedar_type(shape: Shape) -> CedarType | None:
    """The Cedar type of a shape, None for what policy does not see."""
    if shape.kind == "opaque":
        return None
    if shape.kind == "many" and shape.item is not None:
        kind: CedarType = {"type": "Set", "element": cedar_type(shape.item)}
    elif shape.kind == "record":
        fields = {name: cedar_type(field) for name, field in shape.fields.items()}
        kind = _record({name: field for name, field in fields.items() if field is not None})
    else:
        kind = {"text": _STRING, "whole": _LONG, "flag": _FLAG}.get(shape.kind, _SHORT["number"])
    return _optional(kind) if shape.optional else kind


def _actions(shapes: Sequence[InputShape], named: _Named) -> dict[str, Any]:
    actions: dict[str, Any] = {group: {} for group in GROUPS}
    for name, (resource, group) in BUILT_IN.items():
        record = BUILT_IN_SHAPES.get(name, Shape(kind="record"))
        actions[name] = _action(InputShape(action="", record=record), [resource], [group] if group else [], named)
    for shape in shapes:
        optional = shape.ref is not None and shape.record.fields[shape.ref].optional
        resources = [shape.entity, *(["Tool"] if optional else [])] if shape.entity else ["Tool"]
        actions[shape.action] = _action(shape, resources, [shape.effect], named)
    return actions


def _action(shape: InputShape, resources: Sequence[str | None], groups: Sequence[str], named: _Named) -> dict[str, Any]:
    return {
        "memberOf": [{"id": group} for group in groups],
        "appliesTo": {
            "principalTypes": list(PRINCIPALS), "resourceTypes": list(resources), "context": _context(shape, named),
        },
    }  # fmt: skip


def _context(shape: InputShape, named: _Named) -> CedarType:
    fields = shape.record.fields
    record = cedar_type(shape.record) or _record({})
    for name, field in fields.items():
        for derived in derived_names(name, field):
            record["attributes"][derived] = _optional(_STRINGS) if field.optional else _STRINGS
    texts = {name: field for name, field in fields.items() if field.kind == "text"}
    lengths = {name: _optional(_LONG) if field.optional else _LONG for name, field in texts.items()}
    run = {"did": _STRINGS, "denied": _STRINGS, "tainted": _FLAG, "brake": _STRING}
    signal = _record({"score": _LONG, "verdict": _STRING})
    guard = {"guard": _record(dict.fromkeys(named.guards, signal))} if named.guards else {}
    run["signals"] = _record(dict.fromkeys(named.signals, _optional(_SHORT["number"])))
    return _record({
        **guard, "input": record, "length": _record(lengths),
        "nulls": _STRINGS, "opaque": _STRINGS, "digested": _STRINGS,
        "origin": _record(dict.fromkeys(fields, _STRING)), "approvals": _STRINGS,
        "kind": _STRING, "effect": _STRING, "egress": _FLAG, "risk": _STRING,
        "budget": _record({"left": _record(dict.fromkeys(LEFT, _LONG))}), "history": _record({}), "run": _record(run),
        "release": _STRING, "env": _STRING, "time": _record(dict.fromkeys(("now", "hour", "weekday"), _LONG)),
    })  # fmt: skip


def _entity_findings(actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]) -> list[Finding]:
    found: list[Finding] = []
    built_in = set(_entity_types({}))
    known = built_in | set(entities)
    for name, attributes in sorted(entities.items()):
        if name in built_in or name == "Action" or not _TYPE_NAME.fullmatch(name):
            what = f"an entity type cannot be called {name}"
            found.append(Finding(where=name, what=what, fix="Name it like Customer."))
        for attribute, declared in attributes.items():
            kind = _declared(declared)
            fix = 'Write "string", "integer", "number", "boolean" or "entity:Type", with [] for a set.'
            if kind is None or not _entities_of(kind) <= known:
                found.append(Finding(where=f"{name}.{attribute}", what=f"{declared!r} is no attribute type", fix=fix))
    for action in actions:
        for argument, entity in action.refs.items():
            if entity not in known:
                what = f"{argument} refers to {entity}, which is no entity of this project"
                found.append(Finding(where=action.name, what=what, fix=f'Declare it with @entity("{entity}").'))
    return found


def _entities_of(kind: CedarType) -> set[str]:
    if kind["type"] == "Set":
        return _entities_of(kind["element"])
    return {kind["name"]} if kind["type"] == "Entity" else set()
