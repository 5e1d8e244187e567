"""Neutral values as Cedar JSON, each under the type that the schema declares for it.

Rules:

* Everything is checked here against the whole declared type, what no policy reads too: an undeclared member, a
  missing one or one of another type refuses the request. Nothing that looks like an entity or an extension can come
  in by a value.
* What is sent is only what the policies of the action read: reading the context is most of what an evaluation costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from flyball.core.policy import Node, Request, Uid
from flyball.core.policy_context import exact_decimal

Types = Mapping[str, Mapping[str, Any]]


class Unencodable(ValueError):
    """A value that Cedar must not be asked about; its text says which and why."""


class Reads(msgspec.Struct, frozen=True):
    """What some policies read of the context: its members, and of `input` the arguments; None for the whole input."""

    members: frozenset[str]
    arguments: frozenset[str] | None = frozenset()

    def of(self, declared: Types) -> Types:
        """The part of the declared context type that is read; approvals and input are always there."""
        kept = {name: kind for name, kind in declared.items() if name in self.members or name == "approvals"}
        whole = declared["input"]["attributes"]
        arguments = whole if self.arguments is None else {n: k for n, k in whole.items() if n in self.arguments}
        return {**kept, "input": {**declared["input"], "attributes": arguments}}


def context_json(request: Request, declared: Types, read: Types) -> str:
    """The part of the context that is read, with the layer's approvals, as the text that Cedar parses."""
    whole = _members({**request.context, "approvals": sorted(request.approvals)}, declared, "context")
    arguments = read["input"]["attributes"]
    sent = {name: whole[name] for name in read}
    if len(arguments) < len(declared["input"]["attributes"]):
        sent["input"] = {name: value for name, value in whole["input"].items() if name in arguments}
    return orjson.dumps(sent).decode()


def entities_json(nodes: tuple[Node, ...], attributes: Mapping[str, Types]) -> bytes:
    """The slice as Cedar's entity JSON. `attributes`: entity type -> attribute -> Cedar type."""
    return orjson.dumps([_entity(node, attributes.get(node.uid.type)) for node in nodes])


def _entity(node: Node, declared: Types | None) -> dict[str, Any]:
    name = f"{node.uid.type}::{node.uid.id}"
    if declared is None:
        raise Unencodable(f"{name} has a type that the schema does not know")
    present = {attribute: value for attribute, value in node.attrs.items() if value is not None}
    parents = [_uid(parent) for parent in node.parents]
    return {"uid": _uid(node.uid), "attrs": _members(present, declared, name), "parents": parents}


def _uid(uid: Uid) -> dict[str, str]:
    return {"type": uid.type, "id": uid.id}


def _members(value: Any, declared: Types, at: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise Unencodable(f"{at} is no record")
    typed: dict[str, Any] = {}
    for name, kind in declared.items():
        if name in value:
            typed[name] = _typed(value[name], kind, at, name)
        elif kind.get("required", True):
            raise Unencodable(f"{at}.{name} is missing")
    if len(typed) < len(value):
        strange = min(set(map(str, value)) - set(typed), default="")
        raise Unencodable(f"{at}.{strange} is not declared")
    return typed


def _typed(value: Any, kind: Mapping[str, Any], at: str, name: str) -> Any:
    word = kind["type"]
    if word == "String":
        if type(value) is str:
            return value
    elif word == "Boolean":
        if type(value) is bool:
            return value
    elif word == "Long":
        if type(value) is int and -(2**63) <= value < 2**63:
            return value
    elif word == "Set":
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_typed(v, kind["element"], at, name) for v in value]
    elif word == "Record":
        return _members(value, kind["attributes"], f"{at}.{name}")
    elif word == "Entity":
        if isinstance(value, Uid) and value.type == kind["name"]:
            return {"__entity": _uid(value)}
    else:
        return decimal_json(value, f"{at}.{name}")
    raise Unencodable(f"{at}.{name} is no {kind.get('name', word)}")


def decimal_json(value: Any, at: str) -> dict[str, Any]:
    """A number as Cedar's decimal; raises Unencodable for what is not exactly one."""
    try:
        return {"__extn": {"fn": "decimal", "arg": f"{exact_decimal(value):.4f}"}}
    except ValueError as bad:
        raise Unencodable(f"{at}: {bad}") from bad
