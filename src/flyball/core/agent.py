"""The inert value that `agent(...)` makes: who it is, what it may propose, what it must return."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypedDict, TypeVar, get_args, overload

import msgspec
from msgspec.structs import replace
from typing_extensions import TypeForm, Unpack

from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.limits import Limits
from flyball.core.memory import Recall
from flyball.core.signature import schema_for
from flyball.core.source import Source
from flyball.core.tool import Tool

I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741
Role = Literal["planner", "retriever", "executor", "validator", "router"]


class Prompt(msgspec.Struct, frozen=True):
    """A prompt read from a file when its module was imported: part of the release by its digest."""

    path: str
    text: str


class Agent(Generic[I, O]):
    """A named role for a model: instructions, tools it may propose, the type of its answer. An inert value."""

    def __init__(self, action: Action, settings: Mapping[str, Any]) -> None:
        self.name = action.name
        self.action = action
        self.instructions: str | Prompt = settings["instructions"]
        self.role: Role = settings["role"]
        self.model: str = settings["model"]
        self.about: str = settings["about"]
        self.tools: tuple[Tool[..., Any] | Agent[Any, Any], ...] = tuple(settings["tools"])
        self.handoffs: tuple[Agent[Any, Any], ...] = tuple(settings["handoffs"])
        self.output: Any = settings["output"]
        self.input: Any = settings["input"]
        self.context: tuple[Source[Any], ...] = tuple(settings["context"])
        self.memory: Recall | None = settings["memory"]
        self.may_ask: bool = settings["may_ask"]
        self.may_hand_back: bool = settings["may_hand_back"]
        self.limits: Limits = settings["limits"]
        self.output_schema: Mapping[str, Any] | None = None if self.output is str else schema_for(self.output)

    @property
    def handoff(self) -> Action:
        """Handing the work over to it: an action of its own, about the same agent as its start."""
        return replace(self.action, kind="handoff")

    @property
    def agents(self) -> tuple[Agent[Any, Any], ...]:
        """The agents that it may have work, or hand its work over to."""
        return (*(one for one in self.tools if isinstance(one, Agent)), *self.handoffs)

    @property
    def text(self) -> str:
        """The instructions' text."""
        return self.instructions.text if isinstance(self.instructions, Prompt) else self.instructions

    def __repr__(self) -> str:
        return f"<agent {self.name} {self.role}>"


class _Settings(TypedDict, total=False):
    role: Role
    model: str
    about: str
    tools: Sequence[Tool[..., Any] | Agent[Any, Any]]
    handoffs: Sequence[Agent[Any, Any]]
    context: Sequence[Source[Any]]
    memory: Recall | None
    may_ask: bool
    may_hand_back: bool
    limits: Limits


@overload
def agent(name: str, *, instructions: str | Prompt, **settings: Unpack[_Settings]) -> Agent[Any, str]: ...
@overload
def agent(
    name: str, *, instructions: str | Prompt, output: TypeForm[O], **settings: Unpack[_Settings]
) -> Agent[Any, O]: ...
@overload
def agent(
    name: str, *, instructions: str | Prompt, input: TypeForm[I], **settings: Unpack[_Settings]
) -> Agent[I, str]: ...
@overload
def agent(
    name: str, *, instructions: str | Prompt, output: TypeForm[O], input: TypeForm[I], **settings: Unpack[_Settings]
) -> Agent[I, O]: ...
def agent(
    name: str,
    *,
    instructions: str | Prompt,
    output: Any = str,
    input: Any = Any,
    role: Role = "executor",
    model: str = "default",
    about: str = "",
    tools: Sequence[Tool[..., Any] | Agent[Any, Any]] = (),
    handoffs: Sequence[Agent[Any, Any]] = (),
    context: Sequence[Source[Any]] = (),
    memory: Recall | None = None,
    may_ask: bool = True,
    may_hand_back: bool = True,
    limits: Limits = Limits(),
) -> Agent[Any, Any]:
    """Makes an agent. `output` is the type its answer must fit; `tools` the only ones it may propose.

    An agent among `tools` does a part of the work and answers; one of `handoffs` takes the work over, and what it
    answers is the answer. Both act within the authority, the budget and the taint of the agent that proposed them.
    `about` says in a sentence what it does, to the agents that may choose it.
    `context` are the sources that it is shown when it starts, in this order, each asked with the agent's input.
    `memory` is what it recalls then, for its input, as a source of that name that gives way before all others.
    `model` names a `[models.NAME]` of the project; `may_ask` and `may_hand_back` let it ask its principal a question
    and give the task back.
    """
    if role not in get_args(Role):
        raise FlyballError("bad_role", f"{role!r} is no role", fix=f"one of {', '.join(get_args(Role))}")
    _check_proposed(name, tools, handoffs, output)
    for s in context:
        if not isinstance(s, Source):
            raise FlyballError("bad_source", f"{s!r} in context of {name} is no source", fix="decorate it with @source")
    if memory is not None and not isinstance(memory, Recall):
        raise FlyballError("bad_memory", f"memory={memory!r} of {name} recalls nothing", fix="memory=Recall(top_k=4)")
    if memory is not None and any(s.name == "memory" for s in context):
        raise FlyballError("bad_source", f"{name} has a source called memory beside its memory", fix="rename it")
    if len({s.name for s in context}) < len(context):
        raise FlyballError("bad_source", f"{name} names a source twice", fix="name each once in context")
    action = Action(
        name=name, kind="agent", effect="read", egress=False, timeout_ms=0,
        input_schema=schema_for(input), output_schema=schema_for(output),
    )  # fmt: skip
    return Agent(action, {
        "instructions": instructions, "role": role, "model": model, "about": about,
        "tools": tools, "handoffs": handoffs, "output": output, "input": input,
        "context": context, "memory": memory, "may_ask": may_ask, "may_hand_back": may_hand_back, "limits": limits,
    })  # fmt: skip


def _check_proposed(name: str, tools: Sequence[object], handoffs: Sequence[object], output: Any) -> None:
    for t in tools:
        if not isinstance(t, Tool | Agent):
            raise FlyballError("bad_tool", f"{t!r} in tools of {name} is no tool", fix="decorate it with @tool(...)")
    names = [t.name for t in tools if isinstance(t, Tool | Agent)]
    twice = sorted({each for each in names if names.count(each) > 1})
    if twice:
        raise FlyballError("bad_tool", f"{name} names {', '.join(twice)} twice", fix="name each once in tools")
    for h in handoffs:
        if not isinstance(h, Agent):
            raise FlyballError("bad_handoff", f"{h!r} in handoffs of {name} is no agent", fix="agent(...)")
        if h.output != output:
            why = f"what it answers would be the answer of {name}, which is another type"
            raise FlyballError("bad_handoff", f"{name} cannot hand over to {h.name}", why, "Give both one output.")
