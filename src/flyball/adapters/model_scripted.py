"""A model that plays a script, for tests and demonstrations; it says so in every reply (`scripted:NAME`).

    script = "desk"
    [[reply]]
    agent = "writer"                                # empty or left out: any agent
    when = "forward the price list to"              # this text stands in some message of the context
    capture = { thief = "price list to (\\\\S+@\\\\S+)" }
    [[reply.call]]
    tool = "send_mail"
    arguments = { to = "${thief}", body = "as asked" }
    [[reply]]
    agent = "writer"
    from = { total = "find_prices:/total" }         # a JSON pointer into the last result of that tool
    output = { total = "${total}" }                 # alone, a placeholder keeps its type; `${x:int}` reads text as one

Rules:

* Step n of an agent is the one after n-1 messages of its own in the context. Nothing else is counted or remembered, so
  a process that crashed and came back gets the same reply.
* Of an agent's replies the first that fits and was not used at an earlier step is played: write the special above the
  general. A reply with `repeat = true` is never used up.
* `when`, `matches` look at every message, `when_last`, `matches_last` at the last; `step` at the number. All must hold.
  JSON in a message is also read as its bare texts, so that a pattern meets neither quotes nor escapes.
* Placeholders come from `capture` (a pattern; the latest message that has it), from named groups of `matches`, and from
  `from` (`TOOL:/pointer`; `input:/pointer` is the last message of the user).
* `error`, `raw`, `id` and `stop` play models and providers that misbehave; an `error` with a `text` comes after
  that was streamed.
* Token counts are characters divided by four, and marked as estimates.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.model import (
    Ending,
    Message,
    ModelError,
    ModelFault,
    ModelReply,
    ModelRequest,
    OnDelta,
    ToolCall,
    Usage,
    nearest,
    pieces,
)

INPUT: Final = "input"
_MAX_SCRIPT: Final = 4 * 1_048_576
_PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_]\w*)(?::(int|number))?\}|\$\{")
_MISSING: Final = object()


class ScriptCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call to propose. `raw` is sent as the arguments as it stands, `id` instead of one made from the step."""

    tool: str
    arguments: Mapping[str, Any] = {}
    raw: str | None = None
    id: str = ""


class ScriptReply(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reply of a script: for whom and when, what it takes from the context, what it says (see the module)."""

    agent: str = ""
    step: int | None = None
    when: str = ""
    when_last: str = ""
    matches: str = ""
    matches_last: str = ""
    repeat: bool = False
    capture: Mapping[str, str] = {}
    sources: Mapping[str, str] = msgspec.field(name="from", default={})
    text: str | None = None
    output: Any = None
    call: tuple[ScriptCall, ...] = ()
    error: ModelFault | None = None
    stop: Ending | None = None


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """A checked script; `digest` is the SHA-256 of its text, in hex, empty where it was made in Python."""

    name: str
    replies: tuple[ScriptReply, ...]
    digest: str = ""


def load_script(path: str | Path) -> Script:
    """Reads a script from a file; raises FlyballError `bad_script` naming the file, the reply and the key."""
    place = Path(path).expanduser()
    try:
        with place.open("rb") as file:
            raw = file.read(_MAX_SCRIPT + 1)
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as bad:
        raise _bad(f"script {place} cannot be read", getattr(bad, "strerror", "") or "it is not UTF-8") from bad
    if len(raw) > _MAX_SCRIPT:
        raise _bad(f"script {place} is too large", f"more than {_MAX_SCRIPT} bytes")
    return parse_script(text, place.stem)


def parse_script(text: str, name: str) -> Script:
    """Reads a script from TOML; `name` is used where the text gives none. Raises FlyballError `bad_script`."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as bad:
        raise _bad(f"script {name} is not TOML", str(bad)) from bad
    except RecursionError as bad:
        raise _bad(f"script {name} is not TOML", "it is nested too deeply") from bad
    _known(data, ("script", "reply"), f"script {name}")
    title, replies = data.get("script", name), data.get("reply", [])
    if not isinstance(title, str) or not isinstance(replies, list):
        raise _bad(f"script {name}: script is not a name, or reply not a list", fix="Write [[reply]] above each reply")
    read = tuple(_reply(r, f"script {title}, reply {n}") for n, r in enumerate(replies, 1))
    return checked(Script(name=title, replies=read, digest=hashlib.sha256(text.encode()).hexdigest()))


def checked(script: Script) -> Script:
    """The script itself, once each reply says one thing, patterns compile and placeholders have a source."""
    for number, reply in enumerate(script.replies, 1):
        where = f"script {script.name}, reply {number}"
        said = [n for n in ("output", "error") if getattr(reply, n) is not None]
        half = reply.error is not None and not reply.call
        said += ["text or calls"] if (reply.text is not None and not half) or reply.call else []
        if len(said) != 1:
            raise _bad(f"{where} says {' and '.join(said) or 'nothing'}", "", "Give text, output, error or calls")
        if reply.step is not None and reply.step < 1:
            raise _bad(f"{where}: step {reply.step}", "the first step is 1")
        _check_placeholders(reply, where)
    return script


class ScriptedModel:
    """Plays a script. Holds nothing but the script."""

    def __init__(self, script: Script) -> None:
        """Takes a script as `load_script` and `checked` give it."""
        self._script = script
        self._closed = False

    @property
    def scripted(self) -> bool:
        """No model thinks here."""
        return True

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None, /) -> ModelReply:
        """The reply for this context; raises ModelError `bad_reply` where the script has none or cannot fill one in."""
        if self._closed:
            raise ModelError("unavailable", f"script {self._script.name} is closed", sent=False, retryable=False)
        reply, error = played(self._script, request)
        if on_delta is not None:
            for piece in pieces(reply.text):
                on_delta(piece)
                await asyncio.sleep(0)  # whoever watches hears each
        if error is not None:
            raise error
        return reply

    async def close(self) -> None:
        """Refuses later requests."""
        self._closed = True


def play(script: Script, request: ModelRequest) -> ModelReply:
    """What the script answers to a request: a function of its messages and its agent alone. Raises ModelError."""
    reply, error = played(script, request)
    if error is not None:
        raise error
    return reply


def played(script: Script, request: ModelRequest) -> tuple[ModelReply, ModelError | None]:
    """The same, with the error that comes after it."""
    context = _Context(request.messages)
    step, number = _choose(script, request.agent, context)
    where = f"script {script.name}: agent {request.agent or '(unnamed)'}, step {step}"
    if number is None:
        given = sum(r.agent in ("", request.agent) for r in script.replies)
        _fault(f"{where}: no reply is left", f"of its {given} replies none fits here that was not used before")
    reply = script.replies[number]
    error = None
    if reply.error is not None:
        error = ModelError(reply.error, f"{where}: the script plays this error", sent=True)
        error.begun = bool(reply.text)
    filler = _Filler(reply, context, f"{where}, reply {number + 1}")
    text = filler.json(reply.output) if reply.output is not None else filler.text(reply.text or "")
    calls = tuple(_proposed(c, f"s{step}-{n}", filler) for n, c in enumerate(reply.call, 1))
    said = len(text) + sum(len(c.name) + len(c.arguments) for c in calls)
    return ModelReply(
        text=text, calls=calls, usage=Usage(input=_quarter(context.size), output=_quarter(said), estimated=True),
        model=f"scripted:{script.name}", stop=reply.stop or ("tool" if calls else "end"),
        provider_id=f"{script.name}/{request.agent}/{step}",
    ), error  # fmt: skip


class _Context:
    """The messages of a request as a script reads them: each as its text, and as the bare texts of its JSON."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.messages = messages
        self.data = [_json_in(m.text) for m in messages]
        self.texts = [
            (m.text,) if d is _MISSING else ("\n".join(_leaves(d)), m.text)
            for m, d in zip(messages, self.data, strict=True)
        ]
        self.size = sum(len(m.text) + sum(len(c.name) + len(c.arguments) for c in m.calls) for m in messages)

    def steps(self, agent: str) -> list[int]:
        """Where each step's context ends: before each message of the agent's own, and at the end."""
        own = [n for n, m in enumerate(self.messages) if m.role == "assistant" and m.name in ("", agent)]
        return [*own, len(self.messages)]

    def has(self, text: str, start: int, end: int) -> bool:
        return any(text in t for texts in self.texts[start:end] for t in texts)

    def find(self, pattern: str, start: int, end: int) -> re.Match[str] | None:
        for texts in reversed(self.texts[start:end]):
            for text in texts:
                if found := re.search(pattern, text):
                    return found
        return None

    def result(self, tool: str) -> Any:
        """The last result of a tool as data, or as text where it is no JSON; _MISSING where there is none."""
        names = {c.id: c.name for m in self.messages for c in m.calls}
        for message, data in zip(reversed(self.messages), reversed(self.data), strict=True):
            answers = message.role == "tool" and (message.name or names.get(message.call_id)) == tool
            asks = tool == INPUT and message.role == "user" and message.name != "flyball"
            if answers or asks:
                return message.text if data is _MISSING else data
        return _MISSING


class _Filler:
    """Fills the placeholders of one reply from a context."""

    def __init__(self, reply: ScriptReply, context: _Context, where: str) -> None:
        self.where = where
        end = len(context.messages)
        self.values: dict[str, Any] = {}
        for pattern, start in ((reply.matches, 0), (reply.matches_last, max(0, end - 1))):
            found = context.find(pattern, start, end) if pattern else None
            self.values.update(found.groupdict("") if found else {})
        for name, pattern in reply.capture.items():
            found = context.find(pattern, 0, end)
            if found is None:
                _fault(f"{where}: nothing in the context matches the capture {name}", pattern)
            self.values[name] = _group(found, name)
        for name, source in reply.sources.items():
            self.values[name] = self._taken(context, name, source)

    def _taken(self, context: _Context, name: str, source: str) -> Any:
        tool, _, pointer = source.partition(":")
        result = context.result(tool)
        if result is _MISSING:
            _fault(f"{self.where}: {name} comes from {tool}, which has given nothing yet", source)
        value = _at(result, pointer)
        if value is _MISSING:
            kind = ", ".join(sorted(result)[:20]) if isinstance(result, dict) else type(result).__name__
            _fault(f"{self.where}: {name} comes from {source}, which is not there", f"the result is: {kind}")
        return value

    def text(self, template: str) -> str:
        """A template with its placeholders filled in."""
        return _PLACEHOLDER.sub(lambda m: _spelt(self._value(m)), template)

    def json(self, template: Any) -> str:
        """Data with its placeholders filled in, as JSON text."""
        return msgspec.json.encode(self._filled(template)).decode()

    def _filled(self, node: Any) -> Any:
        if isinstance(node, str):
            whole = _PLACEHOLDER.fullmatch(node)
            return self._value(whole) if whole else self.text(node)
        if isinstance(node, Mapping):
            return {key: self._filled(value) for key, value in node.items()}
        return [self._filled(value) for value in node] if isinstance(node, (list, tuple)) else node

    def _value(self, found: re.Match[str]) -> Any:
        name, kind = found.groups()
        if name is None:
            return "${"
        value = self.values[name]
        if kind is None:
            return value
        try:
            return int(value) if kind == "int" else float(value)
        except (TypeError, ValueError):
            _fault(f"{self.where}: {name} is no {kind}", repr(value)[:80])


def _choose(script: Script, agent: str, context: _Context) -> tuple[int, int | None]:
    # Earlier steps are chosen again from the messages they had: that is all the memory there is.
    used: set[int] = set()
    chosen: int | None = None
    steps = context.steps(agent)
    for step, end in enumerate(steps, 1):
        fitting = (
            n for n, r in enumerate(script.replies)
            if n not in used and r.agent in ("", agent) and _fits(r, step, context, end)
        )  # fmt: skip
        chosen = next(fitting, None)
        if chosen is not None and not script.replies[chosen].repeat:
            used.add(chosen)
    return len(steps), chosen


def _fits(reply: ScriptReply, step: int, context: _Context, end: int) -> bool:
    last = max(0, end - 1)
    return (
        reply.step in (None, step)
        and (not reply.when or context.has(reply.when, 0, end))
        and (not reply.when_last or context.has(reply.when_last, last, end))
        and (not reply.matches or context.find(reply.matches, 0, end) is not None)
        and (not reply.matches_last or context.find(reply.matches_last, last, end) is not None)
    )


def _proposed(call: ScriptCall, id: str, filler: _Filler) -> ToolCall:
    arguments = filler.json(call.arguments) if call.raw is None else call.raw
    return ToolCall(id=call.id or id, name=call.tool, arguments=arguments)


def _reply(data: Any, where: str) -> ScriptReply:
    if not isinstance(data, dict):
        raise _bad(f"{where} is not a table")
    _known(data, tuple(f.encode_name for f in msgspec.structs.fields(ScriptReply)), where)
    calls = data.get("call", [])
    for call in calls if isinstance(calls, list) else []:
        _known(call if isinstance(call, dict) else {}, ScriptCall.__struct_fields__, f"{where}, call")
    try:
        return msgspec.convert(data, ScriptReply)
    except msgspec.ValidationError as bad:
        raise _bad(where, str(bad)) from bad


def _check_placeholders(reply: ScriptReply, where: str) -> None:
    patterns = [reply.matches, reply.matches_last, *reply.capture.values()]
    try:
        compiled = [re.compile(p) for p in patterns]
    except re.error as bad:
        raise _bad(f"{where}: {bad.pattern!r} is no pattern", str(bad)) from bad
    for name, source in reply.sources.items():
        tool, colon, pointer = source.partition(":")
        if not tool or not colon or (pointer and not pointer.startswith("/")):
            raise _bad(f"{where}: {name} = {source!r}", "a source is TOOL:/pointer (RFC 6901)")
    known = {*reply.capture, *reply.sources, *(g for c in compiled[:2] for g in c.groupindex)}
    templates = [reply.text, reply.output, *(c.arguments for c in reply.call)]
    for found in (f for template in templates for leaf in _leaves(template) for f in _PLACEHOLDER.finditer(leaf)):
        if found[0] == "${":
            raise _bad(f"{where}: a placeholder is not closed", fix="Write ${name}, or $${ for the bare characters")
        if found[1] and found[1] not in known:
            guess = nearest(found[1], known)
            fix = f"Did you mean {guess}?" if guess else "Add it to capture or from"
            raise _bad(f"{where}: nothing gives {found[0]} a value", fix=fix)


def _known(data: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for key in data:
        if key not in names:
            guess = nearest(key, names)
            fix = f"Did you mean {guess}?" if guess else f"Known: {', '.join(names)}"
            raise _bad(f"{where}: unknown key {key[:64]!r}", fix=fix)


def _json_in(text: str) -> Any:
    # A result may stand in a frame of words ("result of x: {...}"): the first object or list counts.
    start = min((n for n in (text.find("{"), text.find("[")) if n >= 0), default=-1)
    if start < 0:
        return _MISSING
    try:
        return json.JSONDecoder().raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return _MISSING


def _leaves(node: Any) -> Iterator[str]:
    stack = [node]
    while stack:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(reversed(list(item.values())))
        elif isinstance(item, (list, tuple)):
            stack.extend(reversed(item))
        elif item is not None:
            yield item if isinstance(item, str) else _spelt(item)


def _at(value: Any, pointer: str) -> Any:
    """The value at a JSON pointer (RFC 6901), or _MISSING."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _MISSING
    return value


def _group(found: re.Match[str], name: str) -> str:
    if name in found.re.groupindex:
        return found[name] or ""
    return (found[1] or "") if found.re.groups else found[0]


def _spelt(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _quarter(characters: int) -> int:
    return max(1, -(-characters // 4))


def _fault(what: str, why: str) -> NoReturn:
    raise ModelError("bad_reply", what, why, "Extend the script", sent=False, retryable=False)


def _bad(what: str, why: str = "", fix: str = "") -> FlyballError:
    return FlyballError("bad_script", what, why, fix)
