"""Business objects for policy: loaded from their system of record when an argument names one with `Ref`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from flyball.core.call import Call
from flyball.core.policy import Uid


class Entity(msgspec.Struct, frozen=True):
    """What a loader returns: attributes that policies may read, parents (`Type::"id"` pairs), how fresh it is."""

    attrs: Mapping[str, Any]
    parents: Sequence[tuple[str, str]] = ()
    as_of: datetime | None = None

    def uids(self) -> tuple[Uid, ...]:
        """The parents as uids."""
        return tuple(Uid(kind, name) for kind, name in self.parents)


class EntityType:
    """The inert value that `@entity("Customer")` makes of a loader. `attributes` are JSON types by name."""

    def __init__(
        self, name: str, function: Callable[[Call, str], Awaitable[Entity]], attributes: Mapping[str, Any]
    ) -> None:
        self.name, self.function, self.attributes = name, function, attributes

    def __repr__(self) -> str:
        return f"<entity {self.name}>"


class _Decorator(Protocol):
    def __call__(self, f: Callable[[Call, str], Awaitable[Entity]], /) -> EntityType: ...


def entity(name: str, *, attributes: Mapping[str, Any] | None = None) -> _Decorator:
    """Makes an entity type. `attributes` maps names (`"?"` behind one that may be absent) to "string", "integer",
    "number", "boolean" or "entity:Type", with "[]" behind a set, so that policies type-check; an attribute that is not
    declared is refused when it is loaded."""

    def decorate(f: Callable[[Call, str], Awaitable[Entity]]) -> EntityType:
        return EntityType(name, f, attributes or {})

    return decorate
