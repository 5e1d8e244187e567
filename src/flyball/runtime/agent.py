"""Think: the loop of an agent. A model may only propose; every proposal of it goes through the gate.

Rules:

* The conversation is not stored: it is a function of the instructions, the input and the recorded steps, so a crash
  costs nothing and the log grows with what is new.
* A reply that cannot be used is shown to the model again, at most MAX_REPAIRS times in a row.
* The same proposals with the same results LOOP_AFTER times in a row are a loop.
* Two proposals are always at hand besides the tools: `ask` (a question to the principal) and `hand_back`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Final, Protocol

import msgspec

from flyball.core.agent import Agent
from flyball.core.canonical import MAX_BYTES, parse_json
from flyball.core.context import Context
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.guard import Signal
from flyball.core.model import Message, ModelReply, ModelRequest, ParsedCall, ToolSpec, check_reply, parse_calls, repair
from flyball.core.proposal import Performer
from flyball.core.result import Blocked, Executed, Failed
from flyball.core.signature import from_json, to_json
from flyball.core.tool import tools_by_name

MAX_REPAIRS: Final = 3
LOOP_AFTER: Final = 3
MAX_ROUNDS: Final = 200
ASK_WITHIN: Final = timedelta(days=2)
ASK: Final = ToolSpec(
    name="ask", description="Ask the person you work for a question when you cannot go on without an answer.",
    schema={"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
)  # fmt: skip
HAND_BACK: Final = ToolSpec(
    name="hand_back", description="Give the task back to the person you work for, saying why you cannot do it.",
    schema={"type": "object", "properties": {"reason": {"type": "string"}}, "required": ["reason"]},
)  # fmt: skip


class Desk(Protocol):
    """What the loop needs of the run it works in."""

    @property
    def principal(self) -> Any:
        """Who the run is for: questions go to them."""
        ...

    def perform(
        self, action: Action, performer: Performer, arguments: Mapping[str, Any], extra: Mapping[str, Any], /
    ) -> Any:
        """A step that carries out a governed action, a model call among them."""
        ...

    def attempt_raw(self, tool: Any, arguments: Mapping[str, Any], screened: Mapping[str, Signal], /) -> Any:
        """A step that proposes a tool with arguments as the model wrote them, and what guards said of them by then."""
        ...

    def ask(self, question: str, answer: Any, /, *, to: str, about: object, within: timedelta, default: Any) -> Any:
        """A step that asks people a question."""
        ...

    def gather(self, *steps: Any) -> Any:
        """Several steps at once; their values in order."""
        ...

    @property
    def scene(self) -> Any:
        """Where this stands, for what is recalled there."""
        ...


Prepare = Callable[[Agent[Any, Any], ModelRequest, Context], tuple[Action, Performer, Mapping[str, Any]]]


class Knows(Protocol):
    """Gives an agent its context."""

    async def of(self, desk: Any, agent: Agent[Any, Any], input: Any, /) -> Context:
        """The compiled context; raises Failed where a required source is missing or stale."""
        ...


Waits = Callable[[Agent[Any, Any]], AbstractAsyncContextManager[None]]


class Thinking:
    """Runs agents. `prepare` makes the governed model call of a request, `place` is where it waits while too many are
    under way (see `runtime.model`), `contexts` reads its sources; `max_bytes` bounds the arguments of one proposal."""

    def __init__(self, prepare: Prepare, place: Waits, contexts: Knows, max_bytes: int = MAX_BYTES) -> None:
        self._prepare, self._place, self._contexts, self._max_bytes = prepare, place, contexts, max_bytes

    async def __call__(self, desk: Desk, agent: Agent[Any, Any], input: Any) -> Any:
        """The agent's answer in its declared type; raises Blocked or Failed with what ended it."""
        talk = _Talk(agent, input, await self._contexts.of(desk, agent, input), self._max_bytes)
        for _ in range(MAX_ROUNDS):
            reply = await self._reply(desk, agent, talk)
            problems = check_reply(reply, talk.tools, max_bytes=self._max_bytes) or talk.unasked(reply)
            if problems:
                talk.repair(reply, problems)
                continue
            if reply.calls:
                await self._act(desk, agent, talk, reply)
                continue
            done, value = talk.answer(reply)
            if done:
                return value
        raise Failed("loop_detected", f"{agent.name} did not come to an end in {MAX_ROUNDS} replies")

    async def _reply(self, desk: Desk, agent: Agent[Any, Any], talk: _Talk) -> ModelReply:
        request = talk.request()
        action, performer, arguments = self._prepare(agent, request, talk.context)
        new = talk.take_new()
        async with self._place(agent):
            told = await desk.perform(action, performer, arguments, new)
        if isinstance(told, Executed):
            return told.value  # type: ignore[no-any-return]
        raise told

    async def _act(self, desk: Desk, agent: Agent[Any, Any], talk: _Talk, reply: ModelReply) -> None:
        calls = talk.calls(reply)
        talk.said(reply)
        known = tools_by_name(agent.tools)
        steps = [self._propose(desk, known, call) for call in calls]
        told = (await desk.gather(*steps)) if len(steps) > 1 else (await steps[0],)
        talk.heard(calls, told)

    def _propose(self, desk: Desk, known: Mapping[str, Any], call: ParsedCall) -> Any:
        if call.name in known:
            return desk.attempt_raw(known[call.name], call.arguments, call.screened)
        if call.name == ASK.name:
            question = call.arguments["question"]
            return desk.ask(question, str, to=desk.principal.id, about=None, within=ASK_WITHIN, default="(no answer)")
        raise Blocked("handed_back", what=str(call.arguments.get("reason", ""))[:2000])


class _Talk:
    """The conversation of one agent, rebuilt from recorded steps at every activation."""

    def __init__(self, agent: Agent[Any, Any], input: Any, context: Context, max_bytes: int) -> None:
        self._agent, self.context, self._max_bytes = agent, context, max_bytes
        text = input if isinstance(input, str) else msgspec.json.encode(input).decode()
        self._messages = [Message(role="system", text=_instructions(agent)), Message(role="user", text=text)]
        # Apart from the request, and not recorded again: the sources' own steps hold what it says.
        self._shown = [Message(role="user", text=context.text)] if context.text else []
        self._told = 0
        self._repairs = 0
        self._rounds: list[str] = []
        own = [
            ToolSpec(name=t.name, description=t.action.description, schema=t.action.input_schema) for t in agent.tools
        ]
        self._taken = {t.name for t in own}  # a tool of the project's own stands for ours
        extra = [s for s, may in ((ASK, agent.may_ask), (HAND_BACK, agent.may_hand_back)) if may]
        extra = [s for s in extra if s.name not in self._taken]
        self.tools: tuple[ToolSpec, ...] = (*own, *extra)

    def request(self) -> ModelRequest:
        agent = self._agent
        return ModelRequest(
            model=agent.model, messages=(self._messages[0], *self._shown, *self._messages[1:]), tools=self.tools,
            output_schema=agent.output_schema, role=agent.role, agent=agent.name,
        )  # fmt: skip

    def take_new(self) -> dict[str, Any]:
        """What no earlier record of this agent holds: the new messages, and at first what the context consists of."""
        first, new, self._told = not self._told, self._messages[self._told :], len(self._messages)
        told: dict[str, Any] = {"new": [msgspec.to_builtins(m) for m in new]}
        if first and self.context.told:
            told["context"] = {
                "digest": self.context.digest, "tokens": self.context.tokens,
                "passages": [msgspec.to_builtins(p) for p in self.context.told],
            }  # fmt: skip
        return told

    def calls(self, reply: ModelReply) -> tuple[ParsedCall, ...]:
        """What a reply proposes, taken apart."""
        return parse_calls(reply.calls, {t.name for t in self.tools}, max_bytes=self._max_bytes).calls

    def unasked(self, reply: ModelReply) -> tuple[_Invalid, ...]:
        """Questions that ask nothing: nobody is shown one."""
        ours = [c for c in self.calls(reply) if c.name == ASK.name and c.name not in self._taken]
        blank = [q for c in ours if not isinstance(q := c.arguments.get("question"), str) or not q.strip()]
        return (_Invalid(detail='ask needs {"question": "..."} with the question in it.'),) if blank else ()

    def said(self, reply: ModelReply) -> None:
        self._repairs = 0
        self._messages.append(Message(role="assistant", text=reply.text, calls=reply.calls, echo=reply.echo))

    def heard(self, calls: Sequence[ParsedCall], told: Sequence[Any]) -> None:
        for call, result in zip(calls, told, strict=True):
            text = _told_text(result)
            self._messages.append(Message(role="tool", text=text, call_id=call.id, name=call.name))
        self._watch([(c.name, dict(c.arguments), _told_text(r)) for c, r in zip(calls, told, strict=True)])

    def _watch(self, round_: list[Any]) -> None:
        self._rounds.append(hashlib.sha256(msgspec.json.encode(round_, order="sorted")).hexdigest())
        last = self._rounds[-LOOP_AFTER:]
        if len(last) == LOOP_AFTER and len(set(last)) == 1:
            raise Failed(
                "loop_detected", f"{self._agent.name} proposed the same {LOOP_AFTER} times with the same result"
            )

    def repair(self, reply: ModelReply, problems: Sequence[Any]) -> None:
        self._repairs += 1
        if self._repairs > MAX_REPAIRS:
            raise Failed("invalid_proposal", f"{self._agent.name}: {'; '.join(p.detail for p in problems)}"[:2000])
        self._messages += repair(reply, problems)

    def answer(self, reply: ModelReply) -> tuple[bool, Any]:
        """The answer in the agent's type, or a request to repair it."""
        kind = self._agent.output
        if kind is str:
            return True, reply.text
        try:
            text = _bare(reply.text)
            value = from_json(msgspec.json.decode(text), kind)
            parse_json(text, max_bytes=self._max_bytes)  # a key that is there twice fits, and says two things
            return True, value
        except (FlyballError, msgspec.ValidationError, msgspec.DecodeError, RecursionError) as bad:
            self.repair(reply, (_Invalid(detail=f"The answer does not fit its schema: {bad}."),))
            return False, None


class _Invalid(msgspec.Struct, frozen=True, kw_only=True):
    detail: str


def _instructions(agent: Agent[Any, Any]) -> str:
    if agent.output_schema is None:
        return agent.text
    schema = msgspec.json.encode(agent.output_schema).decode()
    return f"{agent.text}\n\nAnswer with JSON only, fitting this schema:\n{schema}"


def _bare(text: str) -> str:
    # Models like to wrap JSON in a code fence.
    stripped = text.strip()
    if stripped.startswith("```"):
        stripped = stripped.split("\n", 1)[-1].rsplit("```", 1)[0]
    return stripped


def _told_text(result: Any) -> str:
    """What the model is told of a proposal's end: data, or why not; never more than the gate let through."""
    if isinstance(result, Executed):
        return msgspec.json.encode(to_json(result.value)).decode()
    if isinstance(result, Blocked):
        return msgspec.json.encode({"blocked": result.reason, "policies": result.policies}).decode()
    if isinstance(result, Failed):
        return msgspec.json.encode({"failed": result.reason, "message": result.message[:1000]}).decode()
    return msgspec.json.encode({"answer": to_json(result)}).decode()
