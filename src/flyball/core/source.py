"""The inert value that `@source` makes: a named, governed read whose passages become part of what an agent knows."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from flyball.core.call import Call
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.signature import signature_of

I = TypeVar("I")  # noqa: E741 - the API's name
# From what anybody may read to what only few may: data is as sensitive as the most sensitive part of it.
SENSITIVITIES: Final = ("public", "internal", "confidential", "restricted")


class Passage(msgspec.Struct, frozen=True):
    """One piece of what a source knows. `ref` says where it stands in the system of record, `as_of` of when it is.

    `trusted` overrides what the source says of itself. `tenant` is whose it is where the system of record says so: a
    passage of another tenant refuses the whole source.
    """

    text: str
    ref: str
    as_of: datetime | None = None
    trusted: bool | None = None
    tenant: str = ""


class Source(Generic[I]):
    """A part of an agent's context, read afresh when the agent starts; `function` is the bare function."""

    def __init__(
        self, function: Callable[[Call, I], Awaitable[Sequence[Passage]]], *, tokens: int, max_age: timedelta | None,
        required: bool, sensitivity: str, trusted: bool, name: str = "",
    ) -> None:  # fmt: skip
        self.function = function
        self.name: str = name or getattr(function, "__name__", repr(function))
        self.tokens, self.max_age, self.required = tokens, max_age, required
        self.sensitivity, self.trusted = sensitivity, trusted
        self.signature = signature_of(function)
        self.action = Action(
            name=self.name, kind="context", effect="read", egress=False, input_schema=self.signature.input_schema,
            schema_digest=self.signature.digest, description=(function.__doc__ or "").strip(),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<source {self.name} {self.sensitivity}>"


class _Decorator(Protocol):
    def __call__(self, f: Callable[[Call, I], Awaitable[Sequence[Passage]]], /) -> Source[I]: ...


def source(
    *,
    tokens: int,
    max_age: timedelta | None = None,
    required: bool = True,
    sensitivity: str = "internal",
    trusted: bool = False,
) -> _Decorator:
    """Makes a source of an async function of `call` and the agent's input that returns passages, the best ones first.

    `tokens`: what its passages may take of the context (see `core.context.tokens_of`); `max_age`: how old a passage may
    be; `required`: without it the agent does not start (`context_incomplete`, `context_stale`); `sensitivity`: one of
    public, internal, confidential, restricted; `trusted`: the system of record vouches for every passage.
    """
    check_source(tokens=tokens, max_age=max_age, sensitivity=sensitivity)

    def decorate(f: Callable[[Call, I], Awaitable[Sequence[Passage]]]) -> Source[I]:
        if not inspect.iscoroutinefunction(f):
            raise FlyballError(
                "bad_source", f"{f!r} is no async function", fix="async def, returning a list of passages"
            )
        made = Source(f, tokens=tokens, max_age=max_age, required=required, sensitivity=sensitivity, trusted=trusted)
        if len(made.signature.names) != 1:
            raise FlyballError(
                "bad_source",
                f"{f.__name__} takes {len(made.signature.names)} arguments after `call`",
                "a source is asked with the agent's input",
                "async def NAME(call: Call, input: INPUT)",
            )
        return made

    return decorate


def check_source(*, tokens: int, max_age: timedelta | None, sensitivity: str) -> None:
    """Refuses (FlyballError `bad_source`) limits and labels that no source can have."""
    if type(tokens) is not int or tokens < 1:
        raise FlyballError("bad_source", f"tokens={tokens!r}", "a source needs room for a passage", "tokens=800")
    if max_age is not None and max_age <= timedelta(0):
        raise FlyballError("bad_source", f"max_age={max_age!r}", "nothing is that fresh", "timedelta(hours=1), or None")
    if sensitivity not in SENSITIVITIES:
        fix = f"use one of {', '.join(SENSITIVITIES)}"
        raise FlyballError("bad_source", f"sensitivity={sensitivity!r}", "it is not known how sensitive that is", fix)


def highest(sensitivities: Sequence[str]) -> str:
    """The label of data that holds all of these; what is nowhere labelled is public."""
    return max(sensitivities, key=SENSITIVITIES.index, default=SENSITIVITIES[0])
