"""What a function's signature says: its arguments as a schema, what each argument and each result field is marked as.

The parsed form is what the tool receives; defaults are materialised before policy sees the arguments, so that what
policy sees is what the tool gets. Dataclasses, msgspec structs, TypedDicts and (by their own methods) pydantic models
are all welcome as types.
"""

from __future__ import annotations

import hashlib
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
import orjson

from flyball.core.errors import FlyballError
from flyball.core.marks import Mark, Ref

EMPTY_SCHEMA: Final[Mapping[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed signature, without its first parameter (`call`, `run`)."""

    names: tuple[str, ...]
    arguments: type[msgspec.Struct]
    returns: Any
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    critical: frozenset[str]
    outgoing: frozenset[str]
    refs: Mapping[str, str]
    trusted: frozenset[str]
    personal: frozenset[str]
    digest: str
    positional: tuple[str, ...] = ()


def _strip(hint: Any) -> tuple[Any, tuple[object, ...]]:
    if get_origin(hint) is Annotated:
        first, *rest = get_args(hint)
        return first, tuple(rest)
    return hint, ()


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as bad:
        raise FlyballError(
            "bad_annotation", f"{function.__qualname__}: {bad}", "annotations are read when the value is made",
            "import the name at module level, outside TYPE_CHECKING",
        ) from bad  # fmt: skip


def _pydantic_schema(kind: type) -> dict[str, Any]:
    if hasattr(kind, "model_json_schema"):
        return dict(kind.model_json_schema())
    raise TypeError(f"{kind.__qualname__} has no JSON schema")


def schema_for(kind: Any) -> Mapping[str, Any]:
    """The JSON schema of a type, with definitions inlined where msgspec names them; {} for Any and None."""
    if kind in (Any, None, type(None), inspect.Parameter.empty):
        return {}
    try:
        (schema,), parts = msgspec.json.schema_components([kind], schema_hook=_pydantic_schema)
    except TypeError as bad:
        raise FlyballError("bad_type", f"{kind!r} has no JSON schema", str(bad), "use a dataclass or a Struct") from bad
    return typing.cast("Mapping[str, Any]", _inline(schema, parts, 0))


def _inline(node: Any, parts: Mapping[str, Any], depth: int) -> Any:
    # A recursive type stays open below three levels: policy sees what is above, msgspec still checks all of it.
    if isinstance(node, list):
        return [_inline(n, parts, depth) for n in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return {} if depth > 3 else _inline(parts[node["$ref"].rpartition("/")[2]], parts, depth + 1)
    return {k: _inline(v, parts, depth) for k, v in node.items()}


def marked_fields(kind: Any, mark: str, at: str = "", depth: int = 0) -> frozenset[str]:
    """JSON pointers (with `*` for list items) of the fields of a result type that carry a mark."""
    bare, extras = _strip(kind)
    if any(isinstance(e, Mark) and e.name == mark for e in extras):
        return frozenset({at})
    if depth > 8:
        return frozenset()
    origin, args = get_origin(bare), get_args(bare)
    if origin in (list, tuple, set, frozenset) and args:
        return marked_fields(args[0], mark, f"{at}/*", depth + 1)
    if args and (origin is typing.Union or str(origin) == "<class 'types.UnionType'>"):
        return frozenset().union(*(marked_fields(a, mark, at, depth + 1) for a in args))
    if not (isinstance(bare, type) and getattr(bare, "__annotations__", None)) or bare.__module__ == "builtins":
        return frozenset()
    fields = typing.get_type_hints(bare, include_extras=True)
    return frozenset().union(*(marked_fields(t, mark, f"{at}/{n}", depth + 1) for n, t in fields.items()))


def signature_of(function: Callable[..., Any]) -> Signature:
    """Reads a function's signature after its first parameter; raises FlyballError for what cannot be a tool."""
    hints, parameters = _hints(function), list(inspect.signature(function).parameters.values())
    if not parameters:
        raise FlyballError("bad_signature", f"{function.__name__} takes no `call`", fix="add `call: Call` first")
    fields: list[Any] = []
    marks: dict[str, tuple[object, ...]] = {}
    for p in parameters[1:]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise FlyballError("bad_signature", f"{function.__name__} takes *{p.name}", "every argument needs a name")
        if p.name not in hints:
            raise FlyballError("bad_signature", f"{function.__name__}: argument {p.name} has no type")
        _, marks[p.name] = _strip(hints[p.name])
        fields.append((p.name, hints[p.name]) if p.default is p.empty else (p.name, hints[p.name], _default(p.default)))
    arguments = msgspec.defstruct(f"{function.__name__}_arguments", fields, forbid_unknown_fields=True, kw_only=True)
    returns = hints.get("return", Any)
    schemas = schema_for(arguments), schema_for(returns)
    names = tuple(p.name for p in parameters[1:])
    return Signature(
        names=names, arguments=arguments, returns=returns, input_schema=schemas[0], output_schema=schemas[1],
        critical=_marked(marks, "critical"), outgoing=_marked(marks, "outgoing"),
        refs={n: e.entity for n, extras in marks.items() for e in extras if isinstance(e, Ref)},
        trusted=marked_fields(returns, "trusted"), personal=marked_fields(returns, "personal"),
        digest=hashlib.sha256(orjson.dumps(schemas, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest(),
        positional=tuple(p.name for p in parameters[1:] if p.kind != p.KEYWORD_ONLY),
    )  # fmt: skip


def _marked(marks: Mapping[str, tuple[object, ...]], name: str) -> frozenset[str]:
    return frozenset(n for n, extras in marks.items() if any(isinstance(e, Mark) and e.name == name for e in extras))


def _default(value: Any) -> Any:
    # msgspec shares an immutable default and calls a factory for the rest.
    return msgspec.field(default_factory=lambda: value) if isinstance(value, (list, dict, set)) else value


def to_json(value: Any) -> Any:
    """A value as plain JSON data (what the log keeps and the model sees)."""
    return msgspec.to_builtins(value, enc_hook=_encode, str_keys=True)


def from_json(data: Any, kind: Any) -> Any:
    """Plain JSON data as the declared type; raises msgspec.ValidationError where it does not fit."""
    if kind in (Any, inspect.Parameter.empty):
        return data
    if kind in (None, type(None)):
        kind = type(None)
    return msgspec.convert(data, kind, dec_hook=_decode, str_keys=True)


def _encode(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__qualname__} is not data")


def _decode(kind: type, value: Any) -> Any:
    if hasattr(kind, "model_validate"):
        try:
            return kind.model_validate(value)
        except ValueError as bad:
            raise ValueError(str(bad)) from bad
    raise TypeError(f"{kind.__qualname__} cannot be read from JSON")
