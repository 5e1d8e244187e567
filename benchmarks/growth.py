"""What a long conversation leaves in the log: bytes for each 100 tool calls of an agent; do they grow linearly?

`python -m benchmarks.growth`. One agent, 50 replies of its model, two tool calls in each. What is counted is every byte
of every record, leaf and payload, large bodies among them. Linear means: a call at the end adds what a call at the
beginning added. LangGraph has the same conversation over its SQLite checkpointer, the usual list of messages as state.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final

from benchmarks import desk
from benchmarks.contest import PEERS
from benchmarks.once import once
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from flyball import Completed

NAME: Final = "growth"
PARTS: Final = 5
CALLS: Final = 2


def measure(size: Size, folder: Path) -> list[Row]:
    """Bytes for each 100 calls, the fit of a straight line, and what the last calls add of what the first ones do."""
    lengths = sorted({max(1, size.turns * part // PARTS) for part in range(1, PARTS + 1)})
    ours = [asyncio.run(logged(folder / f"{turns}", turns)) for turns in lengths]
    rows = _rows("flyball", lengths, ours, most=1.1)
    if PEERS.exists():
        peer = [once("langgraph_talk", folder, turns, python=str(PEERS))["bytes"] for turns in lengths]
        rows += _rows("langgraph", lengths, peer, most=None)
    return rows


def _rows(name: str, lengths: Sequence[int], sizes: Sequence[float], most: float | None) -> list[Row]:
    calls = [turns * CALLS for turns in lengths]
    added = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(zip(calls, sizes, strict=True))]
    return [
        row(NAME, f"{name}: 100 tool calls, of {calls[-1]} in one conversation", [sizes[-1] / calls[-1] * 100 / 1024],
            "KiB"),
        row(NAME, f"{name}: what a call adds, last : first", [added[-1] / added[0]], "times", most=most),
        row(NAME, f"{name}: part of the growth that a straight line explains (R2)", [straight(calls, sizes)], ""),
    ]  # fmt: skip


def straight(xs: Sequence[float], ys: Sequence[float]) -> float:
    """How much of the variance of `ys` the best straight line over `xs` explains: 1.0 is all of it."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    both = sum((a - x) * (b - y) for a, b in zip(xs, ys, strict=True))
    spread = sum((a - x) ** 2 for a in xs) * sum((b - y) ** 2 for b in ys)
    return both**2 / spread if spread else 1.0


async def logged(folder: Path, turns: int) -> int:
    """Bytes of the records of one conversation of so many replies; raises where it does not come to its end."""
    folder.mkdir()
    script = folder / "talker.toml"
    script.write_text(_script(turns), "utf-8")
    async with desk.opened(folder, desk, script=script) as app:
        await app.runs.ready(desk.KIM.tenant)
        before = _bytes(Path(app.rooms.config.journal.path))
        result = await app.run(desk.talker, "How many payments were there?", by=desk.KIM)
        if not isinstance(result, Completed):
            raise RuntimeError(f"the conversation did not complete: {result}")
        return _bytes(Path(app.rooms.config.journal.path)) - before


def _bytes(journal: Path) -> int:
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as opened:
        records = "SELECT coalesce(sum(length(leaf) + coalesce(length(payload), 0)), 0) FROM record"
        bodies = "SELECT coalesce(sum(length(data)), 0) FROM body"
        return sum(int(opened.execute(each).fetchone()[0]) for each in (records, bodies))


def _script(turns: int) -> str:
    calls = '[[reply.call]]\ntool = "look"\narguments = {{ number = {} }}\n'
    reply = '[[reply]]\nstep = {}\ntext = "I look the next two up."\n'
    replies = [
        reply.format(turn) + "".join(calls.format(CALLS * turn + n) for n in range(CALLS))
        for turn in range(1, turns + 1)
    ]
    return "\n".join(['script = "talker"', *replies, f'[[reply]]\nstep = {turns + 1}\ntext = "They are all there."\n'])


if __name__ == "__main__":
    section(NAME, measure)
