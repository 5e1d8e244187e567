"""The chat completions format as values: a request as bytes, a reply or a refusal out of bytes. No I/O, no clock.

Rules:

* A reply that is not what the format says is a `bad_reply`; unknown fields are passed over, missing ones are not.
* Usage is never taken for nothing: where a provider counts no tokens, the upper bound is charged and marked estimated.
* What a provider says of an error is quoted short, on one line, and without the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from flyball.core.model import Ending, Message, ModelError, ModelFault, ModelReply, ModelRequest, ToolCall, Usage
from flyball.core.prices import bound_tokens

MAX_WAIT_MS: Final = 86_400_000
_MAX_QUOTED: Final = 300
_NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
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


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP response that has arrived whole. Header names are in lower case; `now` is seconds since 1970."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    now: float


def request_body(request: ModelRequest, limit_field: str) -> bytes:
    """The JSON of a request; `limit_field` is what this endpoint calls `max_tokens`. Raises ModelError, unsent."""
    if request.max_tokens < 1:
        raise ModelError("bad_request", "max_tokens is not above 0", "no reserve covers an unlimited reply", sent=False)
    body: dict[str, Any] = {"model": request.model, "messages": [_message(m) for m in request.messages]}
    if request.tools:
        body["tools"] = [
            {"type": "function", "function": {
                "name": t.name, "description": t.description, "parameters": t.schema or _NO_ARGUMENTS,
            }} for t in request.tools
        ]  # fmt: skip
    if request.output_schema is not None:
        named = {"name": "output", "schema": request.output_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if request.temperature_milli is not None:
        body["temperature"] = request.temperature_milli / 1000
    body[limit_field] = request.max_tokens
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as bad:
        why = "it holds a value or a lone surrogate that JSON cannot carry"
        raise ModelError("bad_request", "the request cannot be written as JSON", why, sent=False) from bad


def reply_of(response: Response, request: ModelRequest, key: str) -> ModelReply:
    """The reply in a response; raises the ModelError that it amounts to. `key` is kept out of every message."""
    if not 200 <= response.status < 300:
        raise _refused(response, key)
    try:
        completion = msgspec.json.decode(response.body, type=_Completion)
    except msgspec.ValidationError as bad:
        raise _garbage(f"it does not have the form of a chat completion: {_quoted(str(bad), key)}") from bad
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as bad:
        raise _garbage(f"it is not JSON, {len(response.body)} bytes") from bad
    if completion.error is not None:
        raise _error_in_body(completion.error, response, key)
    if not completion.choices:
        raise _garbage("it has no choices")
    answer, finish = completion.choices[0].message, completion.choices[0].finish_reason
    calls = _calls(answer.tool_calls or [], completion.id or "call")
    text = _text(answer)
    return ModelReply(
        text=text, calls=calls, usage=_usage(completion.usage, request), model=completion.model or "",
        stop=_ending(finish, calls, answer.refusal), provider_id=completion.id or "",
    )  # fmt: skip


def retry_after_ms(headers: Mapping[str, str], now: float) -> int | None:
    """How long a provider asks to wait (RFC 9110, section 10.2.3): seconds or a date, or milliseconds as some send.

    `headers` in lower case, `now` in seconds since 1970; a date is read against the provider's own clock where it
    sends one. None where nothing readable is said; at most a day.
    """
    exact = _number(headers.get("retry-after-ms", ""))
    if exact is not None:
        return _bounded(exact)
    said = headers.get("retry-after", "")
    seconds = _number(said)
    if seconds is not None:
        return _bounded(seconds * 1000)
    until = _date(said)
    if until is None:
        return None
    clock = _date(headers.get("date", ""))
    return _bounded((until - (now if clock is None else clock)) * 1000)


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
    try:
        text = msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise _garbage("the arguments of a call are no text") from bad
    return "" if raw == b"null" else text


def _ending(finish: str | None, calls: tuple[ToolCall, ...], refusal: str | None) -> Ending:
    if refusal:
        return "filter"
    ending = _ENDINGS.get(finish, "other")
    # Several servers say "stop" after a call.
    return "tool" if calls and ending in ("end", "other") else ending


def _usage(usage: _Usage | None, request: ModelRequest) -> Usage:
    if usage is None:
        return Usage(input=bound_tokens(request), output=request.max_tokens, estimated=True)
    cached = (usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0) or 0
    read, written = usage.prompt_tokens, usage.completion_tokens
    if min(read, written, cached) < 0 or cached > read or max(read, written) > 1 << 40:
        raise _garbage(f"its token counts cannot be: input {read}, cached {cached}, output {written}")
    return Usage(input=read, output=written, cached=cached)


def _refused(response: Response, key: str) -> ModelError:
    said, code = _said(response.body)
    status, why = response.status, _quoted(said, key)
    retryable: bool | None = None
    fix = ""
    kind = _kind(status)
    if kind == "rate_limited" and code in ("insufficient_quota", "billing_hard_limit_reached"):
        retryable, fix = False, "Top the provider's account up, or name a fallback"
    elif kind == "auth":
        fix = "Check that the key is this provider's and may use this model"
    elif 300 <= status < 400:
        why, fix = "it redirects, and prompts do not follow redirects", "Set base_url to the final address"
    return ModelError(
        kind, f"the model's provider answered {status}", why, fix, sent=True, retryable=retryable,
        retry_after_ms=retry_after_ms(response.headers, response.now), data={"status": status, "code": code},
    )  # fmt: skip


def _kind(status: int) -> ModelFault:
    if status == 429:
        return "rate_limited"
    if status in (401, 403):
        return "auth"
    if status in (408, 504):
        return "timeout"
    return "unavailable" if status >= 500 or status in (409, 425) else "bad_request"


def _error_in_body(error: _Fault | str, response: Response, key: str) -> ModelError:
    # Some routers answer 200 and tell of the error inside; their code is the status they were given.
    code = error.code if isinstance(error, _Fault) else None
    if type(code) is int and 300 <= code < 600:
        return _refused(msgspec.structs.replace(response, status=code), key)
    why = _quoted(_words(error)[0], key)
    return ModelError("unavailable", "the model's provider answered with an error", why, sent=True)


def _said(body: bytes) -> tuple[str, str]:
    try:
        refusal = msgspec.json.decode(body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body[:_MAX_QUOTED].decode(errors="replace"), ""
    if refusal.error is not None:
        return _words(refusal.error)
    return (refusal.message if isinstance(refusal.message, str) else ""), ""


def _words(error: _Fault | str) -> tuple[str, str]:
    if isinstance(error, str):
        return error, ""
    code = error.code if isinstance(error.code, str) else error.type
    return (error.message if isinstance(error.message, str) else ""), (code[:64] if isinstance(code, str) else "")


def _quoted(text: str, key: str) -> str:
    safe = text.replace(key, "<key>") if key else text
    line = "".join(c if c.isprintable() else " " for c in safe[: _MAX_QUOTED + 1])
    return line if len(line) <= _MAX_QUOTED else line[: _MAX_QUOTED - 1] + "…"


def _garbage(why: str) -> ModelError:
    return ModelError("bad_reply", "the model's reply cannot be used", why, sent=True)


def _number(text: str) -> float | None:
    # float() would let "nan", "inf" and "1_0" in.
    digits = text.strip()
    return float(digits) if digits.replace(".", "", 1).isdecimal() and digits.isascii() and len(digits) < 16 else None


def _date(text: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(text)
    except ValueError:
        return None
    # An asctime date carries no zone; HTTP dates are always UTC.
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()


def _bounded(milliseconds: float) -> int:
    return max(0, min(MAX_WAIT_MS, round(milliseconds)))
