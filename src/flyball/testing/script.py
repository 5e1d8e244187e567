"""Scripted answers: what each agent's model says in a test, in order, typed by the tools that it proposes.

    models={"clerk": [propose(get_order, order_id="A-17"), Say(Advice(cents=9900, why="broken"))]}

Rules:

* Each run plays an agent's list from its start, one item per reply, over all the times that the agent is started.
* Which item comes next is read from the log (model calls that began), never counted in memory: a call that a crash
  interrupted is answered as before when it is asked again.
* A `ModelError` is raised, a `ModelReply` returned as it stands, several proposals in a list are one reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar, overload

import msgspec

from flyball.core.agent import Agent
from flyball.core.journal import Stored
from flyball.core.model import ModelError, ModelReply, ModelRequest, OnDelta, ToolCall, Usage, pieces
from flyball.core.offer import HANDOFF, REASON
from flyball.core.signature import to_json
from flyball.core.tool import Tool
from flyball.runtime.flow.bind import bound
from flyball.testing.crash import LabJournal

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741


@dataclass(frozen=True, slots=True)
class Say(Generic[T]):
    """The model answers: text as it is, any other value as JSON that fits its agent's output."""

    value: T


@dataclass(frozen=True, slots=True)
class Proposed:
    """The model proposes one call."""

    tool: str
    arguments: Mapping[str, Any]

    def because(self, reason: str) -> Proposed:
        """The same, with the reason that the model states."""
        return Proposed(self.tool, {**self.arguments, REASON: reason})


Answer: TypeAlias = Say[Any] | Proposed | Sequence[Proposed] | ModelReply | ModelError
Script: TypeAlias = Sequence[Answer | Callable[[ModelRequest], Answer]]
Scripts: TypeAlias = Mapping[str, Script]


@overload
def propose(what: Tool[P, R], /, *args: P.args, **kw: P.kwargs) -> Proposed: ...
@overload
def propose(what: Agent[I, O], input: I, /) -> Proposed: ...
def propose(what: Any, /, *args: Any, **kw: Any) -> Proposed:
    """The model proposes this tool with these arguments, or this agent with an input; a call that no longer fits fails
    the type check."""
    if isinstance(what, Agent):
        return Proposed(what.name, {"input": to_json(args[0])})
    return Proposed(what.name, bound(what, args, kw))


def handoff(agent: Agent[I, O], input: I) -> Proposed:
    """The model hands its work over to another agent."""
    return Proposed(f"{HANDOFF}{agent.name}", {"input": to_json(input)})


def ask(question: str) -> Proposed:
    """The model asks the person it works for."""
    return Proposed("ask", {"question": question})


def hand_back(reason: str) -> Proposed:
    """The model gives the task back."""
    return Proposed("hand_back", {"reason": reason})


class LabModel:
    """Plays the scripts of a Lab; implements `ports.model.ModelPort`."""

    def __init__(self, scripts: Scripts, journal: LabJournal) -> None:
        self._scripts, self._journal = scripts, journal

    @property
    def scripted(self) -> bool:
        """No model thinks here."""
        return True

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None, /) -> ModelReply:
        """The next answer of the agent that asks, word by word where it streams; raises ModelError `bad_reply` where
        its script is at its end."""
        script = self._scripts.get(request.agent)
        if script is None:
            raise _none(f"this Lab has no answers for agent {request.agent}", f'models={{"{request.agent}": [...]}}')
        number = self._number(request.agent)
        if number >= len(script):
            fix = f"its {len(script)} answers are used up: add one"
            raise _none(f"agent {request.agent} asks for answer {number + 1}", fix)
        answer = script[number]
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, ModelError):
            raise answer
        reply = answer if isinstance(answer, ModelReply) else _reply(answer, number + 1, request)
        if on_delta is not None:
            for piece in pieces(reply.text):
                on_delta(piece)
                await asyncio.sleep(0)
        return reply

    async def close(self) -> None:
        """Nothing is open."""

    def _number(self, agent: str) -> int:
        """How many of the agent's answers in this run came before the one that is asked for now."""
        task = asyncio.current_task()
        tenant, run, path = self._journal.flying[task] if task is not None else ("", "", "")
        records = self._journal.view(tenant).records(run=run, limit=1_000_000)
        lost = {(r.path, r.attempt) for r in records if r.kind == "outcome" and _facts(r)["status"] == "interrupted"}
        calls = [r for r in records if r.kind == "intent" and _asks(_facts(r), agent)]
        mine = max(n for n, r in enumerate(calls) if r.path == path)
        return sum(1 for r in calls[:mine] if (r.path, r.attempt) not in lost)


def _asks(facts: Mapping[str, Any], agent: str) -> bool:
    return bool(facts["action_kind"] == "model" and facts["chain"][-1:] == [agent])


def _facts(stored: Stored) -> Mapping[str, Any]:
    return msgspec.json.decode(stored.leaf)["facts"]  # type: ignore[no-any-return]


def _reply(answer: Say[Any] | Proposed | Sequence[Proposed], number: int, request: ModelRequest) -> ModelReply:
    text = ""
    calls: tuple[ToolCall, ...] = ()
    if isinstance(answer, Say):
        text = answer.value if isinstance(answer.value, str) else msgspec.json.encode(to_json(answer.value)).decode()
    else:
        proposed = [answer] if isinstance(answer, Proposed) else list(answer)
        calls = tuple(
            ToolCall(id=f"lab{number}-{n}", name=p.tool, arguments=msgspec.json.encode(p.arguments).decode())
            for n, p in enumerate(proposed, 1)
        )  # fmt: skip
    read = sum(len(m.text) for m in request.messages) // 4 + 1
    written = (len(text) + sum(len(c.arguments) for c in calls)) // 4 + 1
    return ModelReply(
        text=text, calls=calls, usage=Usage(input=read, output=written, estimated=True), model="scripted:lab",
        stop="tool" if calls else "end", provider_id=f"lab/{request.agent}/{number}",
    )  # fmt: skip


def _none(what: str, fix: str) -> ModelError:
    return ModelError("bad_reply", what, fix=fix, sent=False, retryable=False)
