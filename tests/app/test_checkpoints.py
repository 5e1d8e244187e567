"""When a log is signed without being asked: when a run parks, when it ends, and when the project is closed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from flyball import Completed, Waiting
from flyball.app.wiring import Ports
from flyball.core.journal import CheckpointRow
from tests.bad_input.bank import FAY, KIM, PERMIT, Books, in_memory, memory, paying

ASKS = (
    PERMIT
    + """
@id("big") @require_approval("finance") forbid (principal, action == Action::"pay", resource)
unless { context.approvals.contains("finance") };
"""
)


def unsigned(ports: Ports) -> int:
    """How many records the newest checkpoint does not cover."""
    view = ports.journal.view("local")
    return view.tree()[1].size - max((int(row.id) for row in view.rows(CheckpointRow)), default=0)


async def soon_signed(ports: Ports) -> None:
    async with asyncio.timeout(10):
        while unsigned(ports):
            await asyncio.sleep(0.01)


@pytest.mark.promise("journal-signed-at-rest")
async def test_a_log_is_signed_when_a_run_parks_and_when_it_ends(tmp_path: Path) -> None:
    ports = memory()
    async with in_memory(ports, tmp_path, Books(), ASKS) as app:
        asked = await app.start(paying, {"cents": 5}, by=KIM)
        waits = await asked.result()
        assert isinstance(waits, Waiting) and unsigned(ports)
        await soon_signed(ports)
        await app.approvals.approve(waits.pending[0], by=FAY)
        assert isinstance(await asked.result(), Completed) and unsigned(ports)
        await soon_signed(ports)


@pytest.mark.promise("journal-signed-at-rest")
async def test_a_log_is_signed_when_the_project_is_closed(tmp_path: Path) -> None:
    ports = memory()
    async with in_memory(ports, tmp_path, Books()) as app:
        await app.act("pay", {"cents": 5}, by=KIM, call_id="1")
        assert unsigned(ports)
    assert unsigned(ports) == 0
