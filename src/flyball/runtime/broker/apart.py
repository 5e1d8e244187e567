"""Apart: carries a tool that demands isolation out in a process of its own, and reads how that ended.

Rules:

* What died before the function was called has surely not happened: `NotDone`. What died, hung or wrote garbage after
  it is judged as what a tool raises: a read failed, an effect is unknown unless its key or probe can tell.
* The level is the one that a trial obtained. A tool that demands more does not run.
* A resource for which something stands in (`resource.use(...)`, in tests) cannot be opened in another process: such a
  call runs here, and its intent says `none`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from flyball.core.call import Tenant
from flyball.core.effect import ISOLATION_ORDER, Isolation
from flyball.core.errors import FlyballError, said
from flyball.core.outcome import call_key
from flyball.core.proposal import Proposal
from flyball.core.result import Blocked, NotDone
from flyball.core.tool import Tool
from flyball.ports.sandbox import Ending, Job, Level, Sandbox
from flyball.runtime.broker.inside import ENTRY, PARTS, Given, Order, Part, Progress, Scope, Told
from flyball.runtime.broker.reach import Heard, Resources, resources_of

NONE = Level(isolation="none", why="this deployment has no sandbox")
PRINTED_SHOWN = 500
# What an answer needs beside the result itself, and the most that JSON makes of one byte of it.
ANSWER_ROOM, ANSWER_FACTOR = 65_536, 6


class Unfit(Exception):
    """The function returned what is no data."""


class Apart:
    """Whether a call needs a process of its own, and what one came to. `most` bytes for a result."""

    def __init__(
        self, sandbox: Sandbox | None, resources: Resources, tenants: Callable[[str], Tenant], most: int
    ) -> None:
        self._sandbox, self._resources, self._tenants, self._most = sandbox, resources, tenants, most

    def wanted(self, p: Proposal) -> bool:
        """Is this call carried out in a process of its own?"""
        if p.action.isolation == "none" or p.performer.signature is None:
            return False
        return not any(self._resources.stood_in(r) for r in resources_of(p.performer.functions))

    async def objection(self, p: Proposal) -> Blocked | None:
        """Why it cannot have the isolation that it demands; None where it can."""
        if p.action.isolation == "none" or p.performer.signature is None:
            return None
        level = NONE if self._sandbox is None else await self._sandbox.level()
        if ISOLATION_ORDER.index(p.action.isolation) > ISOLATION_ORDER.index(level.isolation):
            what = f"{p.action.name} demands isolation {p.action.isolation}; there is {level.isolation} here"
            fix = "run it where that isolation can be had"
            return Blocked("isolation_unavailable", what=what, why=level.why, fix=fix)
        if self.wanted(p) and _located(p.performer.perform) is None:
            what = f"{p.action.name} cannot be imported by another process"
            why = "a process of its own imports the tool by its module and name"
            return Blocked("isolation_unavailable", what=what, why=why, fix="make the tool at the level of its module")
        return None

    def level(self, p: Proposal) -> Isolation:
        """The isolation of a call that nothing was objected to, for its intent."""
        # No sandbox gives more than `process` yet, and none less than a call demands: else it was objected to.
        return p.action.isolation if self.wanted(p) else "none"

    async def call(
        self, p: Proposal, function: Callable[..., Any], arguments: Any, seconds: float, deadline: int, heard: Heard
    ) -> Any:  # fmt: skip
        """One call of a function of the tool, as plain data. Raises NotDone, TimeoutError, Unfit or FlyballError."""
        located = _located(function)
        if self._sandbox is None or located is None:
            raise NotDone(f"{p.action.name} cannot run in a process of its own here")
        order = await asyncio.to_thread(self._order, p, located, arguments, deadline)  # a secret may be a file
        try:
            ending = await self._sandbox.run(_job(order, seconds), lambda data: _tell(data, heard))
        except OSError as bad:
            raise NotDone(f"no process can be started: {said(bad)}") from bad
        return _value(ending, seconds)

    def _order(self, p: Proposal, located: tuple[str, str, str, Part], arguments: Any, deadline: int) -> Order:
        module, file, name, part = located
        place, wanted = p.place, p.action.credentials
        return Order(
            module=module, file=file, name=name, part=part, arguments=arguments, key=call_key(p),
            principal=p.authority.principal, tenant=place.tenant, run=place.run, attempt=p.attempt, deadline=deadline,
            path=place.path, trace=place.trace,
            credentials=wanted, tenants={t: _scope(self._tenants(t), wanted) for t in ("", place.tenant)},
            most=self._most,
        )  # fmt: skip


def _located(function: Callable[..., Any]) -> tuple[str, str, str, Part] | None:
    """Module, file, name and part of the tool that a function belongs to; None where no module keeps it."""
    module = sys.modules.get(function.__module__)
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    for name, value in vars(module).items():
        if isinstance(value, Tool):
            for part in PARTS:
                if getattr(value, part) is function:
                    return function.__module__, str(Path(file).resolve()), name, part
    return None


def _job(order: Order, seconds: float) -> Job:
    return Job(
        entry=ENTRY, input=msgspec.json.encode(order), path=tuple(str(Path(e).resolve()) for e in sys.path),
        seconds=seconds, most=ANSWER_FACTOR * order.most + ANSWER_ROOM,
    )  # fmt: skip


def _scope(tenant: Tenant, wanted: tuple[str, ...]) -> Scope:
    secrets: dict[str, Given] = {}
    for name in wanted:
        try:
            secrets[name] = Given(text=tenant.secret(name).reveal())
        except FlyballError as bad:  # it is told where the tool asks for it, as it is without isolation
            secrets[name] = Given(problem=(bad.code, bad.what, bad.why, bad.fix))
        except (LookupError, OSError, ValueError) as bad:
            secrets[name] = Given(problem=("secret_missing", said(bad), "", ""))
    return Scope(settings=tenant.settings, secrets=secrets)


def _tell(data: bytes, heard: Heard) -> None:
    try:
        told = msgspec.json.decode(data, type=Progress)
    except msgspec.DecodeError:  # a validation error is one too: progress is never recorded, garbage of it is dropped
        return
    heard(told.message, told.done)


def _value(ending: Ending, seconds: float) -> Any:
    if ending.how == "answered":
        try:
            return _answered(msgspec.json.decode(ending.answer, type=Told), ending)
        except msgspec.DecodeError as bad:
            ending = msgspec.structs.replace(ending, how="garbled", detail=f"its answer is none: {bad}")
    printed = f"; it printed: {ending.printed[-PRINTED_SHOWN:]}" if ending.printed else ""
    if not ending.begun:
        late = f"not begun after {seconds:g} s" if ending.how == "timeout" else ending.detail
        raise NotDone(f"its process came to an end before it began: {late}{printed}")
    if ending.how == "timeout":
        raise TimeoutError(f"not done after {seconds:g} s")
    code = "answer_garbled" if ending.how == "garbled" else "process_died"
    raise FlyballError(code, f"its process gave no answer: {ending.detail}{printed}")


def _answered(told: Told, ending: Ending) -> Any:
    if told.kind == "value":
        return told.value
    if told.kind == "unfit":
        raise Unfit(told.message)
    if told.kind == "not_done":
        raise NotDone(told.message, retry_after=timedelta(milliseconds=told.retry_after_ms) or None)
    if told.kind == "unopened" and not ending.begun:
        raise NotDone(f"it could not be opened: {told.message}")
    raise FlyballError(told.code or "tool_failed", told.message)
