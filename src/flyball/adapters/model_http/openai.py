"""OpenAI's chat completions: a request as bytes, a reply or a refusal out of bytes. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flyball.adapters.model_http.wire import (
    NO_ARGUMENTS,
    Response,
    Said,
    counted,
    decoded,
    encoded,
    failed_inside,
    garbage,
    opening,
    read,
    refused,
    text_of,
    unknown_usage,
    words,
)  # fmt: skip
from flyball.core.model import Ending, Message, ModelError, ModelReply, ModelRequest, ToolCall, Usage

_ENDINGS: Final[dict[str | None, Ending]] = {
    "stop": "end", "tool_calls": "tool", "function_call": "tool", "length": "length", "content_filter": "filter",
}  # fmt: skip


class _Function(msgspec.Struct):
    name: str
    # Most write JSON text as the format says, some the object itself.
    arguments: msgspec.Raw = msgspec.Raw(b'""')


class _Call(msgspec.Struct):
    function: _Function
    id: str | None = None


class _Part(msgspec.Struct):
    text: str = ""


class _Answer(msgspec.Struct):
    content: str | list[_Part] | None = None
    tool_calls: list[_Call] | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Answer
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Fault(msgspec.Struct):
    message: Any = None
    code: Any = None
    type: Any = None


class _Completion(msgspec.Struct):
    choices: list[_Choice] = []
    id: str | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: _Fault | str | None = None


class _Refusal(msgspec.Struct):
    error: _Fault | str | None = None
    message: Any = None


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """The format, as an endpoint speaks it; `limit_field` is what it calls `max_tokens`."""

    limit_field: str
    base: str = "https://api.openai.com/v1"

    def path(self, model: str) -> str:
        """The same for every model."""
        return "/chat/completions"

    def headers(self, key: str) -> Mapping[str, str]:
        """The key as a bearer token (RFC 6750)."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, request: ModelRequest) -> bytes:
        """The JSON of a request. Raises ModelError, unsent."""
        body: dict[str, Any] = {"model": request.model, "messages": [_message(m) for m in request.messages]}
        if request.tools:
            body["tools"] = [
                {"type": "function", "function": {
                    "name": t.name, "description": t.description, "parameters": t.schema or NO_ARGUMENTS,
                }} for t in request.tools
            ]  # fmt: skip
        if request.output_schema is not None:
            named = {"name": "output", "schema": request.output_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": named}
        if request.temperature_milli is not None:
            body["temperature"] = request.temperature_milli / 1000
        body[self.limit_field] = request.max_tokens
        return encoded(body, request)

    def reply(self, response: Response, request: ModelRequest, key: str) -> ModelReply:
        """The reply in a response; raises the ModelError that it amounts to."""
        if not 200 <= response.status < 300:
            raise refused(response, _said(response.body), key)
        completion = decoded(response.body, _Completion, "a chat completion", key)
        if completion.error is not None:
            raise _error_in_body(completion.error, response, key)
        if not completion.choices:
            raise garbage("it has no choices")
        answer, finish = completion.choices[0].message, completion.choices[0].finish_reason
        calls = _calls(answer.tool_calls or [], completion.id or "call")
        return ModelReply(
            text=_text(answer), calls=calls, usage=_usage(completion.usage, request), model=completion.model or "",
            stop=_ending(finish, calls, answer.refusal), provider_id=completion.id or "",
        )  # fmt: skip


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    if not message.calls:
        return {"role": message.role, "content": message.text}
    calls = [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": c.arguments or "{}"}}
        for c in message.calls
    ]
    return {"role": message.role, "content": message.text or None, "tool_calls": calls}


def _text(answer: _Answer) -> str:
    if isinstance(answer.content, list):
        return "".join(part.text for part in answer.content)
    return answer.content or answer.refusal or ""


def _calls(calls: list[_Call], reply: str) -> tuple[ToolCall, ...]:
    # An id that the provider leaves out is made up from the reply's own, so that the results can name it.
    return tuple(
        ToolCall(id=f"{reply}-{n}" if c.id is None else c.id, name=c.function.name, arguments=_arguments(c.function))
        for n, c in enumerate(calls)
    )


def _arguments(function: _Function) -> str:
    raw = bytes(function.arguments)
    if raw == b"null":
        return ""
    if not raw.startswith(b'"'):
        return text_of(raw, "the arguments of a call")
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise garbage("the arguments of a call are no text") from bad


def _ending(finish: str | None, calls: tuple[ToolCall, ...], refusal: str | None) -> Ending:
    if refusal:
        return "filter"
    ending = _ENDINGS.get(finish, "other")
    # Several servers say "stop" after a call.
    return "tool" if calls and ending in ("end", "other") else ending


def _usage(usage: _Usage | None, request: ModelRequest) -> Usage:
    if usage is None:
        return unknown_usage(request)
    cached = (usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0) or 0
    return counted(input=usage.prompt_tokens, output=usage.completion_tokens, cached=cached)


def _error_in_body(error: _Fault | str, response: Response, key: str) -> ModelError:
    # Some routers answer 200 and tell of the error inside; their code is the status they were given.
    code = error.code if isinstance(error, _Fault) else None
    if type(code) is int and 300 <= code < 600:
        return refused(msgspec.structs.replace(response, status=code), _said(response.body), key)
    return failed_inside(_of(error).message, key)


def _said(body: bytes) -> Said:
    refusal = read(body, _Refusal)
    if refusal is None:
        return Said(message=opening(body))
    return Said(message=words(refusal.message)) if refusal.error is None else _of(refusal.error)


def _of(error: _Fault | str) -> Said:
    if isinstance(error, str):
        return Said(message=error)
    code = words(error.code) or words(error.type)
    spent = code in ("insufficient_quota", "billing_hard_limit_reached")
    return Said(message=words(error.message), code=code, spent=spent)
