"""The closed list of changes that a policy may make to arguments: each one takes away, none adds.

Rules:

* `drop:/p` removes a member; `mask:/p` writes `***` over text; `clamp:/p:N` bounds a number from above;
  `truncate:/p:N` keeps the first N characters of text; `replace_const:/p:JSON` writes a constant over what is there.
* A pointer (RFC 6901) goes through objects only, never into a list. What is not there is left alone.
* A value of the wrong type is an error, never a guess. The arguments given are never changed, a copy is.
* Two modifiers whose pointers overlap have an order, and no verdict may depend on order: they do not go together.

>>> apply({"customer": {"name": "Ada", "ssn": "123"}}, [parse_modifier("drop:/customer/ssn")])
{'customer': {'name': 'Ada'}}
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, get_args

from flyball.core.canonical import parse_json
from flyball.core.errors import FlyballError
from flyball.core.policy import Modifier, ModifierName

NAMES: Final[tuple[str, ...]] = get_args(ModifierName)
MASK: Final = "***"
_FORMS: Final = "drop:/p, mask:/p, clamp:/p:N, truncate:/p:N or replace_const:/p:JSON"


def parse_modifier(text: str) -> Modifier:
    """`"clamp:/amount:500"` as a modifier; raises FlyballError `bad_modifier` for anything outside the closed list."""
    name, _, rest = text.partition(":")
    if name not in NAMES:
        raise _bad(text, f"{name!r} is no modifier")
    if name in ("drop", "mask"):
        pointer, value = rest, None
    elif name == "replace_const":
        pointer, found, raw = rest.partition(":")
        value = _constant(text, raw) if found else _missing(text)
    else:
        pointer, found, raw = rest.rpartition(":")
        value = _bound(text, name, raw) if found else _missing(text)
    if not tokens(pointer):
        raise _bad(text, "the pointer must begin with / and name an argument")
    return Modifier(name=name, pointer=pointer, value=value)  # type: ignore[arg-type]  # checked against NAMES


def tokens(pointer: str) -> tuple[str, ...]:
    """The member names of a JSON pointer; empty for one that does not begin with a slash."""
    if not pointer.startswith("/"):
        return ()
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def overlapping(one: Modifier, other: Modifier) -> bool:
    """Would the order of the two matter? Not for one and the same modifier, which may stand in several layers."""
    if one == other:
        return False
    a, b = tokens(one.pointer), tokens(other.pointer)
    shared = min(len(a), len(b))
    return a[:shared] == b[:shared]


def conflict(modifiers: Sequence[Modifier]) -> tuple[Modifier, Modifier] | None:
    """The first two modifiers that do not go together, or None."""
    for at, one in enumerate(modifiers):
        for other in modifiers[at + 1 :]:
            if overlapping(one, other):
                return one, other
    return None


def apply(arguments: Mapping[str, Any], modifiers: Iterable[Modifier]) -> dict[str, Any]:
    """New arguments with every modifier applied; raises FlyballError `modifier_misfit` where a value does not suit."""
    changed = dict(arguments)
    for modifier in modifiers:
        _apply_at(changed, tokens(modifier.pointer), modifier)
    return changed


def _apply_at(members: dict[str, Any], path: tuple[str, ...], modifier: Modifier) -> None:
    # Only the objects on the way are copied; `members` is already a copy.
    head, rest = path[0], path[1:]
    if head not in members or members[head] is None:
        return
    if rest:
        inner = members[head]
        if not isinstance(inner, Mapping):
            raise _misfit(modifier, "the way there is no object")
        members[head] = copy = dict(inner)
        _apply_at(copy, rest, modifier)
    elif modifier.name == "drop":
        del members[head]
    else:
        members[head] = _changed(members[head], modifier)


def _changed(value: Any, modifier: Modifier) -> Any:
    if modifier.name == "replace_const":
        return modifier.value
    if modifier.name == "clamp":
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            raise _misfit(modifier, "only a number can be clamped")
        return modifier.value if value > modifier.value else value
    if not isinstance(value, str):
        raise _misfit(modifier, "only text can be masked or truncated")
    return MASK if modifier.name == "mask" else value[: modifier.value]


def _bound(text: str, name: str, raw: str) -> int | float:
    try:
        value = json.loads(raw)
    except ValueError:
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**63:
        raise _bad(text, f"{raw!r} is no number")
    if name == "truncate" and (isinstance(value, float) or value < 0):
        raise _bad(text, f"{raw!r} is no length")
    return value


def _constant(text: str, raw: str) -> Any:
    try:
        return parse_json(raw)
    except FlyballError as bad:
        raise _bad(text, f"{raw!r} is not JSON") from bad


def _missing(text: str) -> Any:
    raise _bad(text, "a value is missing")


def _bad(text: str, why: str) -> FlyballError:
    return FlyballError("bad_modifier", f"@modify({text!r})", why, f"Write {_FORMS}.", {"modifier": text})


def _misfit(modifier: Modifier, why: str) -> FlyballError:
    return FlyballError(
        "modifier_misfit", f"{modifier.name} cannot change {modifier.pointer}", why, data={"pointer": modifier.pointer}
    )
