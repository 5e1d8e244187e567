"""Which sections there are, in the order in which they are run and shown."""

from __future__ import annotations

from typing import Final

from benchmarks import actions, alone, context, growth, guards, policy, recovery, start, tenants, verification, waiting
from benchmarks.section import Measure

SECTIONS: Final[tuple[tuple[str, Measure], ...]] = tuple(
    (each.NAME, each.measure)
    for each in (actions, alone, policy, guards, context, recovery, waiting, verification, start, growth, tenants)
)
