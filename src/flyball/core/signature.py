"""What a function's signature says: its arguments as a schema, what each argument and each result field is marked as.

The parsed form is what the tool receives; defaults are materialised before policy sees the arguments, so that what
policy sees is what the tool gets. Dataclasses, msgspec structs, TypedDicts and (by their own methods) pydantic models
are all welcome as types.

A mark counts wherever it stands in an annotation: `Critical[str] | None` and `list[Critical[str]]` are critical, and so
is an argument whose type has a critical field.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import inspect
import types
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Set,
)
from typing import Annotated, Any, Final, NotRequired, Required, get_args, get_origin

import msgspec
import orjson
from typing_extensions import ReadOnly, is_typeddict

from flyball.core.call import Call
from flyball.core.canonical import MAX_BYTES, check_tree
from flyball.core.errors import FlyballError
from flyball.core.marks import Mark, Ref

_DEEPEST: Final = 8
_SCALARS: Final = (str, int, float, bool, type(None))
_PLAIN: Final = frozenset(_SCALARS)
_LISTS: Final = (list, tuple, set, frozenset, Collection, Sequence, MutableSequence, Set, MutableSet)
_WRAPPERS: Final = (Required, NotRequired, ReadOnly, Final)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A parsed signature, without its first parameter (`call`, `run`). `artifacts` are pointers to digests in the
    arguments, `files` those in the result."""

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
    artifacts: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """A function's annotations, read; raises FlyballError for a name that is not there at run time."""
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
    except (TypeError, NameError, RecursionError) as bad:
        raise FlyballError("bad_type", f"{kind!r} has no JSON schema", str(bad), "use a dataclass or a Struct") from bad
    return typing.cast("Mapping[str, Any]", _inline(schema, parts, 0))


def _inline(node: Any, parts: Mapping[str, Any], depth: int) -> Any:
    # A recursive type stays open below three levels: policy sees what is above, msgspec still checks all of it.
    if isinstance(node, list):
        return [_inline(n, parts, depth) for n in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$defs"), dict):  # a pydantic model brings its own
        parts = {**parts, **node["$defs"]}
    if isinstance(node.get("$ref"), str):
        return {} if depth > 3 else _inline(parts[node["$ref"].rpartition("/")[2]], parts, depth + 1)
    return {k: _inline(v, parts, depth) for k, v in node.items() if k != "$defs"}


def marked_fields(kind: Any, mark: str) -> frozenset[str]:
    """JSON pointers (with `*` for list items) of the parts of a type that carry a mark.

    Where one place can hold several types (a union, a tuple), `trusted` is there only if each of them says so; every
    other mark is there if any does.
    """
    marked, plain = set[str](), set[str]()
    for at, extras in _parts(kind, "", (), 0):
        (marked if any(isinstance(e, Mark) and e.name == mark for e in extras) else plain).add(at)
    if mark == "trusted":
        marked = {m for m in marked if not any(p == m or p.startswith(f"{m}/") for p in plain)}
    return frozenset(m for m in marked if not any(m.startswith(f"{other}/") for other in marked))


def _parts(hint: Any, at: str, held: tuple[object, ...], depth: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """What is annotated and what is a leaf, by pointer, with everything that was said above it."""
    origin, args = get_origin(hint), get_args(hint)
    if depth > _DEEPEST or hint is type(None):
        return
    if origin is Annotated:
        said = (*held, *hint.__metadata__)
        yield at, said
        yield from _parts(args[0], at, said, depth)
    elif origin in (typing.Union, types.UnionType):
        for one in args:
            yield from _parts(one, at, held, depth + 1)
    elif origin in _WRAPPERS or isinstance(hint, typing.NewType):
        yield from _parts(args[0] if args else hint.__supertype__, at, held, depth + 1)
    elif origin in _LISTS and args:
        for one in args:
            yield from _parts(one, f"{at}/*", held, depth + 1) if one is not ... else ()
    else:
        fields = list(_fields(hint))
        for name, inner in fields:
            yield from _parts(inner, f"{at}/{name}", held, depth + 1)
        if not fields:
            yield at, held


def _fields(hint: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a record type under the names that they have in JSON."""
    kind = get_origin(hint) or hint
    if not isinstance(kind, type):
        return
    if issubclass(kind, msgspec.Struct):
        of = {f.name: "*" if kind.__struct_config__.array_like else f.encode_name for f in msgspec.structs.fields(kind)}
    elif dataclasses.is_dataclass(kind):
        of = {f.name: f.name for f in dataclasses.fields(kind)}
    elif issubclass(kind, tuple):
        of = dict.fromkeys(getattr(kind, "_fields", ()), "*")
    elif is_typeddict(kind) or hasattr(kind, "model_fields") or hasattr(kind, "__attrs_attrs__"):
        of = {name: name for name in typing.get_type_hints(kind)}
    else:
        return
    hints = typing.get_type_hints(kind, include_extras=True)
    open_kind: tuple[Any, ...] = getattr(kind, "__parameters__", ())
    filled = dict(zip(open_kind, get_args(hint), strict=False))
    for name, shown in of.items():
        inner = hints[name]
        open_ = getattr(inner, "__parameters__", ())
        if isinstance(inner, typing.TypeVar):
            inner = filled.get(inner, inner)
        elif open_ and all(p in filled for p in open_):
            inner = inner[tuple(filled[p] for p in open_)]
        yield shown, inner


def signature_of(function: Callable[..., Any]) -> Signature:
    """Reads a function's signature after its first parameter; raises FlyballError for what cannot be a tool."""
    if not inspect.isroutine(function):
        raise FlyballError("bad_signature", f"{function!r} is no function", fix="write it with def or async def")
    hints, parameters = hints_of(function), list(inspect.signature(function).parameters.values())
    _check_first(function, parameters, hints)
    fields: list[Any] = []
    for p in parameters[1:]:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD, p.POSITIONAL_ONLY):
            raise FlyballError("bad_signature", f"{function.__name__} takes {p}", "every argument is passed by name")
        if p.name not in hints:
            raise FlyballError("bad_signature", f"{function.__name__}: argument {p.name} has no type")
        kind = hints[p.name]
        fields.append((p.name, kind) if p.default is p.empty else (p.name, kind, _default(function, p, kind)))
    arguments = msgspec.defstruct(f"{function.__name__}_arguments", fields, forbid_unknown_fields=True, kw_only=True)
    returns = hints.get("return", Any)
    schemas = _with_defaults(schema_for(arguments), parameters[1:]), schema_for(returns)
    asked = {p.name: hints[p.name] for p in parameters[1:]}
    return Signature(
        names=tuple(asked), arguments=arguments, returns=returns, input_schema=schemas[0], output_schema=schemas[1],
        critical=frozenset(n for n, kind in asked.items() if marked_fields(kind, "critical")),
        outgoing=frozenset(n for n, kind in asked.items() if marked_fields(kind, "outgoing")),
        refs={n: e.entity for n, kind in asked.items() for at, extras in _parts(kind, "", (), 0) if at == ""
              for e in extras if isinstance(e, Ref)},
        trusted=marked_fields(returns, "trusted"), personal=marked_fields(returns, "personal"),
        digest=hashlib.sha256(orjson.dumps(schemas, option=orjson.OPT_SORT_KEYS, default=str)).hexdigest(),
        positional=tuple(p.name for p in parameters[1:] if p.kind != p.KEYWORD_ONLY),
        artifacts=frozenset(f"/{n}{at}" for n, kind in asked.items() for at in marked_fields(kind, "artifact")),
        files=marked_fields(returns, "artifact"),
    )  # fmt: skip


def _check_first(function: Callable[..., Any], parameters: list[inspect.Parameter], hints: Mapping[str, Any]) -> None:
    first = parameters[0] if parameters else None
    positional = first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    if first is None or not positional or hints.get(first.name, Call) not in (Call, Any):
        raise FlyballError("bad_signature", f"{function.__name__} takes no `call`", fix="add `call: Call` first")


def _default(function: Callable[..., Any], p: inspect.Parameter, kind: Any) -> Any:
    try:
        data = to_json(p.default)
        check_tree(data)
        from_json(orjson.loads(orjson.dumps(data)), kind)
    except (TypeError, ValueError, FlyballError) as bad:
        raise FlyballError(
            "bad_default", f"{function.__name__}: the default of {p.name} does not fit", str(bad),
            "correct the default or the type; an argument that may be null is `T | None`",
        ) from bad  # fmt: skip
    # A call must not see what an earlier call did to its default.
    return msgspec.field(default_factory=lambda: copy.deepcopy(p.default))


def _with_defaults(schema: Mapping[str, Any], parameters: list[inspect.Parameter]) -> Mapping[str, Any]:
    """The schema with every default in it: policy sees such an argument always, because it is materialised before."""
    given = {p.name: {"default": to_json(p.default)} for p in parameters if p.default is not p.empty}
    return {**schema, "properties": {n: {**inner, **given.get(n, {})} for n, inner in schema["properties"].items()}}


def to_json(value: Any) -> Any:
    """A value as plain JSON data (what the log keeps and the model sees); sets in an order that is always the same."""
    try:
        return msgspec.to_builtins(value, enc_hook=_encode, str_keys=True, order="deterministic")
    except TypeError:
        # Keys or members of several types have no order; what is no data at all is refused here too.
        return msgspec.to_builtins(value, enc_hook=_encode, str_keys=True)


def plain(value: Any, *, max_bytes: int = MAX_BYTES) -> Any:
    """What somebody hands in as plain JSON data that a record gives back as it is, of at most `max_bytes` bytes.

    Raises FlyballError: `not_data`, or as `canonical.check_tree` does. An encoder would write NaN as null, silently.
    """
    try:
        data = to_json(value)
    except (TypeError, ValueError, RecursionError) as bad:
        what = f"a {type(value).__qualname__} cannot be recorded"
        raise FlyballError("not_data", what, str(bad), "hand in plain data or a dataclass") from bad
    check_tree(data, max_bytes=max_bytes)
    return data


def from_json(data: Any, kind: Any) -> Any:
    """Plain JSON data as the declared type; raises msgspec.ValidationError where it does not fit."""
    if kind in (Any, inspect.Parameter.empty):
        return data
    if kind in (None, type(None)):
        kind = type(None)
    return whole(msgspec.convert(data, kind, dec_hook=_decode, str_keys=True))


def whole(value: Any) -> Any:
    """A converted value, in which every dataclass holds its defaults itself.

    msgspec leaves a default that was not given to the class; written out again, it would be missing: in what policy
    sees, in what an approver signs, and in the record.
    """
    kind = type(value)
    if kind not in _PLAIN:
        for each in _inside(kind)(value):
            if type(each) not in _PLAIN:
                whole(each)
    return value


def _found_inside(kind: type) -> Callable[[Any], Iterable[Any]]:
    """What gives the parts of a value of this class, after a dataclass holds its defaults."""
    if issubclass(kind, _SCALARS):
        return _nothing
    if issubclass(kind, Mapping):
        return _values
    if issubclass(kind, _LISTS):
        return iter
    if issubclass(kind, msgspec.Struct):
        return functools.partial(_fields_of, kind.__struct_fields__)
    if dataclasses.is_dataclass(kind):
        return functools.partial(_held, tuple(f.name for f in dataclasses.fields(kind)))
    return _nothing


# Asked for every value of every call, and the same for a class for good.
_inside: Final[Callable[[Any], Callable[[Any], Iterable[Any]]]] = functools.lru_cache(maxsize=1024)(_found_inside)


def _nothing(_: Any) -> Iterable[Any]:
    return ()


def _values(value: Mapping[Any, Any]) -> Iterable[Any]:
    return value.values()


def _fields_of(names: tuple[str, ...], value: Any) -> Iterable[Any]:
    return [getattr(value, name) for name in names]


def _held(names: tuple[str, ...], value: Any) -> Iterable[Any]:
    own = getattr(value, "__dict__", None)
    if own is not None:
        for name in names:
            if name not in own and hasattr(value, name):
                own[name] = getattr(value, name)
    return [getattr(value, name, None) for name in names]


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
