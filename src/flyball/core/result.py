"""What comes back: closed unions of frozen records. `Blocked` and `Failed` are raised by `run.call` and returned by
`run.attempt`: the same two classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from flyball.core.errors import FlyballError
from flyball.core.stop import STOPS, StopReason

T = TypeVar("T")
PendingKind = Literal["approval", "question", "timer", "unknown", "turn"]


class NotDone(Exception):
    """Raised by a tool: it certainly did not happen, and may be tried again (`retry_after` from now)."""

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Executed(Generic[T]):
    """It happened; `action` is the record id of its outcome."""

    value: T
    action: str = ""
    ok: Literal[True] = True


class Blocked(FlyballError):
    """It was not let run: the reason code, the determining policies and what would have cured it."""

    def __init__(
        self, reason: str, *, policies: tuple[str, ...] = (), cures: tuple[str, ...] = (), action: str = "",
        what: str = "", why: str = "", fix: str = "",
    ) -> None:  # fmt: skip
        super().__init__(
            reason, what or f"blocked: {reason}", why, fix, {"policies": policies, "cures": cures, "action": action}
        )
        self.reason, self.policies, self.cures, self.action = reason, policies, cures, action


class Failed(FlyballError):
    """It was tried and did not work out: a reason code and the message of what went wrong."""

    def __init__(self, reason: str, message: str = "", *, action: str = "") -> None:
        super().__init__(reason, message or reason, "", "", {"action": action})
        self.reason, self.message, self.action = reason, message, action


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What waits for a person, a time or an earlier turn, with what the person is shown. `over` names exactly this
    version; `owners` are the people whose credentials it uses, who cannot approve it."""

    id: str
    kind: PendingKind
    run: str
    about: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    reversible: bool = False
    expires: datetime | None = None
    default: Any = None
    over: str = ""
    question: str = ""
    asked_by: str = ""
    through: tuple[str, ...] = ()
    version: int = 1
    owners: tuple[str, ...] = ()
    stated: str = ""


@dataclass(frozen=True, slots=True)
class Completed(Generic[T]):
    """The run ended well."""

    run: str
    value: T
    reason: StopReason = "completed"
    ok: Literal[True] = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """The run waits; it costs a row and survives a restart."""

    run: str
    pending: tuple[Pending, ...]
    reason: Literal["waiting"] = "waiting"
    ok: Literal[False] = False


@dataclass(frozen=True, slots=True)
class Stopped:
    """The run ended otherwise: why, in words, and whether starting it again can help."""

    run: str
    reason: StopReason
    detail: str = ""
    ok: Literal[False] = False

    @property
    def retryable(self) -> bool:
        """Whether trying again can help."""
        return STOPS[self.reason].retryable


Result = Completed[T] | Waiting | Stopped
Attempted = Executed[T] | Blocked | Failed
Governed = Executed[T] | Blocked | Failed | Pending


def stop_reason(error: BaseException) -> StopReason:
    """The stop reason of a run that an error ended. Unknown errors are internal, never a success."""
    reason = getattr(error, "reason", None) or getattr(error, "code", None)
    if isinstance(reason, str) and reason in STOPS and reason != "completed":
        return reason
    if isinstance(error, Blocked):
        return "policy_denied"
    return "tool_failed" if isinstance(error, Failed) else "internal_error"
