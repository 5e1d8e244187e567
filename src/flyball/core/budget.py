"""Budget arithmetic: integers only, reserved before, settled after, never negative.

Nodes form the path tenant > agent > run > step. A reservation is granted by every node on the path or by none.
Amounts are counts, tokens, micro-dollars and milliseconds; `NO_LIMIT` in a limit means that this dimension is free.
Besides what actions cost, nodes count what people are asked and what is denied: see `core.caps`.
"""

from __future__ import annotations

from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import Final

import msgspec
from msgspec.structs import astuple

from flyball.core.errors import FlyballError

COSTS: Final = ("steps", "calls", "effects", "tokens", "usd", "ms")
CAPS: Final = ("open_approvals", "asks", "denials")
DIMENSIONS: Final = (*COSTS, *CAPS, "stored")
NO_LIMIT: Final = -1
MICRO: Final = 1_000_000
_MOST: Final = 2**63 - 1
# The default context rounds after 28 digits without a word.
_EXACT: Final = Context(prec=60, traps=[Inexact, InvalidOperation, Overflow])


class Amounts(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """How much of each dimension; `usd` in micro-dollars, `ms` in milliseconds, `stored` in bytes of artifacts."""

    steps: int = 0
    calls: int = 0
    effects: int = 0
    tokens: int = 0
    usd: int = 0
    ms: int = 0
    open_approvals: int = 0
    asks: int = 0
    denials: int = 0
    stored: int = 0


class Limit(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """The most of each dimension; NO_LIMIT where there is none."""

    steps: int = NO_LIMIT
    calls: int = NO_LIMIT
    effects: int = NO_LIMIT
    tokens: int = NO_LIMIT
    usd: int = NO_LIMIT
    ms: int = NO_LIMIT
    open_approvals: int = NO_LIMIT
    asks: int = NO_LIMIT
    denials: int = NO_LIMIT
    stored: int = NO_LIMIT


TENANT: Final = "tenant"
"""The node of the tenant's limits, which hold for one day each."""
_AGENTS: Final = "agents/"
_DAY_US: Final = 86_400_000_000
ZERO: Final = Amounts()
UNLIMITED: Final = Limit()


def of_agent(name: str) -> str:
    """The node of an agent's limits over all runs of a tenant, which hold for one day each."""
    return f"{_AGENTS}{name}"


def dated(node: str, now: int) -> str:
    """The node that a reservation made `now` (microseconds) stands at: the tenant's and an agent's are those of the
    day, in UTC.

    >>> dated("tenant", 3 * 86_400_000_000 + 5), dated("agents/writer", 5), dated("run/r-1", 5)
    ('tenant/3', 'agents/writer/0', 'run/r-1')
    """
    return f"{node}/{now // _DAY_US}" if node == TENANT or node.startswith(_AGENTS) else node


def plus(a: Amounts, b: Amounts) -> Amounts:
    """The sum, dimension by dimension."""
    return Amounts(
        steps=a.steps + b.steps, calls=a.calls + b.calls, effects=a.effects + b.effects,
        tokens=a.tokens + b.tokens, usd=a.usd + b.usd, ms=a.ms + b.ms,
        open_approvals=a.open_approvals + b.open_approvals, asks=a.asks + b.asks, denials=a.denials + b.denials,
        stored=a.stored + b.stored,
    )  # fmt: skip


def minus(a: Amounts, b: Amounts) -> Amounts:
    """The difference, never below zero: what was released twice does not become credit."""
    rest = [x - y if x > y else 0 for x, y in zip(astuple(a), astuple(b), strict=True)]
    return Amounts(**dict(zip(DIMENSIONS, rest, strict=True)))


def exceeded(limit: Limit, used: Amounts, wanted: Amounts) -> str | None:
    """The first dimension in which `used + wanted` passes the limit, or None.

    A dimension that is not wanted never refuses: a settlement above its reservation must not block what is free.
    """
    for dimension, most, held, more in zip(DIMENSIONS, astuple(limit), astuple(used), astuple(wanted), strict=True):
        if more > 0 and most != NO_LIMIT and held + more > most:
            return dimension
    return None


def costless(limit: Limit) -> bool:
    """Is nothing that an action costs limited?"""
    return all(getattr(limit, d) == NO_LIMIT for d in COSTS)


def left(limit: Limit, used: Amounts) -> Limit:
    """What remains of each limited dimension."""
    pairs = zip(astuple(limit), astuple(used), strict=True)
    return _limit([most if most == NO_LIMIT else max(0, most - held) for most, held in pairs])


def tightest(a: Limit, b: Limit) -> Limit:
    """The stricter of two limits in each dimension."""

    def least(x: int, y: int) -> int:
        return y if x == NO_LIMIT else x if y == NO_LIMIT else min(x, y)

    return _limit([least(x, y) for x, y in zip(astuple(a), astuple(b), strict=True)])


def _limit(each: list[int]) -> Limit:
    return Limit(**dict(zip(DIMENSIONS, each, strict=True)))


def micro_dollars(value: str | Decimal | int) -> int:
    """Dollars as a person writes them in micro-dollars; floats are refused, and what a micro-dollar cannot hold."""
    if isinstance(value, (float, bool)):
        raise FlyballError(
            "float_money", f"{value!r} is a float", "money in floats cannot be added exactly", 'write "0.05"'
        )
    try:
        micros = _EXACT.multiply(Decimal(value), MICRO)
    except ArithmeticError as bad:
        raise FlyballError("bad_money", f"{value!r} is not an amount of dollars", fix='write "0.05"') from bad
    if not micros.is_finite() or not 0 <= micros <= _MOST or micros != micros.to_integral_value():
        raise FlyballError("bad_money", f"{value!r} is not a whole number of micro-dollars", fix='write "0.05"')
    return int(micros)
