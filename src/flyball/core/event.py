"""What `watch` gives: the log's records as events, each with its sequence in the tenant's log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is durable in a run; watching resumes after `sequence`. `time` in microseconds."""

    sequence: int
    run: str
    path: str
    time: int


class StepStarted(Event, frozen=True, kw_only=True):
    """A run or one of its steps began."""

    what: str
    kind: str = ""


class Decided(Event, frozen=True, kw_only=True):
    """A verdict on a proposal: allow, modify, require_approval or deny, and the policies behind it."""

    action: str
    outcome: str
    by: str = ""
    reason: str = ""
    policies: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = {}


class Executed(Event, frozen=True, kw_only=True):
    """How an attempt ended."""

    action: str
    status: str
    code: str = ""
    attempt: int = 1


class Proposed(Executed, frozen=True, kw_only=True):
    """A model answered, and proposes: each call with its `name` and the `arguments` as the model wrote them."""

    by: str = ""
    calls: tuple[Mapping[str, Any], ...] = ()


class Waiting(Event, frozen=True, kw_only=True):
    """Something waits for people or for a time."""

    pending: tuple[str, ...] = ()
    about: str = ""
    groups: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


class Answered(Event, frozen=True, kw_only=True):
    """A person approved, rejected, edited, answered or settled something."""

    what: str
    pending: str
    by: str = ""
    reason: str = ""


class Progress(Event, frozen=True, kw_only=True):
    """What a tool said while it ran; never recorded."""

    message: str
    done: float | None = None


class Delta(Event, frozen=True, kw_only=True):
    """A piece of a model's answer while it arrives, for who watches now; never recorded, its `sequence` is 0.

    Provisional: what the answer becomes is told when it is whole, and an attempt that fails takes back what was told of
    it. `start` counts the characters before it: where it is more than was heard, a piece was missed.
    """

    text: str
    start: int
    attempt: int
    by: str = ""


class Ended(Event, frozen=True, kw_only=True):
    """The run ended: its stop reason."""

    reason: str
    ok: bool
    detail: str = ""
