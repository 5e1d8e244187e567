"""What a tool, entity, probe or precondition is handed as its first argument: the call it is part of.

`Reach` is how a call reaches resources, secrets and listeners; the runtime supplies it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, Protocol, TypeVar

import msgspec

from flyball.core.artifact import Shelf
from flyball.core.identity import Principal
from flyball.core.span import span_id, trace_id, traceparent

T = TypeVar("T")
Scope = Literal["process", "tenant", "call"]


class Secret:
    """A handle to a secret. `reveal()` gives its text to the tool; nothing else ever prints it."""

    __slots__ = ("_text", "name")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text

    def reveal(self) -> str:
        """The secret's text, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        return f"<secret {self.name}>"

    __str__ = __repr__

    def __reduce__(self) -> Any:
        raise TypeError(f"secret {self.name} does not leave the process")


class Tenant(msgspec.Struct, frozen=True):
    """A tenant as a resource sees it: its name, its settings from the configuration, its secrets."""

    id: str
    settings: Mapping[str, Any] = {}
    secrets: Callable[[str], Secret] | None = None

    def secret(self, name: str) -> Secret:
        """The named secret; raises LookupError where the configuration has none."""
        if self.secrets is None:
            raise LookupError(name)
        return self.secrets(name)


class Resource(Generic[T]):
    """A connection or client, opened when first needed, once per scope, closed in order. An inert value."""

    def __init__(self, function: Callable[[Tenant], AsyncIterator[T]], scope: Scope) -> None:
        self.function = function
        self.scope = scope
        self.name = function.__name__
        self.__module__ = function.__module__

    def use(self, value: T) -> Use[T]:
        """For tests: this resource is that value."""
        return Use(self, value)

    def __repr__(self) -> str:
        return f"<resource {self.name} per {self.scope}>"


class Use(Generic[T]):
    """A resource and the value that stands for it in a test."""

    def __init__(self, resource: Resource[T], value: T) -> None:
        self.resource = resource
        self.value = value


class _ResourceDecorator(Protocol):
    def __call__(self, f: Callable[[Tenant], AsyncIterator[T]], /) -> Resource[T]: ...


def resource(*, scope: Scope = "process") -> _ResourceDecorator:
    """Makes a resource of an async generator that yields the open thing once and closes it afterwards."""

    def decorate(f: Callable[[Tenant], AsyncIterator[T]]) -> Resource[T]:
        return Resource(f, scope)

    return decorate


class Reach(Protocol):
    """How a call reaches what it may use."""

    def get(self, resource: Resource[T], /) -> T:
        """The open thing of a resource."""
        ...

    def secret(self, name: str, /) -> Secret:
        """The secret that the project's configuration names so."""
        ...

    @property
    def artifacts(self) -> Shelf:
        """Where files are put and gotten."""
        ...

    def progress(self, message: str, done: float | None, /) -> None:
        """Tells listeners how far the call is; `done` from 0 to 1."""
        ...


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call: its idempotency `key`, who acts, in which tenant and run, which attempt, until when.

    `path` is where its step stands in the run, `trace` the trace that its caller said, empty for the run's own.
    """

    key: str
    principal: Principal
    tenant: str
    run: str | None
    attempt: int
    deadline: datetime
    reach: Reach
    path: str = ""
    trace: str = ""

    @property
    def traceparent(self) -> str:
        """The W3C header that says where what this call does elsewhere belongs: beneath the span of this attempt."""
        run = self.run or ""
        return traceparent(self.trace or trace_id(self.tenant, run), span_id(self.tenant, run, self.path, self.attempt))

    def get(self, resource: Resource[T]) -> T:
        """The open resource."""
        return self.reach.get(resource)

    def secret(self, name: str) -> Secret:
        """A declared secret as a handle; its text never enters arguments, logs, prompts or the ledger."""
        return self.reach.secret(name)

    @property
    def artifacts(self) -> Shelf:
        """Where files are put, sealed, and gotten by their values: `await call.artifacts.get(file)`."""
        return self.reach.artifacts

    def progress(self, message: str, done: float | None = None) -> None:
        """Tells whoever watches; never recorded. `done` is a share from 0 to 1."""
        self.reach.progress(message, done)
