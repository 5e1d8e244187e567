"""What crosses the socket: one JSON object per line, a question one way, events and then an answer the other.

{"v":1,"command":"runs","arguments":{...}}                 as the operating-system user
{"v":1,"signed":{"command":...,"arguments":...,"key":...}} as the person whose key signed it (core.credential)
{"stream":true} {"event":{...}} ... {"data":{...}} | {"error":{"code":...,"what":...,"why":...,"fix":...}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from flyball.core.canonical import parse_json
from flyball.core.credential import SignedRequest
from flyball.core.errors import FlyballError

VERSION: Final = 1
MAX_LINE: Final = 8 * 1_048_576
# What a request is bound to, beside what it asks for.
BOUND: Final = ("log", "session", "tenant")


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One question: signed, or as the operating-system user."""

    v: int
    signed: SignedRequest | None = None
    command: str = ""
    arguments: Mapping[str, Any] = {}


def question(raw: bytes) -> Asked:
    """A line as a question; raises FlyballError `request_refused` for anything else."""
    try:
        asked = msgspec.convert(parse_json(raw, max_bytes=MAX_LINE), Asked)
    except (FlyballError, msgspec.ValidationError) as bad:
        raise FlyballError("request_refused", "this is no request", str(bad)) from bad
    if asked.v != VERSION:
        raise FlyballError("request_refused", f"this owner speaks version {VERSION}", f"the request has {asked.v}",
                           "Use one version of Flyball on both sides.")  # fmt: skip
    return asked


def line(message: Mapping[str, Any]) -> bytes:
    """A message as a line."""
    return msgspec.json.encode(message, enc_hook=str) + b"\n"


def told(error: FlyballError) -> dict[str, Any]:
    """An error as it crosses."""
    facts = {"code": error.code, "what": error.what, "why": error.why, "fix": error.fix}
    return {"error": {**facts, "data": dict(error.data)}}


def raised(error: Mapping[str, Any]) -> FlyballError:
    """An error that has crossed."""
    code, what, why, fix = (str(error.get(name, "")) for name in ("code", "what", "why", "fix"))
    return FlyballError(code, what, why, fix, error.get("data") or {})
