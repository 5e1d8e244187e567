"""How much each section does: everything, quickly, or just enough to see that it works."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The sizes of one pass over the sections."""

    rounds: int
    runs: int
    steps: int
    alone: int
    policies: tuple[int, ...]
    decisions: int
    turns: int
    killed: int
    waiting: int
    tenants: int
    leaves: int
    starts: int
    memories: int


FULL: Final = Size(
    rounds=5, runs=128, steps=10, alone=100, policies=(10, 100, 1_000), decisions=2_000, turns=50, killed=1_000,
    waiting=10_000, tenants=1_000, leaves=20_000, starts=15, memories=100_000,
)  # fmt: skip
QUICK: Final = Size(
    rounds=3, runs=128, steps=5, alone=50, policies=(10, 100, 1_000), decisions=500, turns=50, killed=300,
    waiting=1_000, tenants=200, leaves=4_000, starts=5, memories=10_000,
)  # fmt: skip
TINY: Final = Size(
    rounds=1, runs=2, steps=2, alone=2, policies=(2, 4), decisions=4, turns=6, killed=3, waiting=3, tenants=3,
    leaves=20, starts=1, memories=50,
)  # fmt: skip
