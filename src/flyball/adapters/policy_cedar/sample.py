"""Arguments made up from a schema and from what a condition compares them with, to see whether a forbid fires."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flyball.adapters.policy_cedar.shape import walk
from flyball.adapters.policy_cedar.slices import input_path

MOST: Final = 300
ELSEWHERE: Final = "elsewhere"
LONGEST: Final = 20_000

_TEXTS: Final = {
    "email": "x@example.com", "uri": "https://example.com/", "decimal": "1", "date": "2026-01-01", "duration": "P1D",
    "date-time": "2026-01-01T12:00:00Z", "time": "12:00:00Z", "uuid": "00000000-0000-0000-0000-000000000000",
}  # fmt: skip
_DERIVED: Final = ("_addresses", "_domains")


def sample(schema: Any) -> Any:
    """A value that fits the schema, with every member there."""
    if not isinstance(schema, Mapping):
        return "x"
    for branch in schema.get("anyOf") or schema.get("oneOf") or ():
        if branch.get("type") != "null":
            return sample(branch)
    if "enum" in schema:
        return next((v for v in schema["enum"] if v is not None), None)
    kind = schema.get("type")
    kind = next((k for k in kind if k != "null"), None) if isinstance(kind, list) else kind
    if kind == "object":
        more = {"x": sample(schema.get("additionalProperties"))} if schema.get("minProperties") else {}
        return {name: sample(inner) for name, inner in schema.get("properties", {}).items()} or more
    if kind == "array":
        if schema.get("prefixItems"):
            return [sample(s) for s in schema["prefixItems"]]
        return [sample(schema.get("items"))] * max(1, schema.get("minItems", 1))
    if kind == "string":
        text = "x" * max(1, schema.get("minLength", 1))
        return "eA==" if schema.get("contentEncoding") == "base64" else _TEXTS.get(schema.get("format", ""), text)
    if kind in ("integer", "number"):
        return _amount(schema)
    return False if kind == "boolean" else schema.get("const", "x")


def _amount(schema: Mapping[str, Any]) -> int | float:
    """One, or the number nearest to it that the bounds allow."""
    step = schema.get("multipleOf", 1)
    least = schema.get("minimum", schema.get("exclusiveMinimum", -math.inf) + step)
    most = schema.get("maximum", schema.get("exclusiveMaximum", math.inf) - step)
    nearest: int | float = min(max(step, least), most)
    return nearest


def samples(arguments: Mapping[str, Any], bodies: list[Any]) -> Iterator[dict[str, Any]]:
    """The arguments with what the conditions read set to what they compare it with, and to its neighbours."""
    literals = _literals(bodies)
    choices = [[(path, value) for value in _candidates(path, arguments, found)] for path, found in literals.items()]
    for chosen in itertools.islice(itertools.product(*choices), MOST):
        changed: dict[str, Any] = dict(arguments)
        for path, value in chosen:
            _set(changed, _argument(path, arguments), value)
        yield changed


def _literals(bodies: list[Any]) -> dict[tuple[str, ...], list[Any]]:
    # What stands beside a path, in the same operation, is what it is compared with.
    found: dict[tuple[str, ...], list[Any]] = {path: [] for path in map(_path, bodies) if path}
    for body in bodies:
        for node in walk(body):
            for inner in node.values():
                operands = list(inner.values()) if isinstance(inner, dict) else inner if isinstance(inner, list) else []
                for path in filter(None, map(_path, operands)):
                    values = found.setdefault(path, [])
                    values += [v for v in _values(operands, node) if v not in values]
    return found


def _path(node: Any) -> tuple[str, ...] | None:
    path = input_path(node)
    if path is not None or not isinstance(node, dict) or not isinstance(node.get("."), dict):
        return path
    base = node["."]["left"]
    is_length = base == {".": {"left": {"Var": "context"}, "attr": "length"}}
    return ("#length", node["."]["attr"]) if is_length else None


def _values(operands: list[Any], node: Mapping[str, Any]) -> Iterator[Any]:
    like = node.get("like")
    if isinstance(like, dict):
        yield "".join(part["Literal"] if isinstance(part, dict) else "" for part in like["pattern"])
        yield "".join(part["Literal"] if isinstance(part, dict) else "x" for part in like["pattern"])
    for operand in operands:
        for inner in walk(operand):
            value = inner.get("Value")
            if isinstance(value, (str, int)):
                yield value


def _candidates(path: tuple[str, ...], arguments: Mapping[str, Any], literals: list[Any]) -> list[Any]:
    if path[0] == "#length":
        sizes = [n + d for n in literals if isinstance(n, int) for d in (1, 0, -1)]
        return ["x" * size for size in sizes if 0 <= size <= LONGEST] or ["x"]
    now = _get(arguments, _argument(path, arguments))
    if isinstance(now, bool):
        return [True, False]
    if isinstance(now, (int, float)):
        near = [n for n in map(_number, literals) if n is not None]
        return [n + d for n in near for d in (1, 0, -1)] or [now]
    texts = [v for v in literals if isinstance(v, str)]
    if path[-1].endswith("_domains") and path != _argument(path, arguments):
        texts = [f"x@{v}" for v in texts] + [f"x@{ELSEWHERE}.example"]
    if isinstance(now, list):
        numbers = [v for v in literals if isinstance(v, int) and not isinstance(v, bool)]
        members: list[Any] = [*texts, *numbers]
        other: list[Any] = [m + 1 for m in numbers] or [ELSEWHERE]
        return [[m] for m in members] + [[*members, *other], [*other]]
    if isinstance(now, str):
        return [*texts, *(f"{t}x" for t in texts), now] if now not in texts else texts
    return [now]


def _number(value: Any) -> int | float | None:
    # A decimal stands in a policy as text; whole steps beside it keep its places.
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    try:
        return float(value)
    except ValueError:
        return None


def _argument(path: tuple[str, ...], arguments: Mapping[str, Any]) -> tuple[str, ...]:
    if path[0] == "#length":
        return path[1:]
    for ending in _DERIVED:
        plain = path[0].removesuffix(ending)
        if plain != path[0] and path[0] not in arguments and plain in arguments:
            return (plain,)
    return path


def _get(members: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        members = members.get(step) if isinstance(members, Mapping) else None
    return members


def _set(members: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *way, last = path
    for step in way:
        inner = members.get(step)
        if not isinstance(inner, Mapping):
            return
        members[step] = inner = dict(inner)
        members = inner
    if last in members:
        members[last] = value
