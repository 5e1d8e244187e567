"""Reach: how a running call gets at open resources, secrets and listeners; opened once per scope, closed in order.

A tool asks with `call.get(resource)`, which does not wait, so the resources a function names are opened before it runs:
they are found in its code. What only turns up at run time is opened on the spot if that needs no waiting.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from flyball.core.artifact import Shelf
from flyball.core.call import Resource, Secret, Tenant, Use
from flyball.core.errors import FlyballError

T = TypeVar("T")
Heard = Callable[[str, float | None], None]


def resources_of(functions: Iterable[Callable[..., Any]]) -> Iterator[Resource[Any]]:
    """The resources that functions name as globals or closures, through the plain functions they call."""
    seen: set[int] = set()
    queue = list(functions)
    while queue:
        function = queue.pop()
        code = getattr(function, "__code__", None)
        if code is None or id(code) in seen:
            continue
        seen.add(id(code))
        for value in _named(function, code):
            if isinstance(value, Resource):
                yield value
            elif isinstance(value, types.FunctionType):
                queue.append(value)


def _named(function: Callable[..., Any], code: types.CodeType) -> Iterator[Any]:
    known = getattr(function, "__globals__", {})
    codes = [code]
    while codes:
        one = codes.pop()
        codes += [c for c in one.co_consts if isinstance(c, types.CodeType)]
        yield from (known[name] for name in one.co_names if name in known)
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:
            continue


class Resources:
    """What is open, by scope. One per process; `close` closes in the reverse order of opening."""

    def __init__(self, tenants: Callable[[str], Tenant], uses: Iterable[Use[Any]] = ()) -> None:
        self._tenants = tenants
        self._given = {id(use.resource): use.value for use in uses}
        self._open: dict[tuple[int, str], Any] = {}
        self._wanted: dict[tuple[Callable[..., Any], ...], tuple[Resource[Any], ...]] = {}
        self._stack = AsyncExitStack()
        self._opening: dict[tuple[int, str], asyncio.Lock] = {}

    def stood_in(self, resource: Resource[Any]) -> bool:
        """Does something else stand for this resource (`use`)?"""
        return id(resource) in self._given

    def wanted(self, functions: tuple[Callable[..., Any], ...]) -> tuple[Resource[Any], ...]:
        """The resources that these functions name, looked for once while the project is open."""
        if functions not in self._wanted:
            self._wanted[functions] = tuple(resources_of(functions))
        return self._wanted[functions]

    async def ready(
        self, wanted: Iterable[Resource[Any]], tenant: str, stack: AsyncExitStack, seconds: float | None = None
    ) -> dict[int, Any]:
        """The open values of these resources by identity; call-scoped ones live on `stack`. Raises TimeoutError where
        they are not open after so many seconds."""
        found, closed, opening = dict[int, Any](), dict[int, Resource[Any]](), ""
        for resource in wanted:
            if id(resource) in self._given:
                found[id(resource)] = self._given[id(resource)]
            elif _key(resource, tenant) in self._open:
                found[id(resource)] = self._open[_key(resource, tenant)]
            else:
                closed[id(resource)] = resource  # two functions of a tool may name one
        within = asyncio.timeout(seconds if closed else None)
        try:
            async with within:
                for resource in closed.values():
                    opening = resource.name
                    found[id(resource)] = await self._opened(resource, tenant, stack)
        except TimeoutError as late:
            if not within.expired():
                raise
            raise TimeoutError(f"{opening} is not open after {seconds:g} s") from late
        return found

    async def _opened(self, resource: Resource[T], tenant: str, stack: AsyncExitStack) -> T:
        if resource.scope == "call":
            return await stack.enter_async_context(_opened(resource, self._tenants(tenant)))
        key = _key(resource, tenant)
        async with self._opening.setdefault(key, asyncio.Lock()):  # one that is slow holds up nobody else's
            if key not in self._open:
                # What all tenants share must not be opened with the settings and secrets of whoever came first.
                manager = _opened(resource, self._tenants(key[1]))
                self._open[key] = await self._stack.enter_async_context(manager)
        return self._open[key]  # type: ignore[no-any-return]

    def at_once(self, resource: Resource[T], tenant: str) -> T:
        """The value if it is open, or can be opened without waiting; raises FlyballError where it cannot."""
        if id(resource) in self._given:
            return self._given[id(resource)]  # type: ignore[no-any-return]
        key = _key(resource, tenant)
        if key in self._open:
            return self._open[key]  # type: ignore[no-any-return]
        raise FlyballError(
            "resource_not_open", f"resource {resource.name} is not open",
            "it is not named in the function's own code, so it could not be opened before the call",
            f"write call.get({resource.name}) in the tool itself",
        )  # fmt: skip

    async def close(self) -> None:
        """Closes everything, last opened first."""
        await self._stack.aclose()


def _key(resource: Resource[Any], tenant: str) -> tuple[int, str]:
    return id(resource), tenant if resource.scope == "tenant" else ""


@asynccontextmanager
async def _opened(resource: Resource[T], tenant: Tenant) -> AsyncIterator[T]:
    iterator = resource.function(tenant)
    try:
        value = await anext(iterator)
    except StopAsyncIteration:
        raise FlyballError("bad_resource", f"resource {resource.name} yielded nothing") from None
    try:
        yield value
    finally:
        # Running on past the yield is what closes it.
        async for _ in iterator:
            raise FlyballError("bad_resource", f"resource {resource.name} yielded twice")


def no_shelf() -> Shelf:
    """Where there is no way to the log: raises FlyballError `artifacts_elsewhere`."""
    what, why = "artifacts are not reached from here", "a process of its own has no way to the log"
    raise FlyballError("artifacts_elsewhere", what, why, "read or keep the file in a tool without isolation")


class CallReach:
    """What one call may reach."""

    def __init__(
        self, found: Mapping[int, Any], resources: Resources, tenant: str, tenants: Callable[[str], Tenant],
        secrets: tuple[str, ...], heard: Heard, shelf: Callable[[], Shelf] = no_shelf,
    ) -> None:  # fmt: skip
        self._found, self._resources, self._tenant, self._tenants = found, resources, tenant, tenants
        self._secrets, self._heard, self._shelf = secrets, heard, shelf

    def get(self, resource: Resource[T], /) -> T:
        """The open resource."""
        if id(resource) in self._found:
            return self._found[id(resource)]  # type: ignore[no-any-return]
        return self._resources.at_once(resource, self._tenant)

    def secret(self, name: str, /) -> Secret:
        """A secret that the tool declared."""
        if name not in self._secrets:
            raise FlyballError(
                "undeclared_secret", f"the tool did not declare the secret {name!r}", fix=f'credentials=["{name}"]'
            )
        return self._tenants(self._tenant).secret(name)

    @property
    def artifacts(self) -> Shelf:
        """Where files are put and gotten."""
        return self._shelf()

    def progress(self, message: str, done: float | None, /) -> None:
        """Tells whoever watches."""
        self._heard(message, done)
