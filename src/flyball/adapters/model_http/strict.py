"""A JSON schema in the form that a provider can hold a model to: Anthropic's structured outputs.

https://platform.claude.com/docs/en/build-with-claude/structured-outputs: every object names all it may hold; no bounds
on numbers and texts; no schema that contains itself. What cannot be said there is left out, because the answer is
checked against the whole schema anyway; what would change the meaning gives no schema at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

MAX_OPTIONAL: Final = 24
MAX_UNIONS: Final = 16
_KEPT: Final = ("title", "description", "const", "default")
_PLAIN: Final = ("string", "integer", "number", "boolean", "null")
_FORMATS: Final = (
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
)  # fmt: skip


class _Inexpressible(Exception):
    pass


def narrowed(schema: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The schema in that form; None where there is none, or where the form cannot say it.

    >>> narrowed({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]})
    {'type': 'object', 'properties': {'n': {'type': 'integer'}}, 'required': ['n'], 'additionalProperties': False}
    >>> narrowed({"type": "object", "additionalProperties": {"type": "string"}}) is None
    True
    """
    if schema is None:
        return None
    counts = {"optional": 0, "unions": 0}
    try:
        made = _narrow(schema, schema.get("$defs", {}), (), counts)
    except _Inexpressible:
        return None
    return made if counts["optional"] <= MAX_OPTIONAL and counts["unions"] <= MAX_UNIONS else None


def _narrow(schema: Any, defs: Any, inside: tuple[str, ...], counts: dict[str, int]) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        raise _Inexpressible
    if "$ref" in schema:
        return _resolved(schema["$ref"], defs, inside, counts)
    made = {key: schema[key] for key in _KEPT if key in schema}
    if "enum" in schema:
        if not all(v is None or isinstance(v, (str, int, float)) for v in schema["enum"]):
            raise _Inexpressible
        return {**made, "enum": list(schema["enum"])}
    variants = schema.get("anyOf", schema.get("oneOf"))
    if variants is not None:
        counts["unions"] += 1
        return {**made, "anyOf": [_narrow(v, defs, inside, counts) for v in variants]}
    return {**made, **_typed(schema, defs, inside, counts)} if "const" not in schema else made


def _typed(schema: Mapping[str, Any], defs: Any, inside: tuple[str, ...], counts: dict[str, int]) -> dict[str, Any]:
    kind = schema.get("type")
    if kind == "object" and schema.get("additionalProperties", False) is False and "properties" in schema:
        required = list(schema.get("required", []))
        counts["optional"] += len(schema["properties"]) - len(required)
        properties = {name: _narrow(each, defs, inside, counts) for name, each in schema["properties"].items()}
        return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    if kind == "array" and "prefixItems" not in schema and "items" in schema:
        items: dict[str, Any] = {"type": "array", "items": _narrow(schema["items"], defs, inside, counts)}
        return {**items, "minItems": schema["minItems"]} if schema.get("minItems") in (0, 1) else items
    if kind == "string" and schema.get("format") in _FORMATS:
        return {"type": "string", "format": schema["format"]}
    if isinstance(kind, str) and kind in _PLAIN:
        return {"type": kind}
    raise _Inexpressible


def _resolved(ref: Any, defs: Any, inside: tuple[str, ...], counts: dict[str, int]) -> dict[str, Any]:
    """What a reference means, written out where it stands: a schema that contains itself has no end."""
    name = str(ref).removeprefix("#/$defs/")
    if name in inside or name not in defs:
        raise _Inexpressible
    return _narrow(defs[name], defs, (*inside, name), counts)
