"""What a tool says it does to the world, once, where it is declared; and what may be tried again.

`effect` read | reversible | irreversible; `egress`: does anything leave the trust boundary; `idempotency`: `key` takes
a key, `probe` can be asked whether it happened, `none` neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace

from flyball.core.errors import FlyballError

Effect = Literal["read", "reversible", "irreversible"]
Idempotency = Literal["key", "probe", "none"]
Risk = Literal["low", "medium", "high"]
Isolation = Literal["none", "process", "kernel", "namespace", "vm"]
ActionKind = Literal[
    "tool",
    "model",
    "stream",
    "context",
    "recall",
    "remember",
    "forget",
    "agent",
    "handoff",
    "flow",
    "approve",
    "policy",
]
# What actions of these kinds returned comes from the world, and taints a run where nobody vouches for it.
READING: Final[frozenset[str]] = frozenset({"tool", "context", "recall"})

# What has steps of its own: it is entered again after a crash, and folded once it is over.
LASTING: Final[frozenset[str]] = frozenset({"agent", "handoff", "flow"})
ISOLATION_ORDER: Final[tuple[Isolation, ...]] = ("none", "process", "kernel", "namespace", "vm")
# How the read that asks what a tool requires is called: by the tool's name, with this behind it.
REQUIRES: Final = ".requires"
PRECONDITION_MS: Final = 30_000


class Key(msgspec.Struct, frozen=True):
    """An idempotency key that the remote remembers for `window`; `business` names the argument unique per tenant."""

    window: timedelta | None = None
    business: str | None = None


class Retry(msgspec.Struct, frozen=True):
    """How often and how far apart a call is tried; honoured only where the effect class allows it."""

    attempts: int = 3
    first: timedelta = timedelta(seconds=1)
    factor: float = 2.0
    most: timedelta = timedelta(minutes=1)

    def wait(self, attempt: int) -> timedelta:
        """How long to wait after the given attempt (1 is the first)."""
        try:
            return min(self.most, self.first * self.factor ** (attempt - 1))
        except OverflowError:
            return self.most


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """At most `count` calls per `seconds`, per tool and tenant."""

    count: int
    seconds: float


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the gate and the broker need to know of one action; made from a tool, agent, flow or model."""

    name: str
    kind: ActionKind = "tool"
    effect: Effect = "irreversible"
    egress: bool = True
    idempotency: Idempotency = "none"
    key: Key = Key()
    risk: Risk = "low"
    timeout_ms: int = 30_000
    retry: Retry = Retry()
    cost: int = 0
    rate: Rate | None = None
    credentials: tuple[str, ...] = ()
    isolation: Isolation = "none"
    input_schema: Mapping[str, Any] = {}
    output_schema: Mapping[str, Any] = {}
    critical: frozenset[str] = frozenset()
    outgoing: frozenset[str] = frozenset()
    refs: Mapping[str, str] = {}
    schema_digest: str = ""
    description: str = ""

    @property
    def group(self) -> str:
        """The Cedar action group: read, reversible or irreversible."""
        return self.effect

    @property
    def pure_read(self) -> bool:
        """A read that leaks nothing: it may skip waiting for the fsync of T1, and may always be tried again."""
        return self.effect == "read" and not self.egress

    @property
    def precondition(self) -> bool:
        """Is it the read that asks whether what a tool requires of the world is so?"""
        return self.name.endswith(REQUIRES)


# What policy is asked before a model's answer is shown that no guard has seen the whole of.
STREAM: Final = Action(name="stream", kind="stream", effect="read", egress=True)


def precondition_of(action: Action) -> Action:
    """The read that asks what a tool requires: with its arguments, object, credentials and isolation, and an effect,
    egress, cost and rate of its own, which are none. It is made once: whoever needs an answer can propose again."""
    return replace(
        action, name=f"{action.name}{REQUIRES}", effect="read", egress=False, idempotency="none", key=Key(), risk="low",
        timeout_ms=PRECONDITION_MS, retry=Retry(attempts=1), cost=0, rate=None, output_schema={}, description="",
    )  # fmt: skip


def parse_rate(text: str) -> Rate:
    """`"10/s"`, `"100/minute"`, `"5/2s"` as a rate."""
    units = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400, "day": 86400}
    count, _, per = text.partition("/")
    per = per.strip()
    digits = per[: len(per) - len(per.lstrip("0123456789"))]
    unit = units.get(per[len(digits) :].strip())
    if not count.strip().isdecimal() or unit is None or int(count) < 1 or digits.strip("0") == "" != digits:
        raise FlyballError("bad_rate", f"{text!r} is not a rate", fix='write "10/s", "100/minute" or "5/2s"')
    return Rate(count=int(count), seconds=unit * int(digits or 1))


def may_retry(action: Action, *, certain: bool) -> bool:
    """May this call be made again after a failure?

    `certain`: the tool said that it did not happen (`NotDone`). Otherwise only a read or a call under a key may be
    repeated: anything else could happen twice.
    """
    return certain or action.effect == "read" or action.idempotency == "key"
