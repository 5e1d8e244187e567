"""Reads one leaf: its shape is checked to the last key before anything is believed of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from flyball.core.canonical import decode
from flyball.core.errors import FlyballError
from flyball.core.kinds import KINDS
from flyball.core.record import MAX_LEAF
from flyball.verify.report import named

VERSION: Final = 1
_KEYS: Final = frozenset({"v", "id", "kind", "t", "tenant", "run", "path", "attempt", "facts", "commit"})
_LENGTHS: Final = frozenset({64})
_MARK: Final = re.compile(r"[!~#?]")


class Leaf(NamedTuple):
    """A leaf of the log; `at` is its index, `time` in microseconds since 1970."""

    at: int
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
    leaf = Leaf(
        index, value["id"], value["kind"], value["t"], value["tenant"], value["run"], value["path"], value["attempt"],
        value["facts"], value["commit"],
    )  # fmt: skip
    return _problem(value["v"], leaf) or leaf


def _problem(version: object, leaf: Leaf) -> str:
    _, id, kind, time, tenant, run, path, attempt, facts, commit = leaf
    if version != VERSION or type(version) is not int:
        return f"its version is {named(version)}, this verifier reads {VERSION}"
    if not (type(kind) is type(tenant) is type(run) is type(path) is str):
        return "its kind, tenant, run or path is not text"
    if type(time) is not int or type(attempt) is not int or time < 0 or attempt < 0:
        return "its time or attempt is not a whole number"
    if kind not in KINDS:
        return f"{named(kind)} is no kind of record"
    if id != f"{run}/{path}/{attempt}/{kind}":
        return "its id is not made of its run, path, attempt and kind"
    if type(facts) is not dict or type(commit) is not dict or not _are_digests(commit.values()):
        return "its facts are no object, or its commitments no digests"
    return ""


def _are_digests(values: Collection[object]) -> bool:
    # Half of the time a verification takes would go into a regular expression here.
    try:
        joined = "".join(values)  # type: ignore[arg-type]
        return set(map(len, values)) <= _LENGTHS and bytes.fromhex(joined).hex() == joined  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False


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
