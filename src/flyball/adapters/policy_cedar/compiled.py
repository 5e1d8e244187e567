"""A loaded bundle: what is asked of it is checked first, then put to Cedar.

Rules:

* Principal, resource and every parent that is named must be in the slice, each once: a missing one makes hierarchy
  conditions silently false (`entity_unresolved`).
* Entities are always parsed under the schema; without it action groups would be unknown and group forbids never fire.
* Text that policy reads as a digest only, and that one of the policies would match by a pattern, is an error.
* Answers name policies as `layer/id`. Nothing here raises.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import cedarpy
import orjson

from flyball.adapters.policy_cedar.encode import Unencodable, context_json, entities_json
from flyball.adapters.policy_cedar.evaluate import evaluate
from flyball.adapters.policy_cedar.shape import Policy
from flyball.adapters.policy_cedar.slices import Slice, Slices, slices
from flyball.core.policy import Answer, Bundle, Request, Uid

REMEMBERED: Final = 512


class CedarCompiled:
    """One bundle, ready to evaluate. Safe to share between threads: what it remembers is keyed by its whole content."""

    def __init__(self, bundle: Bundle, policies: Sequence[Policy], schema: Mapping[str, Any]) -> None:
        self._bundle = bundle
        self._schema = cedarpy.Schema.from_json_str(orjson.dumps(schema).decode(), release_gil=True)
        self._slices = slices(policies, bundle.shadow, schema)
        types = schema[""]["entityTypes"]
        self._attributes = {name: kind["shape"]["attributes"] for name, kind in types.items()}
        self._entities: OrderedDict[bytes, cedarpy.Entities] = OrderedDict()

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
        unresolved = _unresolved(request)
        if unresolved:
            return _refused(f"entity_unresolved: {unresolved}")
        hidden = chosen.matched.intersection(request.context.get("digested", ()))
        if hidden:
            return _refused(f"text_too_long: a policy matches {min(hidden)} by a pattern, but it is read as a digest")
        try:
            context = context_json(request, action.declared, action.read)
            entities = self._parsed(entities_json(request.entities, self._attributes))
        except Unencodable as bad:
            return _refused(f"request_invalid: {bad}")
        who = (request.principal, Uid("Action", request.action), request.resource)
        answer = evaluate(chosen.policies, action.schema, entities, who, context)
        prefix = f"{self._bundle.layer}/"
        named = tuple([prefix + name for name in answer.determining])
        return Answer(allow=answer.allow, determining=named, errors=answer.errors)

    def _parsed(self, raw: bytes) -> cedarpy.Entities:
        known = self._entities.get(raw)
        if known is not None:
            return known
        try:
            parsed = cedarpy.Entities.from_json_str(raw.decode(), self._schema)
        except ValueError as bad:
            raise Unencodable(f"entities: {bad}") from bad
        self._entities[raw] = parsed
        while len(self._entities) > REMEMBERED:
            self._entities.popitem(last=False)
        return parsed


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
