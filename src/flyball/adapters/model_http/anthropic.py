"""Anthropic's messages: a request as bytes, a reply or a refusal out of bytes. No I/O, no clock.

https://platform.claude.com/docs/en/api/messages; the form of its errors: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import msgspec

from flyball.adapters.model_http.echo import kept
from flyball.adapters.model_http.strict import narrowed
from flyball.adapters.model_http.wire import (
    NO_ARGUMENTS,
    Gathering,
    Said,
    arguments_of,
    counted,
    decoded,
    encoded,
    ended,
    garbage,
    object_of,
    read,
    turns,
    unknown_usage,
    words,
)  # fmt: skip
from flyball.core.artifact import Artifact
from flyball.core.model import Ending, Message, ModelReply, ModelRequest, ToolCall, Usage

VERSION: Final = "2023-06-01"
_BY: Final = "anthropic"
_ENDINGS: Final[dict[str | None, Ending]] = {
    "end_turn": "end", "stop_sequence": "end", "tool_use": "tool", "max_tokens": "length",
    "model_context_window_exceeded": "length", "refusal": "filter",
}  # fmt: skip
# What an error is called, and the status it comes with where nothing was said before it.
_STATUS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
    "overloaded_error": 529,
}  # fmt: skip
_THOUGHTS: Final = ("thinking", "redacted_thinking")
# Older models refuse a schema for the answer; the instructions hold it anyway.
_WITHOUT_SCHEMA: Final = (
    "claude-2", "claude-3", "claude-opus-4-0", "claude-opus-4-1", "claude-opus-4-2025", "claude-sonnet-4-0",
    "claude-sonnet-4-2025",
)  # fmt: skip


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Usage(msgspec.Struct):
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class _Message(msgspec.Struct):
    content: list[msgspec.Raw]
    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None


class _Fault(msgspec.Struct):
    type: Any = None
    message: Any = None
    details: Any = None


class _Refusal(msgspec.Struct):
    error: _Fault


@dataclass(frozen=True, slots=True)
class AnthropicWire:
    """The format. `cache`: ask the provider to keep the conversation for the next call, which costs more once."""

    cache: bool = False
    base: str = "https://api.anthropic.com/v1"

    def path(self, model: str, *, stream: bool) -> str:
        """The same for every model."""
        return "/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        """The version of the format, and the key."""
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def body(self, request: ModelRequest, *, stream: bool) -> bytes:
        """The JSON of a request. Raises ModelError, unsent."""
        body: dict[str, Any] = {
            "model": request.model, "max_tokens": request.max_tokens,
            "messages": turns(request, _BY, "assistant", "content", _text("(empty)"), partial(_blocks, request.files)),
        }  # fmt: skip
        system = "\n\n".join(m.text for m in request.messages if m.role == "system" and m.text.strip())
        if system:
            body["system"] = system
        if request.tools:
            body["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": t.schema or NO_ARGUMENTS}
                for t in request.tools
            ]
        schema = None if request.model.startswith(_WITHOUT_SCHEMA) else narrowed(request.output_schema)
        if schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if request.temperature_milli is not None:
            body["temperature"] = request.temperature_milli / 1000
        if self.cache:
            body["cache_control"] = {"type": "ephemeral"}
        if stream:
            body["stream"] = True
        return encoded(body, request)

    def error(self, body: bytes) -> Said | None:
        """What a body or an event says of an error; None where it is none."""
        refusal = read(body, _Refusal)
        if refusal is None:
            return None
        fault, code = refusal.error, words(refusal.error.type)
        detail = fault.details.get("error_code") if isinstance(fault.details, dict) else None
        spent = code == "billing_error" or detail == "enforced_spend_limit_reached"
        said, status = words(fault.message), _STATUS.get(code, 0)
        return Said(message=said, code=words(detail) or code, status=status, spent=spent)

    def gathering(self) -> Gathering:
        """What puts a streamed message together."""
        return _Stream()

    def reply(self, body: bytes, request: ModelRequest, key: str) -> ModelReply:
        """The reply in a message; raises ModelError."""
        message = decoded(body, _Message, "a message", key)
        blocks = [decoded(bytes(raw), _Block, "a block of content", key) for raw in message.content]
        calls = tuple(
            ToolCall(id=b.id, name=b.name, arguments=arguments_of(bytes(b.input)))
            for b in blocks if b.type == "tool_use"
        )  # fmt: skip
        reply = ModelReply(
            text="".join(b.text for b in blocks if b.type == "text"), calls=calls,
            usage=self._usage(message.usage, request), model=message.model or "",
            stop=ended(_ENDINGS.get(message.stop_reason, "other"), calls), provider_id=message.id or "",
        )  # fmt: skip
        if calls and any(b.type in _THOUGHTS for b in blocks):
            return msgspec.structs.replace(reply, echo=kept(_BY, request.model, message.content))
        return reply

    def _usage(self, usage: _Usage | None, request: ModelRequest) -> Usage:
        if usage is not None:
            return _usage(usage)
        most = unknown_usage(request)
        return msgspec.structs.replace(most, written=most.input) if self.cache else most


def _blocks(files: Mapping[str, bytes], message: Message, _: str) -> Iterable[Any]:
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": _id(message.call_id), "content": message.text}]
    calls = [
        {"type": "tool_use", "id": _id(c.id), "name": c.name, "input": object_of(c.arguments)} for c in message.calls
    ]
    shown = [_file(a, files[a.digest]) for a in message.artifacts or ()]
    # A text of blanks is refused.
    return [*shown, _text(message.text), *calls] if message.text.strip() else [*shown, *calls]


def _file(artifact: Artifact, data: bytes) -> dict[str, Any]:
    kind = "image" if artifact.kind == "image" else "document"
    held = {"type": "base64", "media_type": artifact.media_type, "data": b64encode(data).decode()}
    return {"type": kind, "source": held}


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _id(id: str) -> str:
    # Another provider's ids may hold what this one refuses.
    return re.sub(r"[^a-zA-Z0-9_-]", "_", id)


def _usage(usage: _Usage) -> Usage:
    # input_tokens is what was neither read from the cache nor written to it.
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return counted(
        input=usage.input_tokens + cached + written, output=usage.output_tokens, cached=cached, written=written
    )


# streamed -------------------------------------------------------------------------------------------------------------
class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    partial_json: str = ""
    thinking: str = ""
    signature: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: dict[str, Any] | None = None
    index: int = 0
    content_block: dict[str, Any] | None = None
    delta: _Delta | None = None
    usage: dict[str, Any] | None = None


class _Stream:
    """A message in pieces: each block is begun, added to and closed; counts come with the first and the last event."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._inputs: dict[int, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self.over = False

    @property
    def whole(self) -> bool:
        return self.over

    def take(self, data: bytes) -> str:
        event = decoded(data, _Event, "an event of a message", "")
        counts = (event.message or {}).get("usage") or event.usage or {}
        self._usage |= {name: count for name, count in counts.items() if count is not None}
        if event.type == "message_start" and event.message is not None:
            self._message = event.message
        elif event.type == "content_block_start" and event.content_block is not None:
            self._blocks[event.index] = event.content_block
        elif event.type == "content_block_delta" and event.delta is not None:
            return self._added(event.index, event.delta)
        elif event.type == "message_delta" and event.delta is not None:
            self._message["stop_reason"] = event.delta.stop_reason
        elif event.type == "message_stop":
            self.over = True
        return ""

    def _added(self, index: int, delta: _Delta) -> str:
        block = self._blocks.get(index)
        if block is None:
            raise garbage("it adds to a block of content that was not begun")
        if delta.type == "input_json_delta":
            self._inputs.setdefault(index, []).append(delta.partial_json)
        for name in ("text", "thinking", "signature"):
            if delta.type == f"{name}_delta":
                block[name] = words(block.get(name)) + getattr(delta, name)
        return delta.text if delta.type == "text_delta" else ""

    def body(self) -> bytes:
        for index, pieces in self._inputs.items():
            written = "".join(pieces)
            # Arguments that are no JSON stand there as the text that they are: what comes of them is said later.
            whole = read(written.encode(errors="replace"), msgspec.Raw)
            self._blocks[index]["input"] = (written or {}) if whole is None else whole
        usage = self._usage or None
        return msgspec.json.encode({**self._message, "content": list(self._blocks.values()), "usage": usage})
