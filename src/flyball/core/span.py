"""Spans: what became of a run, as observability tools read it, and the ids that make sending one twice harmless.

Rules:

* Every id is a digest of where the thing stands in the log, so that the same record gives the same span, whoever folds
  it and however often. A trace is a run, or what its caller said (`traceparent`).
* Times are microseconds since 1970, those of the records.

>>> trace_id("acme", "r-1")
'6c846f025229c5dd47e3ef72c562b0f9'
>>> traceparent(trace_id("acme", "r-1"), span_id("acme", "r-1", "2", 1))
'00-6c846f025229c5dd47e3ef72c562b0f9-d5b4c04937153d1d-01'
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, Literal

import msgspec

from flyball.core.errors import FlyballError

Value = str | bool | int | float | tuple[str, ...]
Attributes = Mapping[str, Value]
Kind = Literal["internal", "client"]
Status = Literal["ok", "error"]

_PARENT: Final = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Origin(msgspec.Struct, frozen=True):
    """Where a span hangs: the id of its trace, and of the span above it (empty: none)."""

    trace: str
    span: str = ""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened within a span."""

    name: str
    time: int
    attributes: Attributes = {}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of work that is over. `parent` is empty at the root of a trace; `links` are spans that it says more of;
    `error` is the reason code of one that went wrong, never text."""

    trace: str
    id: str
    name: str
    start: int
    end: int
    parent: str = ""
    kind: Kind = "internal"
    status: Status = "ok"
    error: str = ""
    attributes: Attributes = {}
    moments: tuple[Moment, ...] = ()
    links: tuple[Origin, ...] = ()


def trace_id(tenant: str, run: str) -> str:
    """The trace of a run that nobody said another one for, 32 hex digits."""
    return sha256("\0".join(("flyball/trace/v1", tenant, run)).encode(errors="surrogatepass")).hexdigest()[:32]


def span_id(tenant: str, run: str, path: str = "", attempt: int = 0) -> str:
    """The span of one attempt of a step, 16 hex digits; without a path that of the run itself."""
    parts = ("flyball/span/v1", tenant, run, path, str(attempt))
    return sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]


def traceparent(trace: str, span: str) -> str:
    """The W3C header that says where work hangs (Trace Context level 1, section 3.2), sampled."""
    return f"00-{trace}-{span}-01"


def read_traceparent(text: str) -> Origin | None:
    """What such a header says; None where it says nothing that may be used (section 3.2.2: all zeros, version ff)."""
    found = _PARENT.fullmatch(text)
    if found is None or found[1] == "ff" or (found[1] == "00" and found[5]):
        return None
    if not int(found[2], 16) or not int(found[3], 16):
        return None
    return Origin(found[2], found[3])


def check_traceparent(text: str) -> str:
    """The header as it was handed in; raises FlyballError `bad_traceparent` for one that says nothing."""
    if text and read_traceparent(text) is None:
        raise FlyballError(
            "bad_traceparent", "this is no traceparent", "it is 00-TRACE-SPAN-FLAGS, in small hex digits",
            "pass the header as your caller sent it, or leave it out",
        )  # fmt: skip
    return text
