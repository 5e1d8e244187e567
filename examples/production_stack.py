"""The Production Stack pattern as one small class over this runtime, for people who know it by name.

    python -m examples.production_stack

Ingress says who asks, with which budgets. Then, until something stops it: the topology (an agent) says the next step, a
tool carries it out, what came of it is observed. Memory, policy, approval, limits and audit are the runtime's own, so
that a crash between two lines changes nothing and a second process can go on.

`run(request, auth_token)` gives `{ok, result, reason_code}`. The codes are `auth_failed`, `completed`,
`unknown_route_mode`, `unknown_tool`, `policy_mode_invalid`, `policy_denied`, `approval_rejected`, those of tools that
fail, and every stop reason of the runtime (docs/reference/stop-reasons.md). The minimal form of the same is
`flyball.run(agent, text, max_steps=8, max_seconds=20)`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from flyball import (
    Agent,
    Blocked,
    Call,
    Completed,
    Critical,
    Executed,
    Failed,
    Flow,
    Limits,
    NotDone,
    Pending,
    Principal,
    Result,
    Run,
    Tool,
    Waiting,
    agent,
    flow,
    tool,
)
from flyball.core.record import Opened
from flyball.testing import Lab, Say


@dataclass(frozen=True)
class Actor:
    """Who asks (the principal holds the tenant), and what one request of theirs may use."""

    principal: Principal
    limits: Limits = Limits(steps=8, seconds=20, usd="0.50")


@dataclass(frozen=True)
class Seen:
    """What the topology is told: the request, what is remembered of it, what came of the steps so far."""

    request: str
    memories: list[str]
    observations: list[str]


@dataclass(frozen=True)
class Step:
    """What the topology says: mode "finish" with an answer, or "act" with a tool and its input."""

    mode: str
    answer: str = ""
    tool: str = ""
    input: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """What a request came to."""

    ok: bool
    result: str
    reason_code: str


@dataclass(frozen=True)
class Review:
    """What a reviewer says to an action that waits: yes, no, or yes with another input, which is decided again."""

    by: Principal
    approved: bool
    reason: str = ""
    override: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Checked:
    """What the stack's own policy says before the runtime's decides: mode "allow", or "deny" with a reason."""

    mode: str = "allow"
    reason: str = ""


@dataclass(frozen=True)
class Remembering:
    """How much is recalled, how well it must fit, and for how long an answer is kept. What has expired is not told."""

    top_k: int = 4
    min_score: float = 0.7
    ttl: timedelta = timedelta(days=30)


class Runtime(Protocol):
    """What the stack stands on: a Lab has these, and so has an open `Flyball` in a few lines."""

    async def run(self, what: Flow[str, Told], input: str, /, *, by: Principal, limits: Limits) -> Result[Told]: ...
    async def approve(self, pending: Pending, *, by: Principal, reason: str) -> Result[Any]: ...
    async def deny(self, pending: Pending, *, by: Principal, reason: str) -> Result[Any]: ...
    async def edit(
        self, pending: Pending, changes: Mapping[str, Any], *, by: Principal, reason: str
    ) -> Result[Any]: ...
    def records(self, run: str) -> Sequence[Opened]: ...


class ProductionStack:
    """Ingress, topology, runtime, memory, policy, hitl, tools, audit."""

    def __init__(
        self, *, ingress: Callable[[str], Actor | None], topology: Agent[Seen, Step], runtime: Runtime,
        tools: Sequence[Tool[..., Any]], hitl: Callable[[Pending], Awaitable[Review]],
        audit: Callable[[Mapping[str, Any]], None], memory: Remembering = Remembering(),
        policy: Callable[[Step], Checked] = lambda _: Checked(),
    ) -> None:  # fmt: skip
        self.ingress, self.topology, self.runtime, self.memory = ingress, topology, runtime, memory
        self.policy, self.hitl, self.audit = policy, hitl, audit
        self.tools = {one.name: one for one in tools}
        self.flow: Flow[str, Told] = flow(name="production_stack")(self._loop)

    async def run(self, request: str, auth_token: str) -> dict[str, Any]:
        """What became of a request: `{ok, result, reason_code}`."""
        actor = self.ingress(auth_token)
        if actor is None:
            return asdict(Told(False, "", "auth_failed"))
        result: Result[Any] = await self.runtime.run(self.flow, request, by=actor.principal, limits=actor.limits)
        while isinstance(result, Waiting):
            result = await self._reviewed(result.pending[0])
        for line in outcomes(self.runtime.records(result.run)):
            self.audit(line)
        return asdict(result.value if isinstance(result, Completed) else Told(False, result.detail, result.reason))

    async def _reviewed(self, pending: Pending) -> Result[Any]:
        said = await self.hitl(pending)
        if not said.approved:
            return await self.runtime.deny(pending, by=said.by, reason=said.reason)
        if said.override is not None:
            return await self.runtime.edit(pending, said.override, by=said.by, reason=said.reason)
        return await self.runtime.approve(pending, by=said.by, reason=said.reason)

    async def _loop(self, run: Run, request: str) -> Told:
        observations: list[str] = []
        known = await run.recall(request, top_k=self.memory.top_k, min_score=self.memory.min_score)
        while True:  # limits end it: the run has as many steps, seconds and dollars as ingress gave
            step = await run.agent(self.topology, Seen(request, [m.text for m in known], list(observations)))
            if step.mode == "finish":
                await run.remember(step.answer, about=request[:200], ttl=self.memory.ttl)  # where it is useful
                return Told(True, step.answer, "completed")
            told = await self._act(run, step) if step.mode == "act" else Told(False, step.mode, "unknown_route_mode")
            if not told.ok:
                return told
            observations.append(told.result)

    async def _act(self, run: Run, step: Step) -> Told:
        checked = self.policy(step)
        if checked.mode not in ("allow", "deny"):
            return Told(False, checked.mode, "policy_mode_invalid")
        if checked.mode == "deny":
            return Told(False, checked.reason, "policy_denied")
        if step.tool not in self.tools:
            return Told(False, step.tool, "unknown_tool")
        match await run.attempt(self.tools[step.tool], **step.input):
            case Executed(value=value):
                return Told(True, str(value), "executed")
            case Blocked() as blocked:
                return Told(False, blocked.what, blocked.reason)
            case Failed() as failed:
                return Told(False, failed.message, failed.reason)


def outcomes(records: Sequence[Opened]) -> list[dict[str, Any]]:
    """Every outcome of a run's tools, from the log: executed, failed or blocked, with its action and its record."""
    actions = {r.path: r.facts["action"] for r in records if r.kind == "intent" and r.facts["action_kind"] == "tool"}
    found = []
    for r in records:
        if r.kind == "outcome" and r.path in actions:
            found.append({"action": actions[r.path], "outcome": r.facts["status"], "record": r.id})
        elif r.kind == "decision" and r.facts["action_kind"] == "tool":
            found.append({"action": r.facts["action"], "outcome": "blocked", "record": r.id})
    return found


# a stack --------------------------------------------------------------------------------------------------------------
POLICY = """
@id("reads") permit (principal, action in Action::"read", resource);
@id("remembers") permit (principal, action == Action::"remember", resource);
@id("pays") permit (principal, action == Action::"pay", resource);
@id("over-50-asks-finance") @require_approval("finance") @reason("over_limit")
forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 5000 } unless { context.approvals.contains("finance") };
@id("never-over-1000") @reason("too_much")
forbid (principal, action == Action::"pay", resource) when { context.input.cents > 100000 };
"""
ACTORS = {"token-of-kim": Actor(Principal("user:kim", tenant="local"))}


@tool(effect="read")
async def look_up(call: Call, what: str) -> str:
    """Look something up."""
    if what == "nothing":
        raise NotDone("there is nothing")
    return f"{what}: 4900 cents"


@tool(effect="irreversible", idempotency="key")
async def pay(call: Call, cents: Critical[int]) -> str:
    """Pay."""
    return f"paid {cents}"


planner = agent("planner", role="planner", input=Seen, output=Step, instructions="Say the next step.")


async def main() -> None:
    said: list[Mapping[str, Any]] = []
    script = [
        Say(Step("act", tool="look_up", input={"what": "the lamp"})),
        Say(Step("act", tool="pay", input={"cents": 4900})),
        Say(Step("finish", "The lamp is paid.")),
    ]

    async def nobody(pending: Pending) -> Review:
        return Review(Principal("user:fay", groups=frozenset({"finance"})), approved=False)

    stack = ProductionStack(
        ingress=ACTORS.get, topology=planner, runtime=Lab(policies=POLICY, models={"planner": script}),
        tools=[look_up, pay], hitl=nobody, audit=said.append,
    )  # fmt: skip
    print(await stack.run("Pay the lamp.", "token-of-kim"))
    for line in said:
        print(line["action"], line["outcome"])


if __name__ == "__main__":
    asyncio.run(main())
