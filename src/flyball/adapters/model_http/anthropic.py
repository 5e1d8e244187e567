"""Anthropic's messages: a request as bytes, a reply or a refusal out of bytes. No I/O, no clock.

https://platform.claude.com/docs/en/api/messages; the form of its errors: https://platform.claude.com/docs/en/api/errors
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flyball.adapters.model_http.echo import given_back, kept
from flyball.adapters.model_http.strict import narrowed
from flyball.adapters.model_http.wire import (
    NO_ARGUMENTS,
    Response,
    Said,
    counted,
    decoded,
    encoded,
    failed_inside,
    opening,
    read,
    refused,
    text_of,
    unknown_usage,
    words,
)  # fmt: skip
from flyball.core.model import Ending, Message, ModelReply, ModelRequest, ToolCall, Usage

VERSION: Final = "2023-06-01"
_BY: Final = "anthropic"
_ENDINGS: Final[dict[str | None, Ending]] = {
    "end_turn": "end", "stop_sequence": "end", "tool_use": "tool", "max_tokens": "length",
    "model_context_window_exceeded": "length", "refusal": "filter",
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

    def path(self, model: str) -> str:
        """The same for every model."""
        return "/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        """The version of the format, and the key."""
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def body(self, request: ModelRequest) -> bytes:
        """The JSON of a request. Raises ModelError, unsent."""
        body: dict[str, Any] = {
            "model": request.model, "max_tokens": request.max_tokens, "messages": _turns(request),
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
        return encoded(body, request)

    def reply(self, response: Response, request: ModelRequest, key: str) -> ModelReply:
        """The reply in a response; raises the ModelError that it amounts to."""
        if not 200 <= response.status < 300:
            raise refused(response, _said(response.body), key)
        if (inside := read(response.body, _Refusal)) is not None:
            raise failed_inside(words(inside.error.message), key)
        message = decoded(response.body, _Message, "a message", key)
        blocks = [decoded(bytes(raw), _Block, "a block of content", key) for raw in message.content]
        calls = tuple(
            ToolCall(id=b.id, name=b.name, arguments=text_of(bytes(b.input), "the arguments of a call"))
            for b in blocks if b.type == "tool_use"
        )  # fmt: skip
        reply = ModelReply(
            text="".join(b.text for b in blocks if b.type == "text"), calls=calls,
            usage=self._usage(message.usage, request), model=message.model or "",
            stop=_ending(message.stop_reason, calls), provider_id=message.id or "",
        )  # fmt: skip
        if calls and any(b.type in _THOUGHTS for b in blocks):
            return msgspec.structs.replace(reply, echo=kept(_BY, request.model, message.content))
        return reply

    def _usage(self, usage: _Usage | None, request: ModelRequest) -> Usage:
        if usage is not None:
            return _usage(usage)
        most = unknown_usage(request)
        return msgspec.structs.replace(most, written=most.input) if self.cache else most


def _turns(request: ModelRequest) -> list[dict[str, Any]]:
    """User and assistant by turns; the results of calls stand together in the user's turn that follows them."""
    turns: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"] += _blocks(message, request.model)
    return [{**turn, "content": turn["content"] or [_text("(empty)")]} for turn in turns]


def _blocks(message: Message, model: str) -> Iterable[Any]:
    own = given_back(message, _BY, model)
    if own is not None:
        return own
    if message.role == "tool":
        return [{"type": "tool_result", "tool_use_id": _id(message.call_id), "content": message.text}]
    calls = [
        {"type": "tool_use", "id": _id(c.id), "name": c.name, "input": _object(c.arguments)} for c in message.calls
    ]
    # A text of blanks is refused.
    return [_text(message.text), *calls] if message.text.strip() else calls


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _id(id: str) -> str:
    # Another provider's ids may hold what this one refuses.
    return re.sub(r"[^a-zA-Z0-9_-]", "_", id)


def _object(arguments: str) -> Any:
    return read(arguments.encode(errors="replace"), dict[str, Any]) or {}


def _ending(reason: str | None, calls: tuple[ToolCall, ...]) -> Ending:
    ending = _ENDINGS.get(reason, "other")
    return "tool" if calls and ending in ("end", "other") else ending


def _usage(usage: _Usage) -> Usage:
    # input_tokens is what was neither read from the cache nor written to it.
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return counted(
        input=usage.input_tokens + cached + written, output=usage.output_tokens, cached=cached, written=written
    )


def _said(body: bytes) -> Said:
    refusal = read(body, _Refusal)
    if refusal is None:
        return Said(message=opening(body))
    fault, code = refusal.error, words(refusal.error.type)
    detail = fault.details.get("error_code") if isinstance(fault.details, dict) else None
    spent = code == "billing_error" or detail == "enforced_spend_limit_reached"
    return Said(message=words(fault.message), code=words(detail) or code, spent=spent)
