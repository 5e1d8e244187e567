"""Bodies: what a run does, made from the project's values by kind and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from flyball.app.project import Project
from flyball.core.call import Call
from flyball.core.guard import Signal
from flyball.core.memory import RECALL, RECALL_SIGNATURE
from flyball.core.proposal import Performer
from flyball.core.result import Blocked, Executed, Failed
from flyball.core.steps import child
from flyball.runtime.agent import Thinking
from flyball.runtime.context import vouched
from flyball.runtime.flow.activation import Activation, Branch
from flyball.runtime.flow.bind import confine, entered, settle, tool_performer
from flyball.runtime.flow.episode import remember_episode
from flyball.runtime.flow.following import handed_before
from flyball.runtime.flow.run import Run
from flyball.runtime.memory.episodes import Episodes
from flyball.runtime.memory.memories import Memories


class Bodies:
    """Makes the body of a run: a flow, an agent, or one governed action (`act`)."""

    def __init__(self, project: Project, thinking: Thinking, memories: Memories, episodes: Episodes) -> None:
        self._project, self._thinking, self._memories, self._episodes = project, thinking, memories, episodes

    async def __call__(self, at: Activation, branch: Branch, kind: str, what: str, input: Any, /) -> Any:
        """Runs it. A start is an action of its own, at the branch's step 0."""
        at.memories = self._memories
        if kind == "act":
            return await self._act(at, branch, what, input)
        value = (self._project.flows if kind == "flow" else self._project.agents).get(what)
        if value is None:
            raise Failed("internal_error", f"{kind} {what} is not in this release of the project")
        if kind == "flow" and at.state is None and value.state is not type(None):
            at.state = value.state()
        performer = Performer(perform=self._inside(at, branch, kind, value), lasting=True, returns=value.output)
        told = await at.act(branch, child(branch.prefix, 0), value.action, performer, {"input": input})
        return _value(told)

    def _inside(self, at: Activation, branch: Branch, kind: str, value: Any) -> Any:
        async def body(_: Call, arguments: Mapping[str, Any]) -> Any:
            made, run = entered(value, arguments["input"]), Run[Any](at, branch, self._thinking)
            if kind == "flow":
                told = await settle(at, branch, value.function(run, made))
            else:
                confine(at, branch, value)
                branch.following = handed_before(at)
                told = await settle(at, branch, self._thinking(run, value, arguments["input"]))
            await remember_episode(at, branch, self._episodes)
            return told

        return body

    async def _act(self, at: Activation, branch: Branch, what: str, input: Any) -> Any:
        tool, problem = self._project.tool(what), input.get("problem", "")
        if problem:
            return _value(await at.act(branch, branch.next(), tool.action, tool_performer(tool), {}, problem=problem))
        run: Run[Any] = Run(at, branch, self._thinking)
        screened = msgspec.convert(input.get("guard", {}), dict[str, Signal])
        return _value(await run.attempt_raw(tool, input["arguments"], screened))

    def unproven(self, kind: str, what: str, did: frozenset[str]) -> tuple[str, ...]:
        """What a flow promised (`ensures`) and no committed outcome shows."""
        flow = self._project.flows.get(what) if kind == "flow" else None
        return tuple(t.name for t in flow.ensures if t.name not in did) if flow is not None else ()

    def trusted(self, name: str) -> frozenset[str] | None:
        """The trusted fields of a tool's, source's or recall's results; None for what is neither here."""
        if name in self._project.sources:
            return vouched(self._project.sources[name])
        if name == RECALL.name:
            return RECALL_SIGNATURE.trusted
        tool = self._project.tools.get(name)
        return tool.signature.trusted if tool is not None else None


def _value(told: Executed[Any] | Blocked | Failed) -> Any:
    if isinstance(told, Executed):
        return told.value
    raise told
