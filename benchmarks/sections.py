"""Which sections there are, in the order in which they are run and shown."""

from __future__ import annotations

from typing import Final

from benchmarks import (
    actions,
    alone,
    context,
    growth,
    guards,
    memory,
    policy,
    recovery,
    start,
    telemetry,
    tenants,
    verification,
    waiting,
)
from benchmarks.section import Measure

_IN_ORDER: Final = (
    actions, alone, policy, guards, context, memory, recovery, waiting, verification, start, growth, tenants, telemetry,
)  # fmt: skip
SECTIONS: Final[tuple[tuple[str, Measure], ...]] = tuple((each.NAME, each.measure) for each in _IN_ORDER)
