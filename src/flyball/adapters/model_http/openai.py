"""OpenAI's chat completions: a request as bytes, a reply or a refusal out of bytes. No I/O, no clock."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

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
    read,
    unknown_usage,
    words,
)  # fmt: skip
from flyball.core.artifact import Artifact
from flyball.core.model import Ending, Message, ModelReply, ModelRequest, ToolCall, Usage

_ENDINGS: Final[dict[str | None, Ending]] = {
    "stop": "end", "tool_calls": "tool", "function_call": "tool", "length": "length", "content_filter": "filter",
}  # fmt: skip
# What an error in mid-stream is called, and the status that it comes with where nothing was said before it.
_STATUS: Final[Mapping[str, int]] = {
    "invalid_request_error": 400, "rate_limit_exceeded": 429, "insufficient_quota": 429, "server_error": 500,
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


class _Refusal(msgspec.Struct):
    error: _Fault | str | None = None
    message: Any = None


@dataclass(frozen=True, slots=True)
class OpenAIWire:
    """The format, as an endpoint speaks it; `limit_field` is what it calls `max_tokens`."""

    limit_field: str
    base: str = "https://api.openai.com/v1"

    def path(self, model: str, *, stream: bool) -> str:
        """The same for every model."""
        return "/chat/completions"

    def headers(self, key: str) -> Mapping[str, str]:
        """The key as a bearer token (RFC 6750)."""
        return {"Authorization": f"Bearer {key}"} if key else {}

    def body(self, request: ModelRequest, *, stream: bool) -> bytes:
        """The JSON of a request. Raises ModelError, unsent."""
        body: dict[str, Any] = {
            "model": request.model,
            "messages": [_message(m, request.files) for m in request.messages],
        }
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
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return encoded(body, request)

    def error(self, body: bytes) -> Said | None:
        """What a body or an event says of an error; None where it is none."""
        refusal = read(body, _Refusal)
        if refusal is None or (refusal.error is None and refusal.message is None):
            return None
        return Said(message=words(refusal.message)) if refusal.error is None else _of(refusal.error)

    def gathering(self) -> Gathering:
        """What puts a streamed completion together."""
        return _Stream()

    def reply(self, body: bytes, request: ModelRequest, key: str) -> ModelReply:
        """The reply in a completion; raises ModelError."""
        completion = decoded(body, _Completion, "a chat completion", key)
        if not completion.choices:
            raise garbage("it has no choices")
        answer, finish = completion.choices[0].message, completion.choices[0].finish_reason
        calls = _calls(answer.tool_calls or [], completion.id or "call")
        return ModelReply(
            text=_text(answer), calls=calls, usage=_usage(completion.usage, request), model=completion.model or "",
            stop=ended(_ending(finish, answer.refusal), calls), provider_id=completion.id or "",
        )  # fmt: skip


def _file(artifact: Artifact, data: bytes) -> dict[str, Any]:
    url = f"data:{artifact.media_type};base64,{b64encode(data).decode()}"
    if artifact.kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": artifact.name, "file_data": url}}


def _message(message: Message, files: Mapping[str, bytes]) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.call_id, "content": message.text}
    if message.artifacts:
        parts = [{"type": "text", "text": message.text}, *(_file(a, files[a.digest]) for a in message.artifacts)]
        return {"role": message.role, "content": parts}
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
        ToolCall(
            id=f"{reply}-{n}" if c.id is None else c.id,
            name=c.function.name,
            arguments=arguments_of(bytes(c.function.arguments)),
        )
        for n, c in enumerate(calls)
    )


def _ending(finish: str | None, refusal: str | None) -> Ending:
    return "filter" if refusal else _ENDINGS.get(finish, "other")


def _usage(usage: _Usage | None, request: ModelRequest) -> Usage:
    if usage is None:
        return unknown_usage(request)
    cached = (usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0) or 0
    return counted(input=usage.prompt_tokens, output=usage.completion_tokens, cached=cached)


def _of(error: _Fault | str) -> Said:
    if isinstance(error, str):
        return Said(message=error)
    code = words(error.code) or words(error.type)
    # Some routers tell of the error inside a 200; their code is the status they were given.
    status = error.code if type(error.code) is int and 300 <= error.code < 600 else _STATUS.get(code, 0)
    spent = code in ("insufficient_quota", "billing_hard_limit_reached")
    return Said(message=words(error.message), code=code, status=status, spent=spent)


# streamed -------------------------------------------------------------------------------------------------------------
class _FunctionPiece(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallPiece(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _FunctionPiece | None = None


class _AnswerPiece(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_CallPiece] | None = None


class _ChoicePiece(msgspec.Struct):
    delta: _AnswerPiece | None = None
    finish_reason: str | None = None


class _Piece(msgspec.Struct):
    choices: list[_ChoicePiece] | None = None
    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Stream:
    """A completion in pieces: texts and arguments are put behind each other, usage comes last."""

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self.over = False

    @property
    def whole(self) -> bool:
        return self._finish is not None

    def take(self, data: bytes) -> str:
        if data == b"[DONE]":
            self.over = True
            return ""
        piece = decoded(data, _Piece, "a piece of a chat completion", "")
        for name, value in (("id", piece.id), ("model", piece.model), ("usage", piece.usage)):
            if value is not None and value != b"null":
                self._named[name] = msgspec.Raw(bytes(value)) if isinstance(value, msgspec.Raw) else value
        if not piece.choices:
            return ""
        choice = piece.choices[0]
        self._finish = choice.finish_reason or self._finish
        return self._added(choice.delta) if choice.delta is not None else ""

    def _added(self, piece: _AnswerPiece) -> str:
        for call in piece.tool_calls or ():
            made = self._calls.setdefault(call.index, {"id": None, "name": "", "arguments": []})
            made["id"] = made["id"] or call.id
            if call.function is not None:
                made["name"] = made["name"] or call.function.name or ""
                made["arguments"].append(call.function.arguments or "")
        self._texts.append(piece.content or "")
        self._refusals.append(piece.refusal or "")
        return piece.content or ""

    def body(self) -> bytes:
        calls = [
            {"id": c["id"], "function": {"name": c["name"], "arguments": "".join(c["arguments"])}}
            for c in self._calls.values()
        ]
        message = {"content": "".join(self._texts), "refusal": "".join(self._refusals) or None, "tool_calls": calls}
        return msgspec.json.encode({**self._named, "choices": [{"message": message, "finish_reason": self._finish}]})
