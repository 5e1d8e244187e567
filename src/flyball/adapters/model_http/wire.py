"""What every model behind HTTP shares, as values: a response, what it says of an error, when to come back. No I/O.

Rules:

* A reply that is not what the format says is a `bad_reply`; unknown fields are passed over, missing ones are not.
* Usage is never taken for nothing: where a provider counts no tokens, the upper bound is charged and marked estimated.
* What a provider says of an error is quoted short, on one line, and without the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol, TypeVar

import msgspec

from flyball.core.model import ModelError, ModelFault, ModelReply, ModelRequest, Usage
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
    """What a provider says of an error. `spent`: somebody has to pay before it helps; `key`: the key is wrong."""

    message: str = ""
    code: str = ""
    spent: bool = False
    key: bool = False
    wait_ms: int | None = None


class Wire(Protocol):
    """One provider's format. Pure: every method is a function of its arguments."""

    @property
    def base(self) -> str:
        """Where the provider itself is reached, the version of its format included."""
        ...

    def path(self, model: str) -> str:
        """What comes after the base, percent-encoded."""
        ...

    def headers(self, key: str) -> Mapping[str, str]:
        """The headers that this provider asks for; `key` is empty where there is none."""
        ...

    def body(self, request: ModelRequest) -> bytes:
        """The JSON of a request; raises ModelError, unsent."""
        ...

    def reply(self, response: Response, request: ModelRequest, key: str) -> ModelReply:
        """The reply in a response; raises the ModelError that it amounts to. `key` is kept out of every message."""
        ...


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


def text_of(raw: bytes, named: str) -> str:
    """A part of a reply as its text; raises ModelError `bad_reply`."""
    try:
        return raw.decode()
    except UnicodeDecodeError as bad:
        raise garbage(f"{named} are no text") from bad


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


def failed_inside(message: str, key: str) -> ModelError:
    """The error that stands in a reply whose status says that all is well."""
    return ModelError("unavailable", "the model's provider answered with an error", quoted(message, key), sent=True)


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
