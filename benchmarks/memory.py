"""Finding memories among many: processor time of the index of one tenant. `python -m benchmarks.memory`.

`few`: a name that stands in few memories, with common words beside it. `common`: words that stand in very many. `own`:
common words among the memories of one principal of a hundred. `put`: a memory more, each in a transaction of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from flyball.app.plugs import adapter
from flyball.core.memory_index import Cursor, Indexed, Sought
from flyball.core.relevance import words
from flyball.ports.memory import MemoryIndex
from flyball.runtime.memory.memories import chosen

NAME: Final = "memory"
TENANT: Final = "acme"
PORTION: Final = 5_000
PRINCIPALS: Final = 100
SAID: Final = (
    "likes green tea", "prefers letters to mail", "pays late in summer", "asks for Bea at the desk",
    "wants the invoice by order", "has a dog called Rex", "moved to Bonn in spring", "never signs before noon",
)  # fmt: skip


def measure(size: Size, folder: Path) -> list[Row]:
    """Microseconds of processor time for each query, and for each memory that is put."""
    return asyncio.run(_measured(size, folder))


async def _measured(size: Size, folder: Path) -> list[Row]:
    index: MemoryIndex = adapter("memory.sqlite")(folder)
    many = size.memories
    for first in range(0, many, PORTION):
        rows = [_memory(n) for n in range(first, min(first + PORTION, many))]
        await index.apply(TENANT, rows, Cursor(index=first))
    queries: dict[str, Callable[[int], Sought]] = {
        f"found: words of few of {many:,} memories": lambda n: _sought(f"what does customer {n % many} like?", "all"),
        f"found: words of many of {many:,} memories": lambda n: _sought(SAID[n % len(SAID)], "all"),
        f"found: words of many of one principal's of {many:,} memories":
            lambda n: _sought(SAID[n % len(SAID)], f"p{n % PRINCIPALS}"),
    }  # fmt: skip
    found: list[Row] = []
    for what, ask in queries.items():
        took = [await _took(partial(_find, index, ask), size.alone) for _ in range(size.rounds + 1)]
        found.append(row(NAME, what, took[1:], "us"))

    async def put(n: int) -> None:
        await index.apply(TENANT, [_memory(many + n)], Cursor(index=many + n))

    puts = [await _took(put, size.alone) for _ in range(size.rounds)]
    found.append(row(NAME, f"put: one more beside {many:,} memories", puts, "us"))
    await index.close()
    return found


def _memory(n: int) -> Indexed:
    owner = "all" if n % 2 else f"p{n // 2 % PRINCIPALS}"
    text = f"Customer {n} {SAID[n % len(SAID)]} and {SAID[n // 8 % len(SAID)]}"
    return Indexed(
        id=f"m-{n}", record=f"r/{n}", owner=owner, by=owner, about=words(f"habits {n // 4}"), words=words(text),
        created=n, expires=2**60, bytes=len(text),
    )  # fmt: skip


def _sought(query: str, owner: str) -> Sought:
    return Sought(owner=owner, words=words(query), now=0, limit=200)


async def _find(index: MemoryIndex, ask: Callable[[int], Sought], n: int) -> None:
    sought = ask(n)
    chosen(sought.words, await index.search(TENANT, sought), 4, 0.5)


async def _took(work: Callable[[int], Awaitable[None]], times: int) -> float:
    began = time.process_time()
    for n in range(times):
        await work(n)
    return (time.process_time() - began) / times * 1e6


if __name__ == "__main__":
    section(NAME, measure)
