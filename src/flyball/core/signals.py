"""Signals: scores that a run gives of its own work, and that policies read from then on.

Rules:

* A signal has a name and a range that somebody wrote into the configuration: what nobody named is refused, so that a
  policy never waits for a score under a misspelt name.
* A value is kept in ten-thousandths, rounded half to even: what policies can compare exactly.
* The latest value of a name counts; where there is none yet, policies see that it is not there.

>>> amount({"quality": Scale()}, "quality", 2 / 3)
6667
>>> number(6667)
Decimal('0.6667')
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.model import nearest

SIGNAL_NAME: Final = re.compile("[a-z][a-z0-9_]{0,31}")
MOST_SIGNALS: Final = 64
# What a range may reach: in ten-thousandths it is still exact in every reader of JSON.
FURTHEST: Final = 1_000_000_000
_PLACES: Final = Decimal("0.0001")


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """The range of a signal, both ends included: one `[signals.NAME]` of the configuration."""

    least: float = 0
    most: float = 1


def amount(scales: Mapping[str, Scale], name: str, value: float) -> int:
    """A signal's value in ten-thousandths; raises FlyballError `unknown_signal` or `bad_signal`."""
    scale = scales.get(name)
    if scale is None:
        near, there = nearest(str(name), scales), ", ".join(sorted(scales)) or "none"
        fix = f"Did you mean {near}?" if near else f"Write [signals.{name}] into flyball.toml."
        raise FlyballError("unknown_signal", f"there is no signal {name!r}", f"there are: {there}", fix)
    given: Any = value  # whatever a flow hands in
    if isinstance(given, bool) or not isinstance(given, (int, float)) or not math.isfinite(given):
        raise FlyballError("bad_signal", f"{name} cannot be {value!r}", "a signal is a finite number")
    if not scale.least <= value <= scale.most:
        raise FlyballError(
            "bad_signal", f"{name} cannot be {value!r}", f"it goes from {scale.least} to {scale.most}",
            f"Give another value, or write least and most of [signals.{name}] anew.",
        )  # fmt: skip
    return units(value)


def units(value: float) -> int:
    """A finite number in ten-thousandths."""
    return int(Decimal(repr(value)).quantize(_PLACES, ROUND_HALF_EVEN) * 10_000)


def number(amount: int) -> Decimal:
    """The value again, as policies read it."""
    return Decimal(amount).scaleb(-4)
