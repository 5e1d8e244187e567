"""What every model behind HTTP shares, as values: a response, its turns, what it says of an error. No I/O.

Rules:

* A streamed answer is put together into the reply that would have come whole, and read as that one is.

* A reply that is not what the format says is a `bad_reply`; unknown fields are passed over, missing ones are not.
* Usage is never taken for nothing: where a provider counts no tokens, the upper bound is charged and marked estimated.
* What a provider says of an error is quoted short, on one line, and without the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec

from flyball.adapters.model_http.echo import given_back
from flyball.core.model import Ending, Message, ModelError, ModelFault, ModelReply, ModelRequest, ToolCall, Usage
from flyball.core.prices import bound_tokens

MAX_WAIT_MS: Final = 86_400_000
NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}
_MAX_QUOTED: Final = 300
_MAX_COUNT: Final = 1 << 40
_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_Form = TypeVar("_Form")


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP response that has arrived whole. Header names are in lower case; `now` is seconds since 1970."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    now: float


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of an error. `status` is the HTTP status that its words amount to, 0 where they amount to
    none; `spent`: somebody has to pay before it helps; `key`: the key is wrong."""

    message: str = ""
    code: str = ""
    status: int = 0
    spent: bool = False
    key: bool = False
    wait_ms: int | None = None


class Gathering(Protocol):
    """A streamed answer while it arrives."""

    @property
    def over(self) -> bool:
        """Has the provider said that nothing more comes?"""
        ...

    @property
    def whole(self) -> bool:
        """Has the answer come to its end? What stops before is no answer."""
        ...

    def take(self, data: bytes) -> str:
        """Adds one event; gives the text that it adds to what may be shown. Raises ModelError `bad_reply`."""
        ...

    def body(self) -> bytes:
        """The answer as it would have come whole."""
        ...


class Wire(Protocol):
    """One provider's format. Pure: every method is a function of its arguments."""

    @property
    def base(self) -> str:
        """Where the provider itself is reached, the version of its format included."""
        ...

    def path(self, model: str, *, stream: bool) -> str:
        """What comes after the base, percent-encoded."""
        ...

    def headers(self, key: str) -> Mapping[str, str]:
        """The headers that this provider asks for; `key` is empty where there is none."""
        ...

    def body(self, request: ModelRequest, *, stream: bool) -> bytes:
        """The JSON of a request; raises ModelError, unsent."""
        ...

    def error(self, body: bytes) -> Said | None:
        """What a body or an event says of an error; None where it is none."""
        ...

    def reply(self, body: bytes, request: ModelRequest, key: str) -> ModelReply:
        """The reply in the body of a response that says that all is well; raises ModelError. `key` is kept out of every
        message."""
        ...

    def gathering(self) -> Gathering:
        """What puts a streamed answer together."""
        ...


def read_reply(wire: Wire, response: Response, request: ModelRequest, key: str) -> ModelReply:
    """The reply in a response; raises the ModelError that it amounts to."""
    said = wire.error(response.body)
    if not 200 <= response.status < 300:
        raise refused(response, said or Said(message=opening(response.body)), key)
    if said is not None:
        raise failed_inside(response, said, key)
    return wire.reply(response.body, request, key)


def turns(
    request: ModelRequest, by: str, named: str, holds: str, nothing: Any, of: Callable[[Message, str], Iterable[Any]]
) -> list[dict[str, Any]]:  # fmt: skip
    """The conversation as `user` and `named` by turns, each with the parts that it `holds`: `of` a message. The results
    of calls stand together in the user's turn that follows them; what the model `by` this format said itself it is
    given back unchanged. A turn without parts holds `nothing`."""
    made: list[dict[str, Any]] = []
    for message in request.messages:
        if message.role == "system":
            continue
        role = named if message.role == "assistant" else "user"
        if not made or made[-1]["role"] != role:
            made.append({"role": role, holds: []})
        own = given_back(message, by, request.model)
        made[-1][holds] += of(message, request.model) if own is None else own
    return [{**turn, holds: turn[holds] or [nothing]} for turn in made]


def object_of(arguments: str) -> Any:
    """The arguments of a call as the object that a format asks for; empty where they are none."""
    return read(arguments.encode(errors="replace"), dict[str, Any]) or {}


def arguments_of(raw: bytes) -> str:
    """The arguments of a call as the model wrote them: an object, or a text of one. Raises ModelError `bad_reply`."""
    if raw == b"null":
        return ""
    try:
        return msgspec.json.decode(raw, type=str) if raw.startswith(b'"') else raw.decode()
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise garbage("the arguments of a call are no text") from bad


def ended(ending: Ending, calls: tuple[ToolCall, ...]) -> Ending:
    """How a reply ended: several servers name another ending than the calls that they make."""
    return "tool" if calls and ending in ("end", "other") else ending


def encoded(body: Mapping[str, Any], request: ModelRequest) -> bytes:
    """A request as JSON; raises ModelError `bad_request`, unsent, where it has no limit or cannot be written."""
    if request.max_tokens < 1:
        raise ModelError("bad_request", "max_tokens is not above 0", "no reserve covers an unlimited reply", sent=False)
    try:
        return msgspec.json.encode(body)
    except (TypeError, UnicodeEncodeError) as bad:
        why = "it holds a value or a lone surrogate that JSON cannot carry"
        raise ModelError("bad_request", "the request cannot be written as JSON", why, sent=False) from bad


def decoded(body: bytes, form: type[_Form], named: str, key: str) -> _Form:
    """A body in its form; raises ModelError `bad_reply`. `named` is what the form is called."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as bad:
        raise garbage(f"it does not have the form of {named}: {quoted(str(bad), key)}") from bad
    except _BROKEN as bad:
        raise garbage(f"it is not JSON, {len(body)} bytes") from bad


def read(body: bytes, form: type[_Form]) -> _Form | None:
    """A body in its form, or None: for what a provider says of an error, which may be anything."""
    try:
        return msgspec.json.decode(body, type=form)
    except _BROKEN:
        return None


def opening(body: bytes) -> str:
    """How a body begins that is not what an error looks like."""
    return body[:_MAX_QUOTED].decode(errors="replace")


def unknown_usage(request: ModelRequest) -> Usage:
    """The most that a request can have used, marked as estimated."""
    return Usage(input=bound_tokens(request), output=request.max_tokens, estimated=True)


def counted(*, input: int, output: int, cached: int, written: int = 0) -> Usage:
    """Usage as a provider counts it: `cached` and `written` are parts of `input`. Raises ModelError `bad_reply`."""
    if min(input, output, cached, written) < 0 or cached + written > input or max(input, output) > _MAX_COUNT:
        said = f"input {input}, cached {cached}, written {written}, output {output}"
        raise garbage(f"its token counts cannot be: {said}")
    return Usage(input=input, output=output, cached=cached, written=written)


def refused(response: Response, said: Said, key: str) -> ModelError:
    """The error that a status other than 2xx amounts to."""
    status, why, fix = response.status, quoted(said.message, key), ""
    kind = _kind(status)
    retryable: bool | None = None
    if said.spent:
        retryable, fix = False, "Top the provider's account up, or name a fallback"
    elif kind == "auth" or said.key:
        kind, fix = "auth", "Check that the key is this provider's and may use this model"
    elif 300 <= status < 400:
        why, fix = "it redirects, and prompts do not follow redirects", "Set base_url to the final address"
    asked = retry_after_ms(response.headers, response.now)
    return ModelError(
        kind, f"the model's provider answered {status}", why, fix, sent=True, retryable=retryable,
        retry_after_ms=said.wait_ms if asked is None else asked, data={"status": status, "code": said.code[:64]},
    )  # fmt: skip


def failed_inside(response: Response, said: Said, key: str, *, begun: bool = False) -> ModelError:
    """The error that stands in a reply whose status says that all is well, or in a stream that had `begun`."""
    if said.status:
        error = refused(msgspec.structs.replace(response, status=said.status), said, key)
        error.begun = begun
        return error
    what = "the model's provider answered with an error"
    return ModelError("unavailable", what, quoted(said.message, key), sent=True)


def garbage(why: str) -> ModelError:
    """A reply that is not what its format says."""
    return ModelError("bad_reply", "the model's reply cannot be used", why, sent=True)


def quoted(text: str, key: str) -> str:
    """What a provider says, short, on one line, without the key."""
    safe = text.replace(key, "<key>") if key else text
    line = "".join(c if c.isprintable() else " " for c in safe[: _MAX_QUOTED + 1])
    return line if len(line) <= _MAX_QUOTED else line[: _MAX_QUOTED - 1] + "…"


def words(value: object) -> str:
    """A text as it is, anything else as nothing."""
    return value if isinstance(value, str) else ""


def retry_after_ms(headers: Mapping[str, str], now: float) -> int | None:
    """How long a provider asks to wait (RFC 9110, section 10.2.3): seconds or a date, or milliseconds as some send.

    `headers` in lower case, `now` in seconds since 1970; a date is read against the provider's own clock where it
    sends one. None where nothing readable is said; at most a day.
    """
    exact = _number(headers.get("retry-after-ms", ""))
    if exact is not None:
        return _bounded(exact)
    said = headers.get("retry-after", "")
    if (seconds := seconds_ms(said)) is not None:
        return seconds
    until = _date(said)
    if until is None:
        return None
    clock = _date(headers.get("date", ""))
    return _bounded((until - (now if clock is None else clock)) * 1000)


def seconds_ms(text: str) -> int | None:
    """Seconds as text, in milliseconds, at most a day; None where it is no number."""
    seconds = _number(text)
    return None if seconds is None else _bounded(seconds * 1000)


def _kind(status: int) -> ModelFault:
    if status == 429:
        return "rate_limited"
    if status in (401, 403):
        return "auth"
    if status in (408, 504):
        return "timeout"
    return "unavailable" if status >= 500 or status in (409, 425) else "bad_request"


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
