"""What is asked of a language model and what comes back; which replies can be used, and which model is asked next.

Rules:

* A reply is a proposal, never trusted: `parse_calls` takes it apart strictly and names every fault as a `Problem`.
* What was proposed together is judged together: a reply with any problem runs nothing and is asked for again.
* A repair repeats the faulty reply as text only, bounded: no provider accepts its own broken calls back.
* Everything is plain data (`msgspec.to_builtins`) and integers, so that requests and replies can be recorded.

>>> call = ToolCall(id="1", name="serach", arguments="{}")
>>> [p.kind for p in check_reply(ModelReply(calls=(call,), stop="tool"), (ToolSpec(name="search"),))]
['unknown_tool']
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from flyball.core.artifact import Artifact
from flyball.core.canonical import MAX_BYTES, parse_json
from flyball.core.errors import FlyballError
from flyball.core.guard import Signal

Role = Literal["system", "user", "assistant", "tool"]
Ending = Literal["end", "tool", "length", "filter", "other"]
# A name is a line `model.NAME` in app.plugs.
Adapter = Literal["openai", "anthropic", "gemini", "scripted"]
ModelFault = Literal["rate_limited", "timeout", "unavailable", "bad_request", "auth", "bad_reply", "reply_too_large"]
ProblemKind = Literal[
    "invalid_arguments", "unknown_tool", "repeated_id", "missing_id", "nothing", "cut_short", "filtered",
    "invalid_output",
]  # fmt: skip

# A provider that refuses before any model has run charges nothing.
_FREE: Final[frozenset[ModelFault]] = frozenset({"rate_limited", "bad_request", "auth"})
_RETRYABLE: Final[frozenset[ModelFault]] = frozenset({"rate_limited", "timeout", "unavailable", "bad_reply"})
MAX_QUOTED: Final = 2_000
_IMAGES: Final = ("image/png", "image/jpeg", "image/webp")
PDF: Final = "application/pdf"
# What each adapter can carry: of other files a model is told the name and type, as it stands in the data.
TAKEN: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": (*_IMAGES, "image/gif", PDF), "anthropic": (*_IMAGES, "image/gif", PDF),
    "gemini": (*_IMAGES, PDF), "scripted": (*_IMAGES, "image/gif", PDF),
}  # fmt: skip
LOOKED_AT: Final[frozenset[str]] = frozenset(each for taken in TAKEN.values() for each in taken)
"""The types of files that are shown to a model wherever they stand in an input or a result."""
_PIECE: Final = re.compile(r"\s*\S+\s*|\s+")
# Told each piece of an answer's text as it arrives: provisional, because what it becomes may be refused or redacted.
OnDelta = Callable[[str], None]


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """One call that a model proposes; `arguments` is the JSON text exactly as the model wrote it, but for what guards
    redacted before anybody kept it: then `screened` is what they said of it."""

    id: str
    name: str
    arguments: str = "{}"
    screened: Mapping[str, Signal] | msgspec.UnsetType = msgspec.UNSET


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message of the context.

    `calls` belong to an assistant's message; `call_id` and `name` (the tool) to a tool's. On an assistant's message
    `name` is the agent that said it, empty for the agent that is asked, and `echo` is the `ModelReply.echo` that came
    with it. `artifacts` are files that a model looks at beside the text.
    """

    role: Role
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    call_id: str = ""
    name: str = ""
    # Unset leaves no trace in what is recorded of a message.
    echo: str | msgspec.UnsetType = msgspec.UNSET
    artifacts: tuple[Artifact, ...] | msgspec.UnsetType = msgspec.UNSET


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A tool as a model is told of it; `schema` is the JSON schema of its arguments."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = {}


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One question to one model.

    `model` is the provider's name for it; `max_tokens` the most it may write (above 0: the reserve rests on it);
    `temperature_milli` thousandths, None for the provider's own; `deadline_ms` how long the call may take from now, 0
    for the configured time; `role` and `agent` say who asks; `traceparent` is the W3C header of this call, if any.
    `files` are the bytes of its messages' artifacts by digest, there only while it is asked.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    output_schema: Mapping[str, Any] | None = None
    max_tokens: int = 4_096
    temperature_milli: int | None = None
    deadline_ms: int = 0
    role: str = "executor"
    agent: str = ""
    traceparent: str = ""
    files: Mapping[str, bytes] = {}

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files of all messages, each once, in order."""
        return tuple(dict.fromkeys(a for m in self.messages for a in m.artifacts or ()))


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens read and written. Of `input`, `cached` were read from the provider's cache and `written` put into it.

    `estimated`: counted here, not by the provider.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    written: int = 0
    estimated: bool = False


class ModelReply(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered.

    `model` is the version that the provider names, empty where it names none. `echo` is the reply in the provider's own
    form, where the same model has to be given it back unchanged; it is opaque.
    """

    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage = Usage()
    model: str = ""
    stop: Ending = "end"
    provider_id: str = ""
    echo: str | msgspec.UnsetType = msgspec.UNSET


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One `[models.NAME]` of the configuration.

    `key` names where the key is (`env:NAME`, `file:PATH`, empty for none), never the key. `price` is the name in the
    price table where it differs from `model`; `limit_field` the wire name of `max_tokens`, by the host if "auto";
    `script` the file that a scripted model plays; `at_once` the most calls under way; `cache` asks a provider that
    caches on request to do so; `stream` asks for answers in pieces where policy lets them be shown; `files` are the
    media types that it can be shown (None: what its adapter can carry); `latency_ms` is how long an answer is expected
    to take. Times are milliseconds.
    """

    name: str
    adapter: str = "openai"
    model: str = ""
    base_url: str = ""
    key: str = ""
    fallback: tuple[str, ...] = ()
    region: str = ""
    vendor: str = ""
    max_tokens: int = 4_096
    temperature_milli: int | None = None
    timeout_ms: int = 120_000
    connect_ms: int = 10_000
    limit_field: Literal["auto", "max_tokens", "max_completion_tokens"] = "auto"
    price: str = ""
    script: str = ""
    at_once: int = 32
    cache: bool = False
    stream: bool = False
    latency_ms: int = 0
    files: tuple[str, ...] | None = None

    def takes(self, media_type: str) -> bool:
        """Can a file of this type be shown to it? `files` says so, else what its adapter can carry."""
        known = TAKEN.get(self.adapter, ()) if self.files is None else self.files
        return media_type in known

    @property
    def priced_as(self) -> str:
        """The name to look up in the price table."""
        return self.price or ("scripted" if self.adapter == "scripted" else self.model)


class ModelError(FlyballError):
    """A model call that gave no reply, in one of six kinds.

    `retryable`: the same request may succeed later; `retry_after_ms`: the provider asked to wait that long; `sent`: at
    least part of the request left this machine; `begun`: an answer had begun to arrive;
    `over`: its question has no time left, for this model or another.
    """

    def __init__(
        self, kind: ModelFault, what: str, why: str = "", fix: str = "", *, sent: bool, retryable: bool | None = None,
        retry_after_ms: int | None = None, data: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(f"model_{kind}", what, why, fix, data)
        self.kind: ModelFault = kind
        self.sent = sent
        self.retryable = kind in _RETRYABLE if retryable is None else retryable
        self.retry_after_ms = retry_after_ms
        self.begun = False
        self.over = False

    @property
    def may_cost(self) -> bool:
        """Whether the provider may charge for it: then its reservation is settled in full, never as nothing."""
        return self.sent and (self.begun or self.kind not in _FREE)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a reply cannot be used; `detail` is written for the model that is asked again."""

    kind: ProblemKind
    detail: str
    call_id: str = ""
    name: str = ""


class ParsedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A proposed call whose arguments are one JSON object; whether they fit the tool is the gate's to say."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    screened: Mapping[str, Signal] = {}


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of a reply that could be read, and what is wrong with the others."""

    calls: tuple[ParsedCall, ...] = ()
    problems: tuple[Problem, ...] = ()


def pieces(text: str) -> list[str]:
    """A text word by word, with the blanks behind each, as who plays a model streams it."""
    return _PIECE.findall(text)


def parse_calls(calls: Sequence[ToolCall], names: Collection[str], *, max_bytes: int = MAX_BYTES) -> Parsed:
    """Takes proposed calls apart strictly. `names` are the tools on offer; `max_bytes` bounds one set of arguments.

    Empty arguments count as `{}`, because providers write a call without arguments so. Never raises for what a model
    wrote.
    """
    good: list[ParsedCall] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for call in calls:
        problem = _identity_problem(call, names, seen)
        seen.add(call.id)
        if problem is None:
            read = _read(call, max_bytes)
            good.extend([read] if isinstance(read, ParsedCall) else [])
            problem = read if isinstance(read, Problem) else None
        if problem is not None:
            problems.append(problem)
    return Parsed(calls=tuple(good), problems=tuple(problems))


def check_reply(reply: ModelReply, tools: Sequence[ToolSpec], *, max_bytes: int = MAX_BYTES) -> tuple[Problem, ...]:
    """Everything that keeps a reply from being used, in order; empty where it can be."""
    if reply.stop == "filter":
        return (Problem(kind="filtered", detail="The provider withheld the answer."),)
    if reply.stop == "length":
        return (Problem(kind="cut_short", detail="The answer was cut off at its length limit. Answer more briefly."),)
    if not reply.calls and not reply.text.strip():
        return (Problem(kind="nothing", detail="The answer was empty. Call a tool or answer in text."),)
    return parse_calls(reply.calls, {tool.name for tool in tools}, max_bytes=max_bytes).problems


def repair(reply: ModelReply, problems: Sequence[Problem]) -> tuple[Message, Message]:
    """Two messages that ask the same model again: its own reply as bounded text, and what was wrong with it."""
    said = [reply.text] if reply.text else []
    said += [f"[call {_clip(c.name, 64)} {_clip(c.arguments, 200)}]" for c in reply.calls[:8]]
    faults = "\n".join(f"- {p.detail}" for p in problems[:8])
    asked = f"Your last answer was not used; none of its calls ran:\n{faults}\nAnswer again."
    return (
        Message(role="assistant", text=_clip("\n".join(said) or "(empty)", MAX_QUOTED)),
        Message(role="user", text=_clip(asked, MAX_QUOTED), name="flyball"),
    )


def candidates(configs: Mapping[str, ModelConfig], name: str) -> tuple[str, ...]:
    """The models to ask, in order: `name`, its own fallbacks, then theirs; each once.

    Raises FlyballError `unknown_model` for a name that is not configured, `fallback_cycle` where a model falls back on
    itself.
    """
    _refuse_cycle(configs, name, ())
    order = [name]
    for known in order:
        order += [f for f in dict.fromkeys(configs[known].fallback) if f not in order]
    return tuple(order)


def _refuse_cycle(configs: Mapping[str, ModelConfig], name: str, above: tuple[str, ...]) -> None:
    if name in above:
        ring = " -> ".join((*above[above.index(name) :], name))
        raise FlyballError("fallback_cycle", f"model {name} falls back on itself", ring, "Remove one of the fallbacks")
    if name not in configs:
        by = f"model {above[-1]} falls back on it" if above else ""
        why, fix = by or _there(configs), _meant(name, configs)
        raise FlyballError("unknown_model", f"there is no model {name!r}", why, fix, {"name": name})
    for fallback in configs[name].fallback:
        _refuse_cycle(configs, fallback, (*above, name))


def _there(configs: Mapping[str, ModelConfig]) -> str:
    return f"configured are: {', '.join(sorted(configs))}" if configs else "no model is configured"


def _meant(name: str, configs: Mapping[str, ModelConfig]) -> str:
    near = nearest(name, configs)
    if near:
        return f"Did you mean {near}?"
    variables = "Set FLYBALL_MODEL=openai:NAME and OPENAI_API_KEY, or write " if name == "default" else "Write "
    return f"{variables}[models.{name}] in flyball.toml."


def nearest(word: str, words: Iterable[str]) -> str:
    """The known word most like a misspelt one; empty where none is alike."""
    return next(iter(difflib.get_close_matches(word[:64], list(words), n=1, cutoff=0.5)), "")


def _identity_problem(call: ToolCall, names: Collection[str], seen: Collection[str]) -> Problem | None:
    shown = _clip(call.name, 64)
    if not call.id:
        return Problem(kind="missing_id", name=shown, detail=f"A call of {shown} has no id.")
    if call.id in seen:
        detail = f"Two calls have the id {_clip(call.id, 64)}. Give each call an id of its own."
        return Problem(kind="repeated_id", call_id=call.id, name=shown, detail=detail)
    if call.name not in names:
        guess = nearest(call.name, names)
        offer = f" Did you mean {guess}?" if guess else f" Tools: {', '.join(sorted(names)[:20]) or 'none'}."
        detail = f"There is no tool {shown}.{offer}"
        return Problem(kind="unknown_tool", call_id=call.id, name=shown, detail=detail)
    return None


def _read(call: ToolCall, max_bytes: int) -> ParsedCall | Problem:
    try:
        arguments = parse_json(call.arguments if call.arguments.strip() else "{}", max_bytes=max_bytes)
    except FlyballError as bad:
        return _bad_arguments(call, bad.why)
    if not isinstance(arguments, dict):
        return _bad_arguments(call, "they must be one JSON object")
    screened: Mapping[str, Signal] = call.screened or {}
    return ParsedCall(id=call.id, name=call.name, arguments=arguments, screened=screened)


def _bad_arguments(call: ToolCall, why: str) -> Problem:
    detail = f"The arguments of {call.name} cannot be read: {_clip(why, 200)}."
    return Problem(kind="invalid_arguments", call_id=call.id, name=call.name, detail=detail)


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
