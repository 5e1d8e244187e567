"""1 000 tenants at once: each with a log, keys, budgets and policies of its own. `python -m benchmarks.tenants`.

One round opens every tenant and runs one flow in each, all at once; the rounds after it find them open. The same
number of runs in one tenant is done in turns with them, so that what the tenants cost is seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks import desk
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from benchmarks.workers.turns import cpu_seconds, resident_mib
from flyball import Completed, Flyball, Principal

NAME: Final = "tenants"
STEPS: Final = 2


def measure(size: Size, folder: Path) -> list[Row]:
    """Opening them, actions per second and processor time of one, memory of a tenant."""
    return asyncio.run(_measured(size, folder))


async def _measured(size: Size, folder: Path) -> list[Row]:
    many = [replace(desk.KIM, tenant=f"t{number}") for number in range(size.tenants)]
    one = [desk.KIM] * size.tenants
    async with desk.opened(folder, desk) as app:
        await _round(app, one)
        memory = resident_mib()
        first, spent = await _round(app, many)
        memory = resident_mib() - memory
        rounds = [(await _round(app, many), await _round(app, one)) for _ in range(min(size.rounds, 3))]
    done, what = size.tenants * STEPS, f"{size.tenants:,} tenants at once"
    return [
        row(NAME, f"{what}: opened, and one flow run in each", [first], "s"),
        row(NAME, f"{what}: processor time of that for one", [spent / size.tenants * 1000], "ms"),
        row(NAME, f"{what}: memory of one", [memory / size.tenants * 1024], "KiB"),
        row(NAME, f"{what}: governed actions", [done / a[0] for a, _ in rounds], "1/s"),
        row(NAME, "as many runs in one tenant: governed actions", [done / b[0] for _, b in rounds], "1/s"),
        row(NAME, f"{what}: processor time of one action", [a[1] / done * 1e6 for a, _ in rounds], "us"),
        row(NAME, "as many runs in one tenant: processor time of one action", [b[1] / done * 1e6 for _, b in rounds],
            "us"),
    ]  # fmt: skip


async def _round(app: Flyball, people: Sequence[Principal]) -> tuple[float, float]:
    """Seconds and processor time of one run for each of them, all at once."""
    cpu, began = cpu_seconds(), time.perf_counter()
    told = await asyncio.gather(*[app.run(desk.pay_all, STEPS, by=each) for each in people])
    if not all(isinstance(each, Completed) for each in told):
        raise RuntimeError(f"a run did not complete: {[each for each in told if not isinstance(each, Completed)][:3]}")
    return time.perf_counter() - began, cpu_seconds() - cpu


if __name__ == "__main__":
    section(NAME, measure)
