"""Gemini's generateContent: a request as bytes, a reply or a refusal out of bytes. No I/O, no clock.

https://ai.google.dev/api/generate-content; thoughts: https://ai.google.dev/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import msgspec

from flyball.adapters.model_http.echo import kept
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
    seconds_ms,
    turns,
    unknown_usage,
    words,
)  # fmt: skip
from flyball.core.model import Ending, Message, ModelReply, ModelRequest, ToolCall, Usage

_BY: Final = "gemini"
# The beginning of the ids that are made up here, where the provider names none: it is not told of them.
_OURS: Final = "flyball-"
_FILTERED: Final = (
    "SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY", "MODEL_ARMOR",
)  # fmt: skip
_ENDINGS: Final[dict[str | None, Ending]] = {"STOP": "end", "MAX_TOKENS": "length"}
# What an error is called, and the status that it comes with where it comes alone.
_STATUS: Final[Mapping[str, int]] = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
# Models from Gemini 3 on refuse a call without its signature. Where another model made the call there is none, and this
# is what the provider documents for it.
_UNSIGNED: Final = "skip_thought_signature_validator"
_NEEDS_NONE: Final = ("gemini-1", "gemini-2")


class _Call(msgspec.Struct):
    name: str
    id: str = ""
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Part(msgspec.Struct, rename="camel"):
    text: str = ""
    thought: bool = False
    function_call: _Call | None = None
    thought_signature: str | None = None


class _Content(msgspec.Struct):
    parts: list[msgspec.Raw] = []


class _Candidate(msgspec.Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None


class _Feedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _Usage(msgspec.Struct, rename="camel"):
    # A count of 0 is left out.
    prompt_token_count: int = 0
    tool_use_prompt_token_count: int = 0
    cached_content_token_count: int = 0
    candidates_token_count: int = 0
    thoughts_token_count: int = 0


class _Answer(msgspec.Struct, rename="camel"):
    candidates: list[_Candidate] = []
    prompt_feedback: _Feedback | None = None
    usage_metadata: _Usage | None = None
    model_version: str | None = None
    response_id: str | None = None


class _Fault(msgspec.Struct):
    message: Any = None
    status: Any = None
    details: Any = None


class _Refusal(msgspec.Struct):
    error: _Fault


@dataclass(frozen=True, slots=True)
class GeminiWire:
    """The format."""

    base: str = "https://generativelanguage.googleapis.com/v1beta"

    def path(self, model: str, *, stream: bool) -> str:
        """The model stands in the address, and whether it streams."""
        return f"/models/{quote(model, safe='')}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"

    def headers(self, key: str) -> Mapping[str, str]:
        """The key."""
        return {"x-goog-api-key": key} if key else {}

    def body(self, request: ModelRequest, *, stream: bool) -> bytes:
        """The JSON of a request. Raises ModelError, unsent."""
        settings: dict[str, Any] = {"maxOutputTokens": request.max_tokens}
        if request.temperature_milli is not None:
            settings["temperature"] = request.temperature_milli / 1000
        # Not every model takes a form for the answer together with functions; the instructions hold the schema anyway.
        if request.output_schema is not None and not request.tools:
            settings |= {"responseMimeType": "application/json", "responseJsonSchema": request.output_schema}
        body: dict[str, Any] = {
            "contents": turns(request, _BY, "model", "parts", {"text": "(empty)"}, partial(_parts, request.files)),
            "generationConfig": settings,
        }
        system = [{"text": m.text} for m in request.messages if m.role == "system" and m.text]
        if system:
            body["systemInstruction"] = {"parts": system}
        if request.tools:
            declared = [
                {"name": t.name, "description": t.description, "parametersJsonSchema": t.schema or NO_ARGUMENTS}
                for t in request.tools
            ]
            body["tools"] = [{"functionDeclarations": declared}]
        return encoded(body, request)

    def error(self, body: bytes) -> Said | None:
        """What a body or an event says of an error; None where it is none."""
        refusal = read(body, _Refusal)
        if refusal is None:
            return None
        fault = refusal.error
        details = [d for d in fault.details if isinstance(d, dict)] if isinstance(fault.details, list) else []
        waits = [seconds_ms(words(d.get("retryDelay")).removesuffix("s")) for d in details]
        return Said(
            message=words(fault.message), code=words(fault.status), status=_STATUS.get(words(fault.status), 0),
            key=any(d.get("reason") == "API_KEY_INVALID" for d in details),
            wait_ms=next((wait for wait in waits if wait is not None), None),
        )  # fmt: skip

    def gathering(self) -> Gathering:
        """What puts a streamed answer together."""
        return _Stream()

    def reply(self, body: bytes, request: ModelRequest, key: str) -> ModelReply:
        """The reply in an answer; raises ModelError."""
        answer = decoded(body, _Answer, "an answer", key)
        blocked = answer.prompt_feedback is not None and answer.prompt_feedback.block_reason is not None
        if not answer.candidates and not blocked:
            raise garbage("it has no candidates")
        candidate = answer.candidates[0] if answer.candidates else _Candidate(finish_reason="SAFETY")
        raws = candidate.content.parts if candidate.content else []
        parts = [decoded(bytes(raw), _Part, "a part of content", key) for raw in raws]
        calls = _calls(parts, answer.response_id or "reply")
        signed = bool(calls) and any(part.thought_signature for part in parts)
        reply = ModelReply(
            text="".join(p.text for p in parts if not p.thought), calls=calls,
            usage=_usage(answer.usage_metadata, request), model=answer.model_version or "",
            stop=ended(_ending(candidate.finish_reason), calls), provider_id=answer.response_id or "",
        )  # fmt: skip
        return msgspec.structs.replace(reply, echo=kept(_BY, request.model, raws)) if signed else reply


def _parts(files: Mapping[str, bytes], message: Message, model: str) -> Iterable[Any]:
    if message.role == "tool":
        told = {"name": message.name, "response": {"output": message.text}, **_id(message.call_id)}
        return [{"functionResponse": told}]
    calls: list[dict[str, Any]] = [
        {"functionCall": {"name": c.name, "args": object_of(c.arguments), **_id(c.id)}} for c in message.calls
    ]
    if calls and not model.startswith(_NEEDS_NONE):
        # Of calls that were made together the first alone is signed.
        calls[0]["thoughtSignature"] = _UNSIGNED
    shown = [
        {"inlineData": {"mimeType": a.media_type, "data": b64encode(files[a.digest]).decode()}}
        for a in message.artifacts or ()
    ]
    return [*shown, {"text": message.text}, *calls] if message.text else [*shown, *calls]


def _id(id: str) -> dict[str, str]:
    return {} if not id or id.startswith(_OURS) else {"id": id}


def _calls(parts: list[_Part], reply: str) -> tuple[ToolCall, ...]:
    made = [part.function_call for part in parts if part.function_call is not None]
    return tuple(
        ToolCall(
            id=call.id or f"{_OURS}{reply}-{n}", name=call.name, arguments=arguments_of(bytes(call.args)),
        ) for n, call in enumerate(made)
    )  # fmt: skip


def _ending(reason: str | None) -> Ending:
    return "filter" if reason in _FILTERED else _ENDINGS.get(reason, "other")


def _usage(usage: _Usage | None, request: ModelRequest) -> Usage:
    if usage is None or usage.prompt_token_count == 0:
        return unknown_usage(request)
    counts = (usage.prompt_token_count, usage.tool_use_prompt_token_count, usage.candidates_token_count,
              usage.thoughts_token_count)  # fmt: skip
    if min(counts) < 0:
        raise garbage(f"its token counts cannot be: {min(counts)}")
    return counted(
        input=usage.prompt_token_count + usage.tool_use_prompt_token_count,
        output=usage.candidates_token_count + usage.thoughts_token_count, cached=usage.cached_content_token_count,
    )  # fmt: skip


# streamed -------------------------------------------------------------------------------------------------------------
class _Stream:
    """An answer in pieces: each is an answer of its own, with the parts that it adds and the counts until then."""

    over = False

    def __init__(self) -> None:
        self._named: dict[str, Any] = {}
        self._parts: list[msgspec.Raw] = []
        self._finish: str | None = None

    @property
    def whole(self) -> bool:
        return self._finish is not None or "promptFeedback" in self._named

    def take(self, data: bytes) -> str:
        piece = decoded(data, _Answer, "a piece of an answer", "")
        if piece.prompt_feedback is not None and piece.prompt_feedback.block_reason is not None:
            self._named["promptFeedback"] = piece.prompt_feedback
        said = (("usageMetadata", piece.usage_metadata), ("modelVersion", piece.model_version),
                ("responseId", piece.response_id))  # fmt: skip
        self._named |= {name: value for name, value in said if value is not None}
        candidate = piece.candidates[0] if piece.candidates else _Candidate()
        self._finish = candidate.finish_reason or self._finish
        raws = candidate.content.parts if candidate.content else []
        # A piece is let go before the answer is whole.
        self._parts += [msgspec.Raw(bytes(raw)) for raw in raws]
        parts = [decoded(bytes(raw), _Part, "a part of content", "") for raw in raws]
        return "".join(part.text for part in parts if not part.thought)

    def body(self) -> bytes:
        candidates = [{"content": {"parts": self._parts}, "finishReason": self._finish}] if self._finish else []
        return msgspec.json.encode({**self._named, "candidates": candidates})
