"""Limits as a person writes them, and as budgets count them."""

from __future__ import annotations

import math
from decimal import Decimal

import msgspec

from flyball.core.budget import CAPS, MICRO, NO_LIMIT, Limit, micro_dollars
from flyball.core.errors import FlyballError


class Limits(msgspec.Struct, frozen=True):
    """The most a run or an agent may use; None: no limit of its own. `usd` in dollars as text or Decimal, no float.

    `open_approvals` may wait for people at once, `asks` (approvals and questions) be put to them, `denials` be told.
    """

    steps: int | None = None
    seconds: float | None = None
    tokens: int | None = None
    usd: str | Decimal | None = None
    calls: int | None = None
    effects: int | None = None
    open_approvals: int | None = None
    asks: int | None = None
    denials: int | None = None

    def __post_init__(self) -> None:
        if self.usd is not None:
            micro_dollars(self.usd)
        for name in ("steps", "tokens", "calls", "effects", *CAPS):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise FlyballError("bad_limit", f"{name}={value!r} is no limit", fix="write a whole number from 0")
        if self.seconds is not None and (isinstance(self.seconds, bool) or not 0 <= self.seconds < math.inf):
            raise FlyballError("bad_limit", f"seconds={self.seconds!r} is no limit", fix="a limit is 0 or more")


def counted(limits: Limits | None) -> Limit:
    """Limits in the integers that budgets count."""
    if limits is None:
        return Limit()

    def whole(value: int | None) -> int:
        return NO_LIMIT if value is None else value

    return Limit(
        steps=whole(limits.steps), tokens=whole(limits.tokens), calls=whole(limits.calls),
        effects=whole(limits.effects), ms=NO_LIMIT if limits.seconds is None else round(limits.seconds * 1000),
        usd=NO_LIMIT if limits.usd is None else micro_dollars(limits.usd),
        **{name: whole(getattr(limits, name)) for name in CAPS},
    )  # fmt: skip


def written(limit: Limit) -> Limits:
    """The other way round, for people and flows to read."""

    def none(value: int) -> int | None:
        return None if value == NO_LIMIT else value

    return Limits(
        steps=none(limit.steps), tokens=none(limit.tokens), calls=none(limit.calls), effects=none(limit.effects),
        seconds=None if limit.ms == NO_LIMIT else limit.ms / 1000,
        usd=None if limit.usd == NO_LIMIT else str(Decimal(limit.usd) / MICRO),
        **{name: none(getattr(limit, name)) for name in CAPS},
    )  # fmt: skip
