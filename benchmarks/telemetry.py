"""The projector: what a record costs on its way out, and what the path notices of it. `python -m benchmarks.telemetry`.

The receiver is a process of its own on loopback. An action is two records, so that a log of 1 000 actions a second has
2 000 records a second. Rounds without a projector, with one in the owner's process and with one that is configured
beside it take turns; a round with one is over when everything has left, so that its whole cost is in it.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from benchmarks import desk
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from benchmarks.workers.flyball_steps import concurrently
from benchmarks.workers.turns import cpu_seconds
from flyball import Flyball
from flyball.app.project import collect
from flyball.app.telemetry import standing, telemetry_of
from flyball.app.wiring import exporters_of
from flyball.core.telemetry import TelemetryConfig
from flyball.runtime.telemetry import POLL_S

NAME: Final = "telemetry"
RATE: Final = 2_000
"""Records in a second of 1 000 actions."""
WAYS: Final = ("without", "inside", "beside")


def measure(size: Size, folder: Path) -> list[Row]:
    """Processor time of a record, how long a second of the log takes, and of an action with and without a projector."""
    with _sink() as url:
        return asyncio.run(_measured(size, folder, url))


@contextmanager
def _sink() -> Iterator[str]:
    words = [sys.executable, "-m", "benchmarks.workers.sink"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip() if process.stdout else ''}"
        finally:
            process.kill()


async def _measured(size: Size, folder: Path, url: str) -> list[Row]:
    apps = {way: _app(folder / way, way, url) for way in WAYS}
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for app in apps.values():
        await app.__aenter__()
    try:
        for n in range(size.rounds + 1):
            for way, app in apps.items():
                took = await _round(app, size, following=way == "inside")
                spent[way] += [took] if n else []
        left = await _behind(apps["beside"])
    finally:
        for app in apps.values():
            await app.__aexit__(None, None, None)
    ratios = [[a / b for a, b in zip(spent[way], spent["without"], strict=True)] for way in ("inside", "beside")]
    return [
        *_rows(left),
        *(row(NAME, f"an action, {way if way == 'without' else f'projector {way}'}: processor time", spent[way], "us")
          for way in WAYS),
        row(NAME, "projector inside : without", ratios[0], "times"),
        row(NAME, "projector beside : without, where the steps are", ratios[1], "times"),
    ]  # fmt: skip


def _rows(left: list[tuple[int, float, float]]) -> list[Row]:
    each = [cpu / records * 1e6 for records, cpu, _ in left]
    return [
        row(NAME, "one record, folded, encoded and sent: processor time", each, "us"),
        row(NAME, "records that leave in a second", [records / wall for records, _, wall in left], "1/s", least=RATE),
        row(NAME, "lag at 1,000 actions a second: a look at the log, and a second of it",
            [POLL_S + RATE * wall / records for records, _, wall in left], "s"),
        row(NAME, "a core's share at 1,000 actions a second", [100 * RATE * one / 1e6 for one in each], "%"),
    ]  # fmt: skip


def _app(folder: Path, way: str, url: str) -> Flyball:
    config = desk.configured(folder)
    if way != "without":
        exporter = TelemetryConfig(name="sink", url=url, inside=way == "inside")
        config = replace(config, telemetry={"sink": exporter})
    return Flyball(config, collect(desk.NAME, config.directory, [desk]))


async def _round(app: Flyball, size: Size, *, following: bool) -> float:
    """Processor time of one action, in microseconds."""
    began = cpu_seconds()
    done = (await concurrently(app, size.runs, size.steps))["done"]
    while following and standing(app.rooms, "local")[0]["behind"]:
        await asyncio.sleep(0.05)
    return (cpu_seconds() - began) / done * 1e6


async def _behind(app: Flyball) -> list[tuple[int, float, float]]:
    """The whole log sent by a projector that is started now: records, processor time and seconds; three times."""
    found: list[tuple[int, float, float]] = []
    for _ in range(3):
        exporters = exporters_of(app.rooms.config)
        telemetry, size = telemetry_of(app.rooms, exporters), standing(app.rooms, "local")[0]["records"]
        for _, cursors in exporters.values():
            cursors.take()
            (Path(app.rooms.config.journal.path).with_suffix(".telemetry") / "sink" / "local.json").unlink(
                missing_ok=True
            )
        cpu, began = cpu_seconds(), time.perf_counter()
        telemetry.start()
        await telemetry.close(600)
        found.append((size, cpu_seconds() - cpu, time.perf_counter() - began))
    return found


if __name__ == "__main__":
    section(NAME, measure)
