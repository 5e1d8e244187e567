"""The inert value that `@flow` makes of a plain async function `(run, input) -> output`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, NoReturn, Protocol, TypeVar, overload

from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.signature import hints_of, schema_for
from flyball.core.tool import Tool

I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741


class Flow(Generic[I, O]):
    """Deterministic code that awaits `run.*` steps and is replayed from the log after a crash."""

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, O]], action: Action, state: Any,
        ensures: Sequence[Tool[..., Any]], input: Any, output: Any,
    ) -> None:  # fmt: skip
        self.function = function
        self.name = action.name
        self.action = action
        self.state = state
        self.ensures = tuple(ensures)
        self.input: Any = input
        self.output: Any = output
        self.__module__ = function.__module__

    def __call__(self, *_: object, **__: object) -> NoReturn:
        """Refuses: a flow is started by the runtime only."""
        raise FlyballError(
            "flow_called", f"{self.name} is a flow, not a function",
            fix=f"await app.run({self.name}, input, by=...) or await run.flow({self.name}, input)",
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<flow {self.name}>"


class _Decorator(Protocol):
    def __call__(self, f: Callable[[Any, I], Coroutine[Any, Any, O]], /) -> Flow[I, O]: ...


@overload
def flow(f: Callable[[Any, I], Coroutine[Any, Any, O]], /) -> Flow[I, O]: ...
@overload
def flow(
    *, name: str | None = None, state: type = type(None), ensures: Sequence[Tool[..., Any]] = ()
) -> _Decorator: ...
def flow(
    f: Any = None, /, *, name: str | None = None, state: Any = type(None), ensures: Sequence[Tool[..., Any]] = ()
) -> Any:
    """Makes a flow. `state` is the type of `run.state`, made without arguments; `ensures` names tools without whose
    committed outcome the run cannot complete (`claim_unproven`)."""

    def decorate(function: Callable[..., Coroutine[Any, Any, Any]]) -> Flow[Any, Any]:
        if not inspect.iscoroutinefunction(function):
            raise FlyballError("bad_flow", f"{function.__name__} is not async", fix="async def f(run: Run, input: I)")
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) != 2:
            raise FlyballError("bad_flow", f"{function.__name__} takes {len(parameters)} arguments", "a flow takes two",
                               "async def f(run: Run, input: I) -> O; put several values into a dataclass")  # fmt: skip
        for t in ensures:
            if not isinstance(t, Tool):
                raise FlyballError("bad_ensures", f"{t!r} is no tool", fix="name the tool value itself")
        hints = hints_of(function)
        kind, output = hints.get(parameters[1].name, Any), hints.get("return", Any)
        action = Action(
            name=name or function.__name__, kind="flow", effect="read", egress=False, timeout_ms=0,
            input_schema=schema_for(kind), output_schema=schema_for(output),
            description=(function.__doc__ or "").strip(),
        )  # fmt: skip
        return Flow(function, action, state, ensures, kind, output)

    return decorate if f is None else decorate(f)
