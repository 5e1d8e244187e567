"""Reads one leaf: its shape is checked to the last key before anything is believed of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from flyball.core.canonical import decode
from flyball.core.errors import FlyballError
from flyball.core.kinds import KINDS
from flyball.core.record import MAX_LEAF
from flyball.verify.report import named

VERSION: Final = 1
_KEYS: Final = frozenset({"v", "id", "kind", "t", "tenant", "run", "path", "attempt", "facts", "commit"})
_TEXTS: Final = ("id", "kind", "tenant", "run", "path")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class Leaf(NamedTuple):
    """A leaf of the log; `time` in microseconds since 1970."""

    index: int
    id: str
    kind: str
    time: int
    tenant: str
    run: str
    path: str
    attempt: int
    facts: Mapping[str, Any]
    commit: Mapping[str, str]


def read_leaf(index: int, raw: bytes) -> Leaf | str:
    """The leaf, or what is wrong with it."""
    if len(raw) > MAX_LEAF:
        return f"it has {len(raw)} bytes, at most {MAX_LEAF} are allowed"
    try:
        value = decode(raw)
    except FlyballError as bad:
        return bad.why
    if type(value) is not dict or value.keys() != _KEYS:
        return "it has not the keys of a leaf"
    if value["v"] != VERSION or type(value["v"]) is not int:
        return f"its version is {named(value['v'])}, this verifier reads {VERSION}"
    problem = _problem(value)
    if problem:
        return problem
    return Leaf(
        index, value["id"], value["kind"], value["t"], value["tenant"], value["run"], value["path"], value["attempt"],
        value["facts"], value["commit"],
    )  # fmt: skip


def _problem(value: dict[str, Any]) -> str:
    for name in _TEXTS:
        if type(value[name]) is not str:
            return f"{name} is not text"
    for name in ("t", "attempt"):
        if type(value[name]) is not int or value[name] < 0:
            return f"{name} is not a whole number"
    if value["kind"] not in KINDS:
        return f"{named(value['kind'])} is no kind of record"
    if value["id"] != f"{value['run']}/{value['path']}/{value['attempt']}/{value['kind']}":
        return "its id is not made of its run, path, attempt and kind"
    if type(value["facts"]) is not dict or type(value["commit"]) is not dict:
        return "its facts or commitments are no object"
    for commitment in value["commit"].values():
        if type(commitment) is not str or not _DIGEST.fullmatch(commitment):
            return "a commitment is not 64 hex digits"
    return ""


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
