"""What policy may know of a tool's arguments: one closed shape, derived from the tool's JSON schema.

Rules:

* text, whole numbers, numbers, flags, sets of these and closed records are *shaped*; unions and open objects are
  *opaque*.
* An opaque argument that is critical, or inside one, refuses the tool; elsewhere it appears in `context.opaque` alone.
* A member may be absent where its schema neither requires it nor gives it a default, or where it may be null.
* Critical text that addresses somebody, by its format ("email", "uri") or by its name (to, cc, url, ...), comes with
  derived sets: `input.to_addresses`, `input.to_domains`. A name that is already taken refuses the tool.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import msgspec

from flyball.core.effect import Action
from flyball.core.policy import Finding

Kind = Literal["text", "whole", "number", "flag", "many", "record", "opaque"]
Derived = Literal["addresses", "url"]

_KINDS: Final[Mapping[str, Kind]] = {"string": "text", "integer": "whole", "number": "number", "boolean": "flag"}
_FORMATS: Final[Mapping[str, Derived]] = {
    "email": "addresses", "idn-email": "addresses", "uri": "url", "iri": "url", "url": "url",
}  # fmt: skip
_ADDRESSED: Final = frozenset({"to", "cc", "bcc", "recipient", "recipients", "email", "emails", "reply_to"})
_LINKED: Final = frozenset({"url", "uri", "link", "endpoint", "webhook"})
_DEEPEST: Final = 8
RESERVED: Final = frozenset({
    "read", "reversible", "irreversible", "model", "stream", "context", "agent", "handoff", "flow", "approve",
    "activate", "recall", "remember", "forget",
})  # fmt: skip


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of one value. `optional`: it may be absent or null. `strict`: it must parse as what it derives."""

    kind: Kind
    item: Shape | None = None
    fields: Mapping[str, Shape] = {}
    optional: bool = False
    derived: Derived | None = None
    strict: bool = False

    def opaque_at(self, at: str = "") -> tuple[str, ...]:
        """Where, below this value, policy sees nothing: pointers without the leading slash."""
        if self.kind == "opaque":
            return (at,)
        if self.item is not None:
            return self.item.opaque_at(f"{at}/*")
        return tuple(p for name, s in self.fields.items() for p in s.opaque_at(f"{at}/{name}" if at else name))


# What policy sees of a model call, and of showing its answer before it is whole: who asks, and the labels of everything
# that the model is shown; of memory: whose it is, and what is asked or kept.
_MODEL: Final[Mapping[str, Any]] = {"agent": "", "role": "", "sensitivity": "public", "sources": []}
BUILT_IN_INPUT: Final[Mapping[str, Mapping[str, Any]]] = {
    "model": _MODEL,
    "stream": _MODEL,
    "recall": {"query": "", "scope": "", "top_k": 0},
    "remember": {"text": "", "about": "", "scope": "", "sensitivity": "public", "seconds": 0},
}
_TEXT: Final = Shape(kind="text")
_TEXTS: Final = Shape(kind="many", item=_TEXT)
_NEUTRAL: Final[Mapping[type, Shape]] = {str: _TEXT, list: _TEXTS, int: Shape(kind="whole")}
BUILT_IN_SHAPES: Final[Mapping[str, Shape]] = {
    kind: Shape(kind="record", fields={name: _NEUTRAL[type(neutral)] for name, neutral in members.items()})
    for kind, members in BUILT_IN_INPUT.items()
}


class InputShape(msgspec.Struct, frozen=True, kw_only=True):
    """An action as policy sees it: the word in policies, its arguments' shape, the argument that names its resource."""

    action: str
    record: Shape
    ref: str | None = None
    entity: str | None = None
    kind: str = "tool"
    effect: str = "irreversible"
    egress: bool = True
    risk: str = "low"


def action_word(action: Action) -> str:
    """What an action is called in policies: a tool by its name, everything else by its kind."""
    return {"tool": action.name, "policy": "activate"}.get(action.kind, action.kind)


def input_shape(action: Action) -> InputShape:
    """The shape of an action's arguments. Make it once per action; what is wrong with it, `shape_findings` says.

    Of a model call and of memory it is BUILT_IN_INPUT. All else has an empty one: its arguments differ per agent and
    flow, its resource says which.
    """
    schema = action.input_schema if action.kind == "tool" else {}
    fields = {name: _deriving(name, shape, schema, action) for name, shape in _record(schema, 0).fields.items()}
    if action.kind in BUILT_IN_SHAPES:
        fields = dict(BUILT_IN_SHAPES[action.kind].fields)
    ref = next(iter(sorted(action.refs)), None) if action.kind == "tool" else None
    return InputShape(
        action=action_word(action), record=Shape(kind="record", fields=fields), ref=ref,
        entity=action.refs[ref] if ref else None,
        kind=action.kind, effect=action.effect, egress=action.egress, risk=action.risk,
    )  # fmt: skip


def seen(action: Action, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """The arguments of an action that policy sees."""
    if action.kind in BUILT_IN_INPUT:
        return {name: arguments.get(name, neutral) for name, neutral in BUILT_IN_INPUT[action.kind].items()}
    return arguments if action.kind == "tool" else {}


def shape_findings(actions: Iterable[Action]) -> tuple[Finding, ...]:
    """Why some of these actions cannot be governed: names that collide or are taken, opaque critical arguments."""
    found: list[Finding] = []
    seen: dict[str, str] = {}
    for action in actions:
        if action.kind != "tool":
            continue
        found += _name_findings(action.name, seen)
        if not action.precondition:  # its arguments are its tool's
            found += _argument_findings(action)
    return tuple(found)


def derived_names(name: str, shape: Shape) -> tuple[str, ...]:
    """The members that an argument adds to `context.input`."""
    if shape.derived == "addresses":
        return f"{name}_addresses", f"{name}_domains"
    return (f"{name}_domains",) if shape.derived == "url" else ()


def _name_findings(name: str, seen: dict[str, str]) -> list[Finding]:
    folded = unicodedata.normalize("NFKC", name).casefold()
    other = seen.setdefault(folded, name)
    if other != name:
        return [Finding(where=name, what=f"the tools {other} and {name} read as one name", fix="Rename one of them.")]
    if folded in RESERVED:
        return [Finding(where=name, what=f"{name} already means something else in policies", fix="Rename the tool.")]
    return []


def _argument_findings(action: Action) -> list[Finding]:
    found: list[Finding] = []
    fields = input_shape(action).record.fields
    for name in sorted(action.critical & fields.keys()):
        hidden = fields[name].opaque_at(name)
        if hidden:
            what = f"policy cannot see into the critical argument {hidden[0]} (a union or an open object)"
            found.append(Finding(where=action.name, what=what, fix="Give it one closed type."))
    for name, shape in fields.items():
        for taken in sorted(fields.keys() & set(derived_names(name, shape))):
            what = f"the argument {taken} has the name that policy uses for what is derived from {name}"
            found.append(Finding(where=action.name, what=what, fix=f"Rename {taken}."))
    if any(name.startswith("__") for name in fields):
        found.append(Finding(where=action.name, what="an argument's name begins with __", fix="Rename it."))
    if len(action.refs) > 1:
        both = " and ".join(sorted(action.refs))
        found.append(Finding(where=action.name, what=f"{both} each name a resource", fix="Mark one of them with Ref."))
    return found


def _shape(schema: Any, depth: int) -> Shape:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return Shape(kind="opaque")
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return _union(branches, depth)
    kind = schema.get("type")
    if isinstance(kind, list):
        return _union([{**schema, "type": k} for k in kind], depth)
    values = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else None
    if values is not None:
        return _choice(values)
    if kind == "array":
        return _many(schema, depth)
    if kind == "object":
        return _record(schema, depth)
    if kind == "string" and schema.get("format") == "decimal":
        return Shape(kind="number")
    return Shape(kind=_KINDS.get(kind, "opaque") if isinstance(kind, str) else "opaque")


def _union(branches: Iterable[Any], depth: int) -> Shape:
    shapes = [_shape(b, depth) for b in branches if not (isinstance(b, Mapping) and b.get("type") == "null")]
    nullable = len(shapes) < len(list(branches)) or any(s.optional for s in shapes)
    kinds = {s.kind for s in shapes}
    if kinds == {"whole", "number"}:
        shapes = [Shape(kind="number")]
    elif any(s != shapes[0] for s in shapes) or not shapes:
        shapes = [Shape(kind="opaque")]
    return msgspec.structs.replace(shapes[0], optional=nullable)


def _choice(values: Any) -> Shape:
    rest = [v for v in values if v is not None]
    kinds = {type(v) for v in rest}
    kind: Kind = "opaque"
    if len(kinds) == 1:
        kind = {str: "text", int: "whole", bool: "flag"}.get(kinds.pop(), "opaque")  # type: ignore[assignment]
    return Shape(kind=kind, optional=len(rest) < len(values))


def _many(schema: Mapping[str, Any], depth: int) -> Shape:
    # A tuple is a set only where all its places are alike.
    places = schema.get("prefixItems")
    item = _union(places, depth + 1) if places else _shape(schema.get("items"), depth + 1)
    return Shape(kind="opaque") if item.kind == "opaque" else Shape(kind="many", item=item)


def _record(schema: Mapping[str, Any], depth: int) -> Shape:
    open_ended = schema.get("additionalProperties", False) is not False
    if depth and (open_ended or "properties" not in schema):
        return Shape(kind="opaque")
    required = frozenset(schema.get("required", ()))
    fields: dict[str, Shape] = {}
    for name, inner in schema.get("properties", {}).items():
        shape = _shape(inner, depth + 1)
        # A default is materialised before policy sees the arguments, so such a member is always there.
        always = name in required or (isinstance(inner, Mapping) and inner.get("default") is not None)
        fields[name] = shape if always else msgspec.structs.replace(shape, optional=True)
    return Shape(kind="record", fields=fields)


def _deriving(name: str, shape: Shape, schema: Mapping[str, Any], action: Action) -> Shape:
    text = shape.kind == "text" or (shape.item is not None and shape.item.kind == "text")
    if not text:
        return shape
    inner = schema["properties"][name]
    items = inner.get("items")
    form = _FORMATS.get(inner.get("format") or (items.get("format") if isinstance(items, Mapping) else None) or "")
    if form is not None:
        return msgspec.structs.replace(shape, derived=form, strict=True)
    if name not in action.critical:
        return shape
    lower = name.lower()
    if lower in _ADDRESSED or lower.endswith("_email"):
        return msgspec.structs.replace(shape, derived="addresses")
    if lower in _LINKED or lower.endswith("_url"):
        return msgspec.structs.replace(shape, derived="url")
    return shape
