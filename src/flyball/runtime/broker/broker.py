"""Broker: runs one attempt and says how it ended.

Rules (JOURNAL section 2):

* Before: the isolation asked for is there, the breaker is closed, the rate allows it.
* For an effect, any exception, timeout or cancellation after the call began is `unknown`, unless it raised `NotDone`.
* With `key` it may be called again; with `probe` it is asked; with `none` a person is asked. A read failed.
* A result that does not fit its type is `executed` with `result_invalid`: quarantined, never handed on.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from msgspec.structs import replace

from flyball.core.artifact import Shelf
from flyball.core.budget import Amounts, plus
from flyball.core.call import Call, Tenant
from flyball.core.canonical import check_tree
from flyball.core.effect import Isolation
from flyball.core.entity import Entity
from flyball.core.errors import FlyballError, recordable
from flyball.core.model import ModelError
from flyball.core.origin import untrusted
from flyball.core.outcome import REPLY_TOO_LARGE, Ended, call_key, own_amounts
from flyball.core.proposal import Notes, Performer, Place, Proposal, Ruled
from flyball.core.result import Blocked, NotDone
from flyball.core.signature import from_json, to_json
from flyball.ports.clock import Clock
from flyball.ports.sandbox import Sandbox
from flyball.runtime.broker.apart import Apart, Unfit
from flyball.runtime.broker.hide import Hidden
from flyball.runtime.broker.inside import code_of
from flyball.runtime.broker.left import Keep, Left, bounded, threaded
from flyball.runtime.broker.reach import CallReach, Heard, Resources, no_shelf
from flyball.runtime.broker.throttle import Throttle

Screen = Callable[[Proposal, Ended], Awaitable[Ended]]
Performing = Callable[[Proposal], Callable[..., Any]]
MAX_RESULT = 1_048_576
PROBE_SECONDS = 30.0
# The least time that resources get to open; a call may have more. Its own time begins once they are.
OPEN_SECONDS = 30.0
# A model that refuses one question, or says too much, is there all the same: it is no failure of its breaker.
_ANSWERED = ("model_bad_request", "model_reply_too_large")


class Broker:
    """Carries out what T1 allowed."""

    def __init__(
        self, clock: Clock, resources: Resources, tenants: Callable[[str], Tenant],
        heard: Callable[[str, str, str, str, float | None], None] = lambda *_: None, max_result: int = MAX_RESULT,
        hidden: Hidden | None = None, sandbox: Sandbox | None = None, screen: Screen | None = None,
        performing: Performing = lambda p: p.performer.perform, shelf: Callable[[Proposal], Shelf] | None = None,
    ) -> None:  # fmt: skip
        self._screen, self._performing, self._shelf = screen, performing, shelf
        self._clock, self._resources, self._tenants, self._heard = clock, resources, tenants, heard
        self._max_result, self._hidden = max_result, hidden or Hidden()
        self._throttle, self._left = Throttle(), Left()
        self._apart = Apart(sandbox, resources, tenants, max_result)

    def isolation(self, p: Proposal) -> Isolation:
        """The isolation that this call has, for its intent."""
        return self._apart.level(p)

    async def objection(self, ruled: Ruled) -> Blocked | None:
        """Why this attempt cannot run now although policy allows it; None where it can."""
        p = ruled.proposal
        action, tenant = p.action, p.place.tenant
        exposed = await self._apart.objection(p)
        if exposed is not None:
            return exposed
        now = self._clock.now()
        left = self.broken(p)
        if left:
            return Blocked("breaker_open", what=f"{action.name} failed repeatedly; it rests {left / 1e6:.0f} s more")
        most = action.timeout_ms * 1000
        wait = self._throttle.wait(tenant, action, now, most)
        if wait > most > 0:
            return Blocked("rate_limited", what=f"{action.name} is over its rate for {wait / 1e6:.0f} s")
        if wait:
            await self._clock.wait(now + wait)
        return None

    def broken(self, p: Proposal) -> int:
        """How long the breaker of what this attempt calls refuses it, in microseconds."""
        call, takes = f"{p.place.run}/{p.place.path}", p.action.timeout_ms * 1000
        return self._throttle.broken(p.place.tenant, _throttled(p), self._clock.now(), call, takes)

    def rests(self, p: Proposal) -> bool:
        """Is another way better now, where there is one: the breaker refuses it, or the provider asked to wait?"""
        rests = self._throttle.rests(p.place.tenant, _throttled(p), self._clock.now())
        return rests or self.broken(p) > 0

    async def perform(self, p: Proposal, arguments: Any) -> Ended:
        """One attempt, after T1. Never raises for what the tool does; cancellation and parking pass through."""
        seconds = p.action.timeout_ms / 1000 or None
        try:
            value = await self._inside(p, self._performing(p), arguments, seconds, partial(self._left.keep, p))
        except NotDone as told:
            ended = self._not_done(told)
        except ModelError as bad:
            ended = _model_ended(p, bad)
            ended = replace(ended, message=self._hidden.text(ended.message))
        except Unfit as bad:
            ended = self._misfit(str(bad), own_amounts(p))
        except Exception as bad:  # noqa: BLE001 - a station boundary: what a tool raises is an ending, classified below
            ended = self._lost(p, bad)
        except asyncio.CancelledError as bad:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            ended = self._lost(p, bad)  # nobody cancelled this run: something inside the tool was cancelled
        except BaseException as bad:  # a station boundary: an ending too, unless a flow parks or ends with it
            if p.performer.lasting or isinstance(bad, (KeyboardInterrupt, GeneratorExit)):
                raise
            ended = self._lost(p, bad)
        else:
            ended = self._checked(p, value)
        if self._screen is not None:
            ended = await self._screen(p, ended)
        if p.performer.lasting:
            return ended
        good, rest = ended.status == "executed" or ended.code in _ANSWERED, ended.retry_after_ms * 1000
        self._throttle.ended(p.place.tenant, _throttled(p), 0 if good else self._clock.now(), good=good, rest=rest)
        return ended if p.route is None else replace(ended, via=p.route.chosen)

    def _not_done(self, told: NotDone) -> Ended:
        after = int(told.retry_after.total_seconds() * 1000) if told.retry_after else 0
        message = self._hidden.recordable(str(told))
        return Ended(status="failed", code="not_done", message=message, certain=True, retry_after_ms=after)

    def _lost(self, p: Proposal, bad: BaseException) -> Ended:
        own = "internal_error" if p.performer.lasting else "tool_failed"
        code = code_of(bad) or own
        message = self._hidden.said(bad)
        status = "failed" if p.action.effect == "read" or p.performer.lasting else "unknown"
        usage = plus(own_amounts(p), p.performer.reserved or Amounts())
        return Ended(status=status, code=code, message=message, usage=usage)

    def _checked(self, p: Proposal, value: Any) -> Ended:
        """The value as data, checked against its type and size."""
        charge = own_amounts(p)
        signature = p.performer.signature
        try:
            data = to_json(value)
            check_tree(data, max_bytes=self._max_result)
            data = self._hidden.data(data)
            if signature is not None or p.performer.lasting:
                value = from_json(data, p.performer.returns if signature is None else signature.returns)
        except Exception as bad:  # noqa: BLE001 - a station boundary: a result may be of any class, with any methods
            large = p.action.kind == "model" and getattr(bad, "code", "") == "too_large"
            spent = plus(charge, p.performer.usage(value, p.attempt)) if large and p.performer.usage else charge
            return self._misfit(self._hidden.said(bad), spent, REPLY_TOO_LARGE if large else "result_invalid")
        usage = plus(charge, p.performer.usage(value, p.attempt)) if p.performer.usage else charge
        tainted = signature is not None and untrusted(data, signature.trusted)
        noted = p.performer.notes(value) if p.performer.notes is not None else Notes()
        code = "untrusted" if tainted else ""
        return Ended(status="executed", value=value, data=data, usage=usage, code=code, noted=noted)

    def _misfit(self, why: str, usage: Amounts, code: str = "result_invalid") -> Ended:
        message = self._hidden.recordable(f"the result does not fit: {why}")
        return Ended(status="executed", code=code, usage=usage, message=message, result_invalid=True)

    async def ask(self, p: Proposal) -> Ended | None:
        """The probe's answer: executed with its result, None where it says that it did not happen.

        A probe that fails says nothing: the outcome stays unknown. A call that was given up on and has ended since says
        so itself.
        """
        late = await self.late(p)
        if late is not None:
            return late
        if p.performer.probe is None:
            return Ended(status="unknown", code="no_probe", message="the tool cannot be asked whether it happened")
        try:
            value = await self._inside(p, p.performer.probe, p.arguments, PROBE_SECONDS)
        except Exception as bad:  # noqa: BLE001 - a station boundary: an unanswered question is not a no
            return Ended(status="unknown", code="probe_failed", message=self._hidden.said(bad))
        if value is None:
            return None
        ended = replace(self._checked(p, value), usage=own_amounts(p))
        return ended if self._screen is None else await self._screen(p, ended)

    def still(self, p: Proposal) -> bool:
        """May this attempt, which was given up on, still be at work here?"""
        return self._left.still(p)

    async def late(self, p: Proposal) -> Ended | None:
        """What an attempt that was given up on came to all the same; None where it says nothing."""
        work = self._left.ended(p)
        if work is None:
            return None
        try:
            ended = self._checked(p, work.result())
        except NotDone as told:
            ended = self._not_done(told)
        except BaseException:  # noqa: BLE001 - a station boundary: what it raised leaves its outcome unknown
            return None
        return ended if self._screen is None else await self._screen(p, ended)

    def follow(self, p: Proposal, keep: Callable[[Proposal, Ended], Awaitable[None]]) -> None:
        """Hands over what an attempt that was given up on comes to, once it ends."""
        if not self._left.any:
            return

        async def tell() -> None:
            late = await self.late(p)
            if late is not None:
                await keep(p, late)

        self._left.follow(p, tell)

    async def close(self) -> None:
        """What was given up on is given up for good."""
        await self._left.close()

    async def read(self, p: Proposal, argument: Any) -> Any:
        """A governed helper read for a decision: an entity loader. Raises FlyballError with what it raised."""
        try:
            found: Entity = await self._inside(p, p.performer.perform, argument, PROBE_SECONDS)
            return replace(found, attrs=self._hidden.data(found.attrs))
        except Exception as bad:  # a station boundary: whatever it raised, the object is unresolved
            raise FlyballError("entity_unresolved", self._hidden.said(bad)) from bad

    def _listener(self, place: Place) -> Heard:
        return lambda message, done: self._heard(
            place.tenant, place.run, place.path, self._hidden.recordable(message), done
        )

    async def _inside(
        self, p: Proposal, function: Callable[..., Any], arguments: Any, seconds: float | None,
        keep: Keep = lambda _: None,
    ) -> Any:  # fmt: skip
        """Calls a function of the tool with its resources open, the parsed arguments, and a time limit."""
        place, limit = p.place, self._clock.now() + int((seconds or 0) * 1_000_000)
        if seconds is not None and self._apart.wanted(p):
            return await self._apart.call(p, function, arguments, seconds, limit, self._listener(place))
        wanted = self._resources.wanted(p.performer.functions)
        if not wanted:
            return await self._timed(p, function, self._call(p, limit, {}), arguments, seconds, keep)
        async with AsyncExitStack() as stack:
            try:
                found = await self._resources.ready(wanted, place.tenant, stack, max(seconds or 0, OPEN_SECONDS))
            except Exception as bad:  # a station boundary: the call has not begun, whatever it raised
                raise NotDone(f"a resource could not be opened: {self._hidden.said(bad)}") from bad
            return await self._timed(p, function, self._call(p, limit, found), arguments, seconds, keep)

    def _call(self, p: Proposal, limit: int, found: Mapping[int, Any]) -> Call:
        place = p.place
        reach = CallReach(
            found, self._resources, place.tenant, self._tenants, p.action.credentials, self._listener(place),
            no_shelf if self._shelf is None else partial(self._shelf, p),
        )  # fmt: skip
        return Call(
            key=call_key(p), principal=p.authority.principal, tenant=place.tenant, run=place.run,
            attempt=p.attempt, deadline=datetime.fromtimestamp(limit / 1_000_000, UTC), reach=reach,
            path=place.path, trace=place.trace,
        )  # fmt: skip

    @staticmethod
    async def _timed(
        p: Proposal, function: Callable[..., Any], call: Call, arguments: Any, seconds: float | None, keep: Keep
    ) -> Any:
        work = _call(p.performer, function, call, arguments)
        if p.performer.signature is not None:
            return await bounded(work, seconds, keep)
        if seconds is None:
            return await work
        async with asyncio.timeout(seconds):
            return await work


async def _call(performer: Performer, function: Callable[..., Any], call: Call, arguments: Any) -> Any:
    try:
        return await _called(performer, function, call, arguments)
    except SystemExit as bad:  # a tool that calls exit ends its attempt, never the process
        raise RuntimeError(f"it called exit: {bad}") from bad


async def _called(performer: Performer, function: Callable[..., Any], call: Call, arguments: Any) -> Any:
    if performer.signature is None:
        given: Any = function(call, arguments)
        return await given if inspect.isawaitable(given) else given
    parsed = from_json(arguments, performer.signature.arguments)
    names = {name: getattr(parsed, name) for name in performer.signature.names}
    if _is_async(function):
        return await function(call, **names)
    return await threaded(function, call, names)


_is_async = lru_cache(maxsize=1024)(inspect.iscoroutinefunction)  # of the same few tools, at every call


def _throttled(p: Proposal) -> str:
    return f"model {p.resource.id}" if p.resource is not None and p.action.kind == "model" else p.action.name


def _model_ended(p: Proposal, bad: ModelError) -> Ended:
    spent = (p.performer.reserved or Amounts()) if bad.may_cost else Amounts()
    others = p.performer.others and not bad.over
    return Ended(
        status="failed", code=bad.code, message=recordable(str(bad)), certain=not bad.sent, usage=spent,
        retry_after_ms=bad.retry_after_ms or 0, retryable=bad.retryable or others, elsewhere=others,
    )  # fmt: skip
