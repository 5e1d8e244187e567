"""Reads one leaf: its shape is checked to the last key before anything is believed of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec

from flyball.core.canonical import decode, record_reader
from flyball.core.errors import FlyballError
from flyball.core.kinds import KINDS, Kind
from flyball.core.record import MAX_LEAF, record_id
from flyball.verify.report import named

VERSION: Final = 1
_NO_DIGESTS: Final = "its facts are no object, or its commitments no digests"
_KEYS: Final = frozenset({"v", "id", "kind", "t", "tenant", "run", "path", "attempt", "facts", "commit"})
_HEX: Final = b"0123456789abcdef"
_MARK: Final = re.compile(r"[!~#?]")
_Whole = Annotated[int, msgspec.Meta(ge=0)]
_Digest = Annotated[str, msgspec.Meta(min_length=64, max_length=64)]


class Leaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"time": "t"}):
    """A leaf of the log; `at` is its index, which it does not say itself; `time` in microseconds since 1970."""

    v: Literal[1] = 1
    id: str
    kind: Kind
    time: _Whole
    tenant: str
    run: str
    path: str
    attempt: _Whole
    facts: dict[str, Any]
    commit: dict[str, _Digest]
    at: int = -1


def _plain(leaf: Leaf) -> dict[str, Any]:
    # In the order of its keys: then nothing needs to be sorted but the facts.
    return {
        "attempt": leaf.attempt, "commit": leaf.commit, "facts": leaf.facts, "id": leaf.id, "kind": leaf.kind,
        "path": leaf.path, "run": leaf.run, "t": leaf.time, "tenant": leaf.tenant, "v": leaf.v,
    }  # fmt: skip


_READ: Final = record_reader(Leaf, _plain)


def read_leaf(index: int, raw: bytes) -> Leaf | str:
    """The leaf, or what is wrong with it."""
    if len(raw) > MAX_LEAF:
        return f"it has {len(raw)} bytes, at most {MAX_LEAF} are allowed"
    leaf = _READ(raw) or _looked_at(raw)
    if isinstance(leaf, str):
        return leaf
    if leaf.id != record_id(leaf.run, leaf.path, leaf.attempt, leaf.kind):
        return "its id is not made of its run, path, attempt and kind"
    if "".join(leaf.commit.values()).encode().translate(None, _HEX):
        return _NO_DIGESTS
    msgspec.structs.force_setattr(leaf, "at", index)  # it is nobody else's yet
    return leaf


def _looked_at(raw: bytes) -> Leaf | str:
    """A leaf whose text is not ASCII, or what is wrong with this one, in words."""
    try:
        value = decode(raw)
    except FlyballError as bad:
        return bad.why
    if type(value) is not dict or value.keys() != _KEYS:
        return "it has not the keys of a leaf"
    if value["v"] != VERSION or type(value["v"]) is not int:
        return f"its version is {named(value['v'])}, this verifier reads {VERSION}"
    if any(type(value[name]) is not str for name in ("kind", "tenant", "run", "path")):
        return "its kind, tenant, run or path is not text"
    if any(type(value[name]) is not int or value[name] < 0 for name in ("t", "attempt")):
        return "its time or attempt is not a whole number"
    if value["kind"] not in KINDS:
        return f"{named(value['kind'])} is no kind of record"
    try:
        return msgspec.convert(value, Leaf)
    except msgspec.ValidationError:
        return _NO_DIGESTS if type(value["id"]) is str else "its id is not made of its run, path, attempt and kind"


def step_of(path: str) -> str:
    """The step that a path belongs to: without what follows a mark (``!`` decisions, ``~`` late, ``#`` and ``?``)."""
    return path if path.isdigit() else _MARK.split(path, maxsplit=1)[0]


def text(facts: Mapping[str, Any], name: str) -> str:
    """A fact that is text; empty where it is anything else."""
    value = facts.get(name)
    return value if type(value) is str else ""


def number(facts: Mapping[str, Any], name: str) -> int:
    """A fact that is a whole number; 0 where it is anything else."""
    value = facts.get(name)
    return value if type(value) is int else 0


def texts(facts: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A fact that is a list of text; empty where it is anything else, without the items that are."""
    value = facts.get(name)
    return tuple(item for item in value if type(item) is str) if type(value) is list else ()


def table(facts: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A fact that is an object; empty where it is anything else."""
    value = facts.get(name)
    return value if type(value) is dict else {}
