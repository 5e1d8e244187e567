"""The inert value that `@tool` makes: not callable, does nothing at import, found by the project naming its module."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, Protocol, TypeVar, get_args, overload

from flyball.core.budget import micro_dollars
from flyball.core.call import Call
from flyball.core.effect import (
    REQUIRES,
    Action,
    Effect,
    Idempotency,
    Isolation,
    Key,
    Retry,
    Risk,
    parse_rate,
    precondition_of,
)
from flyball.core.errors import FlyballError
from flyball.core.signature import Signature, signature_of

P = ParamSpec("P")
R = TypeVar("R")


class Tool(Generic[P, R]):
    """A function that acts on the world, with what it declares about itself. `function` is the bare function."""

    def __init__(self, function: Callable[..., Any], action: Action, signature: Signature) -> None:
        self.function: Callable[Concatenate[Call, P], R | Awaitable[R]] = function
        self.name = action.name
        self.action = action
        self.signature = signature
        self.undo_function: Callable[..., Awaitable[None]] | None = None
        self.probe_function: Callable[..., Awaitable[R | None]] | None = None
        self.requires_function: Callable[..., Awaitable[str | None]] | None = None
        self.precondition: Action | None = None

    def undo(self, f: Callable[Concatenate[Call, R, P], Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        """Declares how one effect is undone: gets the result, then the same arguments."""
        self.undo_function = f
        return f

    def probe(self, f: Callable[Concatenate[Call, P], Awaitable[R | None]]) -> Callable[..., Awaitable[R | None]]:
        """Declares how to ask whether it happened: the result where it did, None where it did not."""
        self.probe_function = f
        return f

    def requires(
        self, f: Callable[Concatenate[Call, P], Awaitable[str | None]]
    ) -> Callable[..., Awaitable[str | None]]:
        """Declares a precondition: a reason where it is not met. A read of its own, called `NAME.requires`: made before
        a person is asked to approve the call, and again at execution."""
        self.requires_function, self.precondition = f, precondition_of(self.action)
        return f

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuses: a tool is reached through the path only."""
        raise FlyballError(
            "tool_called",
            f"{self.name} is a tool, not a function",
            "a direct call would pass by policy, budget and evidence",
            f"await run.call({self.name}, ...) in a flow; {self.name}.function(call, ...) in a unit test",
        )

    def __repr__(self) -> str:
        return f"<tool {self.name} {self.action.effect}>"


class _Decorator(Protocol):
    # Coroutine first: from the union alone mypy infers Never for R.
    @overload
    def __call__(self, f: Callable[Concatenate[Call, P], Coroutine[Any, Any, R]], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, f: Callable[Concatenate[Call, P], R], /) -> Tool[P, R]: ...


def tool(
    *,
    effect: Effect,
    name: str | None = None,
    egress: bool = False,
    idempotency: Idempotency | Key = "none",
    risk: Risk = "low",
    timeout: timedelta = timedelta(seconds=30),
    retry: Retry = Retry(),
    cost: str | Decimal = "0",
    rate: str | None = None,
    credentials: Sequence[str] = (),
    isolation: Isolation = "none",
) -> _Decorator:
    """Makes a tool of a function whose first parameter is `call: Call`.

    `effect` what it does to the world; `egress` whether anything leaves the trust boundary; `idempotency` "key",
    "probe", "none" or `Key(...)`; `timeout` of one attempt; `cost` of one call in dollars; `rate` such as "10/s" per
    tenant; `credentials` the secrets it may ask for; `isolation` the least level that it may run at.
    """
    key = idempotency if isinstance(idempotency, Key) else Key()
    how = "key" if isinstance(idempotency, Key) else idempotency
    said = (
        ("effect", effect, Effect),
        ("idempotency", how, Idempotency),
        ("risk", risk, Risk),
        ("isolation", isolation, Isolation),
    )
    for word, value, known in said:
        if value not in get_args(known):
            raise FlyballError(f"bad_{word}", f"{word}={value!r}", fix=f"use one of {', '.join(get_args(known))}")
    if timeout < timedelta(milliseconds=1):
        raise FlyballError("bad_timeout", f"timeout={timeout!r}", "a call needs some time", "timedelta(seconds=30)")

    def decorate(f: Callable[..., Any]) -> Tool[Any, Any]:
        if inspect.isgeneratorfunction(f) or inspect.isasyncgenfunction(f):
            raise FlyballError("bad_signature", f"{f.__name__} yields", "a tool returns one result", "return a list")
        signature = signature_of(f)
        action = Action(
            name=name or f.__name__, effect=effect, egress=egress, idempotency=how, key=key, risk=risk,
            timeout_ms=timeout // timedelta(milliseconds=1), retry=retry, cost=micro_dollars(cost),
            rate=parse_rate(rate) if rate else None, credentials=tuple(credentials), isolation=isolation,
            input_schema=signature.input_schema, output_schema=signature.output_schema, critical=signature.critical,
            outgoing=signature.outgoing, refs=signature.refs, schema_digest=signature.digest,
            description=(f.__doc__ or "").strip(),
        )  # fmt: skip
        if action.precondition:
            why = f"a name that ends in {REQUIRES} is that of a tool's precondition"
            raise FlyballError("bad_name", f"a tool cannot be called {action.name}", why, "Choose another name.")
        if key.business and key.business not in signature.names:
            raise FlyballError("bad_key", f"{action.name} has no argument {key.business!r} for its business key")
        return Tool(f, action, signature)

    return decorate
