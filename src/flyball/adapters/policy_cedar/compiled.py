"""A loaded bundle: what is asked of it is checked first, then put to Cedar.

Rules:

* Principal, resource and every parent that is named must be in the slice, each once: a missing one makes hierarchy
  conditions silently false (`entity_unresolved`).
* Entities are always parsed under the schema; without it action groups would be unknown and group forbids never fire.
* Text that policy reads as a digest only, and that one of the policies would match by a pattern, is an error.
* Answers name policies as `layer/id`. Nothing here raises.
* What was asked before is answered as before: a key is all that Cedar is given, byte for byte (`remembered`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import cedarpy
import msgspec
import orjson

from flyball.adapters.policy_cedar.encode import Unencodable, context_json, entities_json
from flyball.adapters.policy_cedar.evaluate import evaluate
from flyball.adapters.policy_cedar.remembered import Remembered
from flyball.adapters.policy_cedar.shape import Policy
from flyball.adapters.policy_cedar.slices import Slice, Slices, slices
from flyball.core.guard import Signal
from flyball.core.policy import Answer, Bundle, Node, Request, Uid

NOT_LOOKED: Final = msgspec.to_builtins(Signal())
REMEMBERED: Final = 512
ANSWERS: Final = 2_048
LONGEST_CONTEXT: Final = 2_048
"""Characters of a context whose answer is remembered: what is longer hardly comes twice."""


class _Slice(NamedTuple):
    """Entities that were checked and parsed. `nodes`: the very tuple, held so that none other gets its identity."""

    nodes: tuple[Node, ...]
    present: frozenset[Uid]
    raw: bytes
    parsed: cedarpy.Entities


_Asked = tuple[int, str, Uid, Uid, bytes, str]


class CedarCompiled:
    """One bundle, ready to evaluate. Safe to share between threads: what it remembers is keyed by its whole content."""

    def __init__(self, bundle: Bundle, policies: Sequence[Policy], schema: Mapping[str, Any]) -> None:
        self._bundle = bundle
        self._schema = cedarpy.Schema.from_json_str(orjson.dumps(schema).decode(), release_gil=True)
        self._slices = slices(policies, bundle.shadow, schema)
        types = schema[""]["entityTypes"]
        self._attributes = {name: kind["shape"]["attributes"] for name, kind in types.items()}
        self._entities: Remembered[bytes, cedarpy.Entities] = Remembered(REMEMBERED)
        self._known: Remembered[int, _Slice] = Remembered(REMEMBERED)
        self._answers: Remembered[_Asked, Answer] = Remembered(ANSWERS)

    @property
    def bundle(self) -> Bundle:
        """What was compiled."""
        return self._bundle

    def evaluate(self, request: Request) -> Answer:
        """All policies of the bundle, shadowed ones excepted."""
        found = self._slices.get(request.action)
        return self._answer(request, found, found.full) if found else _unknown(request)

    def evaluate_plain(self, request: Request) -> Answer:
        """Permits and plain forbids only."""
        found = self._slices.get(request.action)
        return self._answer(request, found, found.plain) if found else _unknown(request)

    def evaluate_shadow(self, request: Request) -> Answer:
        """All policies, shadowed ones included."""
        found = self._slices.get(request.action)
        return self._answer(request, found, found.shadow) if found else _unknown(request)

    def _answer(self, request: Request, action: Slices, chosen: Slice) -> Answer:
        known = self._known.get(id(request.entities))
        if known is None or not {request.principal, request.resource} <= known.present:
            unresolved = _unresolved(request)
            if unresolved:
                return _refused(f"entity_unresolved: {unresolved}")
        hidden = chosen.matched.intersection(request.context.get("digested", ()))
        if hidden:
            return _refused(f"text_too_long: a policy matches {min(hidden)} by a pattern, but it is read as a digest")
        try:
            context = self._context(request, action)
            entities = known or self._slice(request.entities)
        except Unencodable as bad:
            return _refused(f"request_invalid: {bad}")
        asked = (id(chosen), request.action, request.principal, request.resource, entities.raw, context)
        return self._answers.get(asked) or self._evaluated(asked, action, chosen, entities)

    def _context(self, request: Request, action: Slices) -> str:
        if action.guards or "guard" in request.context:
            request = _with_guards(request, action.guards)
        run = request.context.get("run")
        if isinstance(run, Mapping) and run.get("signals"):
            request = _with_signals(request, run, action.signals)
        quick = action.quick.text({**request.context, "approvals": sorted(request.approvals)})
        return context_json(request, action.declared, action.read) if quick is None else quick

    def _evaluated(self, asked: _Asked, action: Slices, chosen: Slice, entities: _Slice) -> Answer:
        _, word, principal, resource, _, context = asked
        who = (principal, Uid("Action", word), resource)
        answer = evaluate(chosen.policies, action.schema, entities.parsed, who, context)
        prefix = f"{self._bundle.layer}/"
        named = tuple([prefix + name for name in answer.determining])
        answer = Answer(allow=answer.allow, determining=named, errors=answer.errors)
        return self._answers.keep(asked, answer) if len(context) <= LONGEST_CONTEXT else answer

    def _slice(self, nodes: tuple[Node, ...]) -> _Slice:
        raw = entities_json(nodes, self._attributes)
        made = _Slice(nodes, frozenset([node.uid for node in nodes]), raw, self._parsed(raw))
        return self._known.keep(id(nodes), made)

    def _parsed(self, raw: bytes) -> cedarpy.Entities:
        known = self._entities.get(raw)
        if known is not None:
            return known
        try:
            return self._entities.keep(raw, cedarpy.Entities.from_json_str(raw.decode(), self._schema))
        except ValueError as bad:
            raise Unencodable(f"entities: {bad}") from bad


def _with_guards(request: Request, guards: Sequence[str]) -> Request:
    """Of guards a bundle reads those that it was compiled for; one that did not look has said nothing."""
    context = dict(request.context)
    said = context.pop("guard", {})
    if guards:
        context["guard"] = {name: said.get(name, NOT_LOOKED) for name in guards}
    return msgspec.structs.replace(request, context=context)


def _with_signals(request: Request, run: Mapping[str, Any], signals: frozenset[str]) -> Request:
    """Of signals a bundle reads those that it was compiled for."""
    if not isinstance(run["signals"], Mapping):
        return request
    given = {name: value for name, value in run["signals"].items() if name in signals}
    return msgspec.structs.replace(request, context={**request.context, "run": {**run, "signals": given}})


def _unknown(request: Request) -> Answer:
    return _refused(f"action_unknown: {request.action}")


def _refused(error: str) -> Answer:
    return Answer(allow=False, errors=(error,))


def _unresolved(request: Request) -> str:
    present = {node.uid for node in request.entities}
    needed = [request.principal, request.resource, *(p for node in request.entities for p in node.parents)]
    for uid in needed:
        if uid not in present:
            return f"{uid.type}::{uid.id}"
    return "an entity stands twice" if len(present) < len(request.entities) else ""
