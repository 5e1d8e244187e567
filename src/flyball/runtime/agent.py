"""Think: the loop of an agent. A model may only propose; every proposal of it goes through the gate.

Rules:

* The conversation is not stored: it is a function of the instructions, the input and the recorded steps, so a crash
  costs nothing and the log grows with what is new.
* A reply that cannot be used is shown to the model again, at most MAX_REPAIRS times in a row.
* The same proposals with the same results LOOP_AFTER times in a row are a loop.
* Besides its tools an agent is offered other agents, handoffs, `ask` (a question to the principal) and `hand_back`: see
  `core.offer`. What another agent answers that took the work over is the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from flyball.core.agent import Agent
from flyball.core.artifact import Artifact, held
from flyball.core.canonical import MAX_BYTES, parse_json
from flyball.core.context import Context
from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.guard import Signal
from flyball.core.model import LOOKED_AT, Message, ModelReply, ModelRequest, ToolSpec, check_reply, parse_calls, repair
from flyball.core.offer import Offer, offers
from flyball.core.proposal import Performer
from flyball.core.result import Blocked, Executed, Failed
from flyball.core.signature import from_json, marked_fields, to_json

MAX_REPAIRS: Final = 3
LOOP_AFTER: Final = 3
MAX_ROUNDS: Final = 200
ASK_WITHIN: Final = timedelta(days=2)


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

    def attempt_raw(
        self, tool: Any, arguments: Mapping[str, Any], screened: Mapping[str, Signal], stated: str, /
    ) -> Any:
        """A step that proposes a tool with arguments as the model wrote them, what guards said of them by then, and the
        reason that the model stated."""
        ...

    def delegate(self, agent: Agent[Any, Any], input: Any, stated: str, /, *, over: bool) -> Any:
        """A step that proposes that another agent does a part of the work, or takes it `over`."""
        ...

    def resumed(self, agent: Agent[Any, Any], input: Any, /) -> Any:
        """The step with which the work goes to whom it was handed in the turn before; None where to nobody."""
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
        resumed = desk.resumed(agent, input)
        if resumed is not None and isinstance(taken := await resumed, Executed):
            return taken.value
        talk = _Talk(agent, input, await self._contexts.of(desk, agent, input), self._max_bytes)
        for _ in range(MAX_ROUNDS):
            reply = await self._reply(desk, agent, talk)
            problems = check_reply(reply, talk.tools, max_bytes=self._max_bytes) or talk.unfit(reply)
            if problems:
                talk.repair(reply, problems)
                continue
            if reply.calls:
                answered = await self._act(desk, talk, reply)
                if answered is not None:
                    return answered.value
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

    async def _act(self, desk: Desk, talk: _Talk, reply: ModelReply) -> Executed[Any] | None:
        """Proposes what a reply asks for, and tells the talk; what another agent answered that took the work over."""
        calls = talk.calls(reply)
        talk.said(reply)
        steps = [self._propose(desk, call) for call in calls]
        told = (await desk.gather(*steps)) if len(steps) > 1 else (await steps[0],)
        if calls[0].offer.kind == "handoff" and isinstance(told[0], Executed):
            return told[0]
        talk.heard(calls, told)
        return None

    def _propose(self, desk: Desk, call: _Call) -> Any:
        offer, arguments = call.offer, call.arguments
        match offer.kind:
            case "tool":
                return desk.attempt_raw(offer.value, arguments, call.screened, call.stated)
            case "agent" | "handoff":
                return desk.delegate(offer.value, arguments["input"], call.stated, over=offer.kind == "handoff")
            case "ask":
                return desk.ask(
                    arguments["question"], str, to=desk.principal.id, about=None, within=ASK_WITHIN,
                    default="(no answer)",
                )  # fmt: skip
            case "hand_back":
                raise Blocked("handed_back", what=str(arguments.get("reason", ""))[:2000])


class _Call(NamedTuple):
    """One call of a reply: what is proposed of what was offered, and why."""

    id: str
    offer: Offer
    arguments: Mapping[str, Any]
    stated: str
    screened: Mapping[str, Signal]


class _Talk:
    """The conversation of one agent, rebuilt from recorded steps at every activation."""

    def __init__(self, agent: Agent[Any, Any], input: Any, context: Context, max_bytes: int) -> None:
        self._agent, self.context, self._max_bytes = agent, context, max_bytes
        text = input if isinstance(input, str) else msgspec.json.encode(input).decode()
        asked = Message(role="user", text=text, artifacts=_files(input, _pointers(agent.input)) or msgspec.UNSET)
        self._messages = [Message(role="system", text=_instructions(agent)), asked]
        # Apart from the request, and not recorded again: the sources' own steps hold what it says.
        self._shown = [Message(role="user", text=context.text)] if context.text else []
        self._told = 0
        self._repairs = 0
        self._rounds: list[str] = []
        self._offers = offers(agent)
        self.tools: tuple[ToolSpec, ...] = tuple(offer.spec for offer in self._offers.values())

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

    def calls(self, reply: ModelReply) -> tuple[_Call, ...]:
        """What a reply proposes, taken apart."""
        parsed = parse_calls(reply.calls, self._offers.keys(), max_bytes=self._max_bytes).calls
        named = [(call, self._offers[call.name]) for call in parsed]
        return tuple(_Call(call.id, offer, *offer.taken(call.arguments), call.screened) for call, offer in named)

    def unfit(self, reply: ModelReply) -> tuple[_Invalid, ...]:
        """What no tool's schema says is wrong: a question that asks nothing, nothing to work on, a handoff that is not
        all that is proposed."""
        calls = self.calls(reply)
        if len(calls) > 1 and any(call.offer.kind == "handoff" for call in calls):
            return (_Invalid(detail="Hand over in a call alone: nothing of yours follows it."),)
        return tuple(_Invalid(detail=wrong) for c in calls if (wrong := c.offer.wrong(c.arguments)))

    def said(self, reply: ModelReply) -> None:
        self._repairs = 0
        self._messages.append(Message(role="assistant", text=reply.text, calls=reply.calls, echo=reply.echo))

    def heard(self, calls: Sequence[_Call], told: Sequence[Any]) -> None:
        texts = [_told_text(result) for result in told]
        for call, text in zip(calls, texts, strict=True):
            self._messages.append(Message(role="tool", text=text, call_id=call.id, name=call.offer.spec.name))
        seen = [file for call, result in zip(calls, told, strict=True) for file in _shown(call.offer, result)]
        if seen:  # in a message of its own: not every provider takes files within a result
            text = f"The files of these results, in order: {', '.join(file.name for file in seen)}"
            self._messages.append(Message(role="user", text=text, name="flyball", artifacts=tuple(seen)))
        # Without the reasons: saying the same otherwise is no other proposal.
        self._watch([(c.offer.spec.name, dict(c.arguments), text) for c, text in zip(calls, texts, strict=True)])

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
            if _is_word(self._agent.output_schema) and not text.startswith('"'):
                return True, from_json(text, kind)  # a choice in words: models write it without quotes
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


def _is_word(schema: Mapping[str, Any] | None) -> bool:
    return schema is not None and bool(schema.get("enum")) and all(isinstance(each, str) for each in schema["enum"])


def _shown(offer: Offer, result: Any) -> tuple[Artifact, ...]:
    """The files in what a proposal gave that a model looks at."""
    if not isinstance(result, Executed) or offer.value is None:
        return ()
    own = offer.kind == "tool"
    return _files(to_json(result.value), offer.value.signature.files if own else _pointers(offer.value.output))


def _files(data: Any, pointers: Iterable[str]) -> tuple[Artifact, ...]:
    found = (msgspec.convert(value, Artifact) for pointer in sorted(pointers) for value in held(data, pointer))
    return tuple(dict.fromkeys(file for file in found if file.media_type in LOOKED_AT))


def _pointers(kind: Any) -> frozenset[str]:
    return marked_fields(kind, "artifact")


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
