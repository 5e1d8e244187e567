"""Offline verification of an exported ledger: processor time for each leaf. `python -m benchmarks.verification`.

DESIGN section 12, sixth row. The ledger is that of governed actions; an outsider's verifier reads the export, rebuilds
the tree, checks signatures, every leaf's form and that each run is complete. Processor time, as it waits for nothing.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from benchmarks import desk
from benchmarks.report import Row, row
from benchmarks.section import section
from benchmarks.sizes import Size
from flyball import Completed
from flyball.verify.directory import verify_directory

NAME: Final = "verification"
AT_ONCE: Final = 100


def measure(size: Size, folder: Path) -> list[Row]:
    """Microseconds for each leaf, and bytes of one in the export."""
    export, vkey, leaves = asyncio.run(exported(folder, size.leaves))
    rounds = [_verified(export, vkey) for _ in range(size.rounds + 1)][1:]
    held = sum(file.stat().st_size for file in export.rglob("*") if file.is_file())
    return [
        row(NAME, f"one of {leaves:,} leaves", [each / leaves * 1e6 for each in rounds], "us", most=15),
        row(NAME, "one leaf in the export, with its part of the tree", [held / leaves], "bytes"),
    ]


def _verified(export: Path, vkey: str) -> float:
    began = time.process_time()
    report = verify_directory(export, vkey=vkey)
    took = time.process_time() - began
    if not report.ok:
        raise RuntimeError(report.summary)
    return took


async def exported(folder: Path, leaves: int) -> tuple[Path, str, int]:
    """An export with at least so many leaves, the key that checks it, and how many there are."""
    async with desk.opened(folder, desk) as app:
        steps = -(-leaves // (2 * AT_ONCE))
        told = await asyncio.gather(*[app.run(desk.pay_all, steps, by=desk.KIM) for _ in range(AT_ONCE)])
        if not all(isinstance(each, Completed) for each in told):
            raise RuntimeError(f"a run did not complete: {told[:3]}")
        export = await app.ledger.export(folder / "export")
        _, frontier = app.rooms.ports.journal.view(desk.KIM.tenant).tree()
        return export, app.ledger.verifier_key(), frontier.size


if __name__ == "__main__":
    section(NAME, measure)
