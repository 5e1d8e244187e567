"""A declared context type as one msgspec type: the check of `encode`, at once and without words.

What passes here is what `encode` passes, and is written as the same JSON value; of what does not pass, and of types
that cannot be made so, `encode` says why. Nothing passes that `encode` refuses (a property test holds them together).
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

import msgspec
import orjson

from flyball.adapters.policy_cedar.encode import Types, decimal_json

_LONG: Final = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_PLAIN: Final[Mapping[str, Any]] = {"String": str, "Boolean": bool, "Long": _LONG}


class _Inexpressible(Exception):
    """There is no msgspec type for this: an entity reference, or a name that is no Python name."""


class _Number:
    """Stands for a Cedar decimal: whatever `decimal_json` takes."""


class Quick:
    """Checks whole contexts against `declared` and writes the part `read` of them."""

    def __init__(self, declared: Types, read: Types) -> None:
        self._members = frozenset(read) - {"input"}
        whole, wanted = declared["input"]["attributes"], read["input"]["attributes"]
        self._arguments = None if len(wanted) == len(whole) else frozenset(wanted)
        try:
            self._type: Any = _record(declared)
        except _Inexpressible:
            self._type = None

    def text(self, context: Mapping[str, Any]) -> str | None:
        """The JSON of the part that is read; None where `encode` has to look."""
        if self._type is None:
            return None
        try:
            msgspec.convert(context, self._type, dec_hook=_number)
            sent = {name: context[name] for name in self._members}
            given, wanted = context["input"], self._arguments
            sent["input"] = given if wanted is None else {name: given[name] for name in given if name in wanted}
            return orjson.dumps(sent, default=_json).decode()
        except (ValueError, TypeError):  # msgspec's and orjson's errors are ValueErrors and TypeErrors
            return None


def _record(attributes: Types) -> Any:
    fields: list[Any] = []
    for name, kind in attributes.items():
        if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
            raise _Inexpressible
        typed = _typed(kind)
        fields.append((name, typed) if kind.get("required", True) else (name, typed | msgspec.UnsetType, msgspec.UNSET))
    return msgspec.defstruct("Record", fields, forbid_unknown_fields=True, kw_only=True)


def _typed(kind: Mapping[str, Any]) -> Any:
    word = kind["type"]
    if word == "Set":
        return list[_typed(kind["element"])]  # type: ignore[misc]  # made from data
    if word == "Record":
        return _record(kind["attributes"])
    if word == "Entity":
        raise _Inexpressible
    return _PLAIN.get(word, _Number)


def _number(_: type, value: object) -> _Number:
    if type(value) is not Decimal:
        raise TypeError  # a number that JSON writes as itself: `encode` makes a decimal of it
    decimal_json(value, "")
    return _Number()


def _json(value: object) -> Any:
    if isinstance(value, Decimal):
        return decimal_json(value, "")
    raise TypeError
