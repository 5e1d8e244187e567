"""The socket for a policy engine: checks a source, loads a bundle, evaluates one request.

An engine never raises for a request that it cannot evaluate: it answers `allow=False` with the error. Whoever adds one
runs `flyball.testing.conformance.policy` on it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from flyball.core.effect import Action
from flyball.core.policy import Answer, Bundle, Request, Source


class Compiled(Protocol):
    """A loaded bundle, ready to evaluate."""

    @property
    def bundle(self) -> Bundle:
        """What was compiled."""
        ...

    def evaluate(self, request: Request) -> Answer:
        """All policies of the bundle, shadowed ones excepted."""
        ...

    def evaluate_plain(self, request: Request) -> Answer:
        """Permits and plain (incurable) forbids only."""
        ...

    def evaluate_shadow(self, request: Request) -> Answer:
        """All policies, shadowed ones included: what would be decided if they were enforced."""
        ...


class PolicyEngine(Protocol):
    """Compiles policy sources against the actions of a project."""

    def compile(
        self, source: Source, actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]
    ) -> Compiled:
        """Checks every rule of shape and type; raises PolicyError carrying all findings.

        `entities`: type -> attribute -> JSON schema, or "string", "integer", "number", "boolean", "entity:Type", each
        with `[]` for a set; an attribute's name ends in `?` where it may be absent. What is not declared is refused, in
        policies and in what is evaluated; an empty mapping is a type without attributes.
        """
        ...

    def load(self, bundle: Bundle) -> Compiled:
        """Compiles a bundle from its canonical content again; raises PolicyError where the content is not its digest.

        Layer, name, digest and content are enough; where ids are given too, all that is derived must agree.
        """
        ...

    def schema(self, actions: Sequence[Action], entities: Mapping[str, Mapping[str, object]]) -> str:
        """The generated schema, for people."""
        ...

    def draft(self, action: Action) -> tuple[str, str]:
        """A first policy for a tool, and a `*.test.toml` case that passes under it."""
        ...
