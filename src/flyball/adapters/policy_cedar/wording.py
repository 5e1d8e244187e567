"""Cedar's validation messages in the words of the project: which argument, on which tool, and what may be meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from flyball.adapters.policy_cedar.child import Fault
from flyball.adapters.policy_cedar.schema import BUILT_IN
from flyball.adapters.policy_cedar.shape import nearest
from flyball.core.policy import Finding

MAX_PER_POLICY: Final = 3

_PREFIX: Final = re.compile(r"^for policy `[^`]*`, ")
_CONTEXT: Final = re.compile(r"attribute `(.+)` in context for Action::\"([^\"]+)\"")
_ENTITY: Final = re.compile(r"attribute `(.+)` on entity type `(.+)` not found")
_ACTION: Final = re.compile(r"unrecognized action `Action::\"(.+)\"`")
_TYPE: Final = re.compile(r"unrecognized entity type `(.+)`")
_STEP: Final = re.compile(r"\[\"((?:[^\"\\]|\\.)*)\"\]|\.?([^.\[]+)")
UNREACHABLE: Final = "unable to find an applicable action given the policy scope constraints"


def findings(faults: Iterable[Fault], schema: Mapping[str, Any]) -> list[Finding]:
    """The faults as findings, at most `MAX_PER_POLICY` for one policy."""
    by_place: dict[str, list[Fault]] = {}
    for fault in faults:
        by_place.setdefault(fault.where, []).append(fault)
    found: list[Finding] = []
    for where, group in by_place.items():
        # A scope that names something unknown reaches nothing: the second message would only repeat the first.
        telling = sorted([f for f in group if UNREACHABLE not in f.what] or group, key=_own_tools_first)
        found += [_finding(where, fault.what, schema[""]) for fault in telling[:MAX_PER_POLICY]]
        if len(telling) > MAX_PER_POLICY:
            found.append(Finding(where=where, what=f"{len(telling) - MAX_PER_POLICY} more of the kind"))
    return found


def _own_tools_first(fault: Fault) -> tuple[bool, str]:
    match = _CONTEXT.search(fault.what)
    return match is not None and match[2] in BUILT_IN, fault.what


def _finding(where: str, raw: str, schema: Mapping[str, Any]) -> Finding:
    text = _PREFIX.sub("", raw)
    if match := _CONTEXT.search(text):
        return _missing(where, match[1], match[2], schema)
    if match := _ENTITY.search(text):
        known = schema["entityTypes"].get(match[2], {}).get("shape", {}).get("attributes", {})
        what = f"{match[2]} has no attribute {match[1]} ({', '.join(known) or 'none is declared'})"
        return Finding(where=where, what=what, fix=nearest(match[1], known))
    if match := _ACTION.search(text):
        return Finding(where=where, what=f"there is no action {match[1]}", fix=nearest(match[1], schema["actions"]))
    if match := _TYPE.search(text):
        return Finding(
            where=where, what=f"there is no entity type {match[1]}", fix=nearest(match[1], schema["entityTypes"])
        )
    if UNREACHABLE in text:
        return Finding(where=where, what="no action can ever match its scope", fix="Check action and resource types.")
    return Finding(where=where, what=text)


def _missing(where: str, path: str, action: str, schema: Mapping[str, Any]) -> Finding:
    steps = [quoted or plain for quoted, plain in _STEP.findall(path)]
    record = schema["actions"].get(action, {}).get("appliesTo", {}).get("context", {})
    known: Iterable[str] = ()
    for at, step in enumerate(steps):
        known = record.get("attributes", {})
        if step not in known:
            shown = ", ".join(_declared(known)) or "it has none"
            what = f"context.{'.'.join(steps[: at + 1])} does not exist on {action} ({shown})"
            return Finding(where=where, what=what, fix=nearest(step, known))
        record = record["attributes"][step]
    fix = f"Ask first: {_has(steps)} && ..."
    return Finding(where=where, what=f"context.{'.'.join(steps)} may be absent on {action}", fix=fix)


def _declared(known: Iterable[str]) -> list[str]:
    # What is derived from an argument can be meant, but is not what the tool takes.
    derived = {f"{name}{ending}" for name in known for ending in ("_addresses", "_domains")}
    return [name for name in known if name not in derived]


def _has(steps: list[str]) -> str:
    return f"{'.'.join(['context', *steps[:-1]])} has {steps[-1]}"
