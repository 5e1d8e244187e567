"""Does plain data fit a JSON schema? Enough of it to refuse what a person typed before it becomes a record.

It knows the schemas that `core.signature` writes: types, constants, unions, objects and lists. What it does not know it
lets through: the tool's own type is asked again when the value is used.

>>> misfit({"cents": "many"}, {"type": "object", "properties": {"cents": {"type": "integer"}}})
"/cents is no integer: 'many'"
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,), "array": (list, tuple), "string": (str,), "integer": (int,), "number": (int, float),
    "boolean": (bool,), "null": (type(None),),
}  # fmt: skip
_MOST_SHOWN: Final = 100


def misfit(value: Any, schema: Mapping[str, Any], at: str = "") -> str | None:
    """Where and why the value does not fit, or None where it does as far as this can tell."""
    if "anyOf" in schema:
        told = [misfit(value, option, at) for option in schema["anyOf"]]
        return told[0] if all(told) else None
    if "enum" in schema:
        return None if value in schema["enum"] else f"{at or 'it'} is none of {schema['enum']}: {_shown(value)}"
    word = schema.get("type")
    if isinstance(word, str) and word in _TYPES and not _is(value, word):
        return f"{at or 'it'} is no {word}: {_shown(value)}"
    if isinstance(value, dict):
        return _object_misfit(value, schema, at)
    if isinstance(value, (list, tuple)) and isinstance(schema.get("items"), Mapping):
        return next(filter(None, (misfit(v, schema["items"], f"{at}/{n}") for n, v in enumerate(value))), None)
    return None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _is(value: Any, word: str) -> bool:
    if isinstance(value, bool) and word != "boolean":
        return False
    return isinstance(value, _TYPES[word])


def _object_misfit(value: Mapping[str, Any], schema: Mapping[str, Any], at: str) -> str | None:
    missing = [name for name in schema.get("required", ()) if name not in value]
    if missing:
        return f"{at}/{missing[0]} is missing"
    parts = schema.get("properties", {})
    told = (misfit(v, parts[n], f"{at}/{n}") for n, v in value.items() if isinstance(parts.get(n), Mapping))
    return next(filter(None, told), None)
