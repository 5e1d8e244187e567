"""Compiling a context: processor time for each 2 kB of passages. `python -m benchmarks.context`.

`2 kB` from four sources, `32 kB` from sixteen, and 32 kB into room for half of it, where what is not needed gives
way. Texts differ from one another, so that nothing is remembered.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from flyball.core.context import Context, Excerpt, Part, Read, compile_context

NAME: Final = "context"
LENGTH: Final = 2_000
PIECES: Final = 4
"""Passages in each 2 kB."""
PROSE: Final = "The order of last week came in two pieces, and nobody answered when we wrote about it on Monday. "
# How many sources, how much of 2 kB each holds, and room in tokens.
SHAPES: Final = {
    "2 kB": (4, 0.25, 100_000), "32 kB": (16, 1.0, 100_000), "32 kB, room for half": (16, 1.0, 4_000),
}  # fmt: skip


def measure(size: Size, folder: Path) -> list[Row]:
    """Microseconds for each 2 kB."""
    return [
        row(NAME, f"compiled, for each 2 kB: {name}",
            [_took(*shape, times=3 * size.steps) for _ in range(size.rounds + 1)][1:], "us")
        for name, shape in SHAPES.items()
    ]  # fmt: skip


def _took(sources: int, each: float, room: int, times: int) -> float:
    inputs = [[_part(f"s{source}", each, number) for source in range(sources)] for number in range(times)]
    began = time.process_time()
    made = [compile_context(parts, room) for parts in inputs]
    took = time.process_time() - began
    if not all(isinstance(one, Context) and one.text for one in made):
        raise RuntimeError(f"nothing was compiled: {made[0]}")
    return took / times / (sources * each) * 1e6


def _part(source: str, each: float, number: int) -> Part:
    length = LENGTH // PIECES
    passages = tuple(
        Excerpt(place=n, text=f"{number} {source} {n} {PROSE * 6}"[:length], ref=f"{source}/{n}")
        for n in range(round(PIECES * each))
    )
    return Part(source=source, tokens=10_000, required=False, read=Read(at=1, untrusted=passages))


if __name__ == "__main__":
    section(NAME, measure)
