"""What telemetry is configured with, how far an exporter has come, and what can go wrong with one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.meter import Meter

Preset: TypeAlias = Literal["plain", "phoenix", "langsmith", "langfuse", "braintrust", "portkey"]
Trouble: TypeAlias = Literal["later", "refused", "unusable"]

# What of an action can be named to leave.
SELECTOR: Final = re.compile(r"(arguments|result)(\.[A-Za-z_][A-Za-z0-9_]*)?|messages|error")
# Presets whose products take spans and no metrics.
SPANS_ONLY: Final[frozenset[str]] = frozenset({"phoenix", "langsmith", "langfuse", "braintrust", "portkey"})


class TelemetryConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One `[telemetry.NAME]` of the configuration.

    `url` is the address of the receiver, without `/v1/traces` (empty: that of the preset); `key` names where the key
    is, never the key; `headers` are more of them, by handles too; `project` what the receiver files it under; `content`
    what may leave of each action (see `core.disclosure`); `tenants` whose logs go there (none named: all); `inside`
    whether the process that owns the journal exports.
    """

    name: str
    preset: Preset = "plain"
    url: str = ""
    key: str = ""
    headers: Mapping[str, str] = {}
    project: str = ""
    content: Mapping[str, tuple[str, ...]] = {}
    tenants: tuple[str, ...] = ()
    metrics: bool = True
    inside: bool = True
    timeout_ms: int = 10_000

    def takes(self, tenant: str) -> bool:
        """Does the log of this tenant go there?"""
        return not self.tenants or tenant in self.tenants


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """How far an exporter has come in one tenant's log: everything before `next` was accepted.

    `log` is the random id of that log; `sent` and `dropped` count spans, `trouble` is the code of what went wrong last
    (empty: nothing), `at` when this was written, in microseconds since 1970.
    """

    log: str
    next: int = 0
    sent: int = 0
    dropped: int = 0
    trouble: str = ""
    at: int = 0
    meter: Meter = Meter()


class ExportError(FlyballError):
    """A batch that was not accepted.

    `kind`: `later` the same batch may be accepted later; `refused` this batch never will be, another may; `unusable`
    nothing will be until somebody changes the configuration or the receiver. `retry_after_ms`: what it asked to wait.
    """

    def __init__(self, kind: Trouble, what: str, why: str = "", fix: str = "", *, retry_after_ms: int = 0) -> None:
        super().__init__(f"export_{kind}", what, why, fix)
        self.kind: Trouble = kind
        self.retry_after_ms = retry_after_ms
