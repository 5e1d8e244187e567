"""A policy engine that remembers what it compiled: hundreds of tests stand on the same few policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import msgspec

from flyball.app.plugs import adapter
from flyball.core.effect import Action
from flyball.core.policy import Bundle, Source
from flyball.ports.policy import Compiled, PolicyEngine

MOST_KEPT = 256


class RememberingEngine:
    """Implements `ports.policy.PolicyEngine` over another one."""

    def __init__(self, engine: PolicyEngine) -> None:
        self._engine = engine
        self._kept: dict[bytes, Compiled] = {}

    def compile(
        self, source: Source, actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]
    ) -> Compiled:
        """As the engine beneath; the same source for the same actions is compiled once."""
        key = msgspec.json.encode((source, list(actions), entities), order="sorted")
        if key not in self._kept:
            return self._keep(key, self._engine.compile(source, actions, entities))
        return self._kept[key]

    def load(self, bundle: Bundle) -> Compiled:
        """As the engine beneath; the same bundle is loaded once."""
        key = bundle.digest.encode() + bundle.content
        if key not in self._kept:
            return self._keep(key, self._engine.load(bundle))
        return self._kept[key]

    def schema(self, actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]) -> str:
        """As the engine beneath."""
        return self._engine.schema(actions, entities)

    def draft(self, action: Action) -> tuple[str, str]:
        """As the engine beneath."""
        return self._engine.draft(action)

    def _keep(self, key: bytes, compiled: Compiled) -> Compiled:
        while len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = compiled
        return compiled


@cache
def cedar() -> RememberingEngine:
    """Real Cedar, for every Lab of this process."""
    return RememberingEngine(adapter("policy.cedar")())
