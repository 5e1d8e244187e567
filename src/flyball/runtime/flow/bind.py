"""Bind: tools, agents and flows as performers, and Python arguments as the plain data that a proposal carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace

from flyball.core.agent import Agent
from flyball.core.budget import NO_LIMIT, ZERO, tightest
from flyball.core.call import Call
from flyball.core.errors import FlyballError, Superseded
from flyball.core.flow import Flow
from flyball.core.journal import Hold
from flyball.core.limits import counted
from flyball.core.proposal import Performer, Precondition
from flyball.core.record import Event
from flyball.core.result import Blocked
from flyball.core.signature import from_json, to_json
from flyball.core.steps import generation_of
from flyball.core.tool import Tool
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.step import Continued, Halted, Suspended

# A run made for a branch; Run itself, handed in so that this file stands below it.
MakeRun = Callable[[Activation, Branch, Any], Any]


def bound(tool: Tool[..., Any], args: Sequence[Any], kw: Mapping[str, Any]) -> dict[str, Any]:
    """Positional and named arguments as plain data by name."""
    if not isinstance(tool, Tool):
        raise FlyballError("wrong_value", f"run.call takes a tool, not {tool!r}", fix="decorate it with @tool(...)")
    names = tool.signature.positional
    if len(args) > len(names):
        raise FlyballError("bad_arguments", f"{tool.name} takes {len(names)} positional arguments, not {len(args)}")
    given = dict(zip(names, args, strict=False)) if args else {}
    twice = given.keys() & kw.keys() if given else ()
    if twice:
        raise FlyballError("bad_arguments", f"{tool.name} got {', '.join(sorted(twice))} twice")
    return {name: to_json(value) for name, value in (*given.items(), *kw.items())}


def tool_performer(tool: Tool[..., Any]) -> Performer:
    """How a tool's action is carried out."""
    return _performer(tool, tool.function, tool.probe_function, tool.requires_function)


@lru_cache(maxsize=1024)  # by its functions, too: a test may put others in their place
def _performer(tool: Tool[..., Any], *functions: Callable[..., Any] | None) -> Performer:
    there = tuple(f for f in functions if f is not None)
    return Performer(
        perform=tool.function, signature=tool.signature, requires=precondition(tool, there),
        probe=tool.probe_function, functions=there,
    )  # fmt: skip


def precondition(tool: Tool[..., Any], functions: tuple[Callable[..., Any], ...] = ()) -> Precondition | None:
    """How what a tool requires is asked; None where it requires nothing."""
    if tool.requires_function is None or tool.precondition is None:
        return None
    # The reason is text from the world, as any read's: it taints the run.
    signature = replace(tool.signature, returns=str | None, trusted=frozenset())
    performer = Performer(perform=tool.requires_function, signature=signature, functions=functions)
    return Precondition(action=tool.precondition, performer=performer)


def body_of(
    think: Any, make: MakeRun, at: Activation, branch: Branch, what: Flow[Any, Any] | Agent[Any, Any],
    following: str = "",
) -> Callable[[str], Performer]:  # fmt: skip
    """The performer of a flow or agent inside a run, for the path it stands at: a branch of its own, that lasts no
    longer than the one it stands in; an agent adds its authority and its budget."""

    def performer(path: str) -> Performer:
        async def body(_: Call, arguments: Any) -> Any:
            inner = Branch(
                prefix=path, authority=branch.authority, holds=branch.holds, until=branch.until, following=following
            )
            value = entered(what, arguments["input"])
            if isinstance(what, Flow):
                return await settle(at, inner, what.function(make(at, inner, think), value))
            confine(at, inner, what)
            return await settle(at, inner, think(make(at, inner, think), what, arguments["input"]))

        return Performer(perform=body, lasting=True, returns=what.output)

    return performer


def entered(value: Flow[Any, Any] | Agent[Any, Any], data: Any) -> Any:
    """The input of a flow or agent in its declared type; raises Blocked `invalid_proposal` where it does not fit."""
    try:
        return from_json(data, value.input)
    except msgspec.ValidationError as bad:
        raise Blocked("invalid_proposal", what=f"{value.name} cannot take this input", why=str(bad)) from bad


def confine(at: Activation, branch: Branch, agent: Agent[Any, Any]) -> None:
    """Makes a branch the agent's: its authority is added, and its limits are those of the agent in this run, of the
    project, and of the agent over all runs."""
    limit = tightest(counted(agent.limits), at.agent_limit)
    node = f"agent/{at.row.id}/{branch.prefix}"
    branch.authority = branch.authority.through(agent.name, agent.role)
    day = at.day_hold(agent.name)
    branch.holds = (*branch.holds, *day, Hold(node=node, amounts=ZERO, limit=limit))
    for hold in day:
        at.standing.enter(branch.prefix, hold)
    if limit.ms != NO_LIMIT:
        until = at.record.clock.now() + limit.ms * 1000
        branch.until = min(until, branch.until or until)


async def settle(at: Activation, branch: Branch, body: Any) -> Any:
    """Runs a branch's body; parking and ending win over whatever the body returned or raised meanwhile.

    A step that was made and never awaited is recorded when its branch is over, so that no place in the log is empty.
    """
    try:
        value = await _staying(body)
    except (Suspended, Halted, Superseded, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException:  # whatever a body raises goes on, once its open places in the log are closed
        if branch.travelling is not None and not isinstance(branch.travelling, Continued):
            raise branch.travelling from None
        await _over(at, branch)
        raise
    finally:
        at.standing.leave(branch.prefix)
    if branch.travelling is not None:
        raise branch.travelling
    await _over(at, branch)
    skipped = [] if branch.prefix == generation_of(branch.prefix) else at.history.unasked_in(branch.prefix)
    if skipped:  # of the run's own branch the turn says so
        raise Halted("replay_diverged", f"the log holds steps that the code never asked for: {skipped}")
    return value


async def _staying(body: Any) -> Any:
    try:
        return await body
    except SystemExit as bad:  # a flow that calls exit ends its run, never the process
        raise RuntimeError(f"it called exit: {bad}") from bad


async def _over(at: Activation, branch: Branch) -> None:
    if branch.markers:
        await at.note(branch)  # durable before the outcome, behind which nobody makes them again
    for step in tuple(branch.steps.values()):
        if not step.awaited and not at.history.past(step.path).records:
            await at.note(branch, Event(kind="not_awaited", run=at.row.id, path=step.path, facts={"what": step.what}))
