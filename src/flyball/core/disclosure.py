"""Disclosure: the one place that says what of a record may leave for telemetry.

Rules:

* Facts of a leaf may leave: they are names, digests, states, numbers and pseudonyms. Of what is sealed nothing may, but
  which model was asked and what it used, and what the configuration names.
* What an annotation marks as `Personal` never leaves, named or not; nor does anything of an action that the project's
  code does not have, because nobody can say what of it is personal.
* What a tool returned is never told by what a model was shown: its own span says as much of it as may be said.
* A person's reason, an approval's text, a key, a subject and the end's detail cannot be named.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from flyball.core.effect import LASTING
from flyball.core.record import Opened

ARGUMENTS: Final = "arguments"
RESULT: Final = "result"
ERROR: Final = "error"
MESSAGES: Final = "messages"
MODEL: Final = "model"
_HIDDEN: Final = "<personal>"
_INPUT: Final[Mapping[str, str]] = {"run_started": "input", "intent": "args", "decision": "args"}
_OUTPUT: Final = frozenset({"outcome", "late", "run_ended"})


class Marks(msgspec.Struct, frozen=True, kw_only=True):
    """What the code marks as personal in an action's arguments and in its result: JSON pointers, `*` for list items."""

    arguments: frozenset[str] = frozenset()
    result: frozenset[str] = frozenset()


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What may leave. `content`: action -> `arguments`, `arguments.NAME`, `result`, `result.NAME`, `error`; of models
    (under `model`) `messages` and `result`. `marks`: of every action of the project. `models`: configured name -> the
    provider's name of the model."""

    content: Mapping[str, Sequence[str]] = {}
    marks: Mapping[str, Marks] = {}
    models: Mapping[str, str] = {}


def needed(record: Opened, action: str, kind: str, rules: Rules) -> bool:
    """Must this record's payload be opened at all?"""
    if record.kind == "run_started":
        return True  # it says whose trace it belongs to
    if record.kind not in _INPUT and record.kind not in _OUTPUT:
        return False
    return kind == "model" or bool(rules.content.get(action))


def disclosed(record: Opened, action: str, kind: str, rules: Rules) -> Opened:
    """The record with nothing private in it but what may leave: `model`, `reply`, `input`, `output`, `error` and
    `traceparent`, each only where it is there."""
    private = record.private or {}
    left = _known(record, private, kind, rules)
    allowed = rules.content.get(MODEL if kind == "model" else action, ())
    if kind == "model":
        left |= _talk(record, private, allowed)
    elif allowed and action in rules.marks:
        left |= _fields(record, private, allowed, rules.marks[action])
    return replace(record, private=left, salts={})


def _known(record: Opened, private: Mapping[str, Any], kind: str, rules: Rules) -> dict[str, Any]:
    """What is no content: whose trace it is, which model was asked and what it used."""
    if record.kind == "run_started":
        return {"traceparent": private["traceparent"]} if "traceparent" in private else {}
    if kind != "model":
        return {}
    request, reply = private.get("request", {}), private.get("result")
    left: dict[str, Any] = {}
    if "resource" in request:
        name, vendors = request["resource"]["id"], request.get("entities", ())
        attrs: Mapping[str, Any] = next((e.get("attrs", {}) for e in vendors if e["uid"] == request["resource"]), {})
        left["model"] = {"name": rules.models.get(name, name), "vendor": attrs.get("vendor", "")}
    if isinstance(reply, dict):
        left["reply"] = {k: reply[k] for k in ("model", "stop", "usage", "provider_id") if k in reply}
    return left


def _fields(record: Opened, private: Mapping[str, Any], allowed: Sequence[str], marks: Marks) -> dict[str, Any]:
    left: dict[str, Any] = {}
    source = _INPUT.get(record.kind)
    if source is not None and source in private:
        given = private[source]
        # A run of one action, and of a flow or agent inside a run: what it was handed stands one level further in.
        given = given["arguments"] if record.kind == "run_started" and record.facts["kind"] == "act" else given
        inside = record.facts.get("action_kind") in LASTING
        left |= _chosen("input", given["input"] if inside else given, ARGUMENTS, allowed, marks.arguments)
    if record.kind in _OUTPUT and "result" in private:
        left |= _chosen("output", private["result"], RESULT, allowed, marks.result)
    if record.kind in _OUTPUT and ERROR in allowed and isinstance(private.get("error"), str):
        left["error"] = private["error"]
    return left


def _chosen(name: str, value: Any, side: str, allowed: Sequence[str], personal: frozenset[str]) -> dict[str, Any]:
    whole = side in allowed
    parts = {one.partition(".")[2] for one in allowed if one.startswith(f"{side}.")}
    if not whole and not parts:
        return {}
    clean = _without(value, "", personal)
    if whole:
        return {name: clean}
    return {name: {key: one for key, one in clean.items() if key in parts}} if isinstance(clean, dict) else {}


def _without(value: Any, at: str, personal: frozenset[str]) -> Any:
    """A value with what is personal in it hidden."""
    if not personal:
        return value
    if at in personal:
        return _HIDDEN
    if isinstance(value, dict):
        return {key: _without(one, f"{at}/{key}", personal) for key, one in value.items()}
    if isinstance(value, list):
        return [_without(one, f"{at}/*", personal) for one in value]
    return value


def _talk(record: Opened, private: Mapping[str, Any], allowed: Sequence[str]) -> dict[str, Any]:
    """What a model was told that no earlier call of it was, and what it said."""
    left: dict[str, Any] = {}
    if MESSAGES in allowed and "new" in private:
        left["input"] = [{"role": m["role"], "text": _said(m)} for m in private["new"]]
    reply = private.get("result")
    if record.kind in _OUTPUT and RESULT in allowed and isinstance(reply, dict):
        calls = [{"name": call["name"]} for call in reply.get("calls", ())]
        left["output"] = {"text": reply.get("text", ""), **({"calls": calls} if calls else {})}
    return left


def _said(message: Mapping[str, Any]) -> str:
    return f"<result of {message.get('name') or 'a tool'}>" if message["role"] == "tool" else str(message["text"])
