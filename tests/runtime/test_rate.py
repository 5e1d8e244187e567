"""Rate: what waited for its place is decided again, so that nothing old is acted on."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from flyball import Call, Completed, Run, Waiting, flow, tool
from flyball.core.config import Approvals, Config
from tests.runtime.till import FAY, POLICY, Drawer, drawer, lab

ASKS = (
    POLICY
    + """
@id("big-asks") @require_approval("finance") @reason("big")
forbid (principal, action == Action::"courier", resource)
when { context.input.n > 1 } unless { context.approvals.contains("finance") };"""
)


@tool(effect="irreversible", rate="1/2h", timeout=timedelta(hours=3))
async def courier(call: Call, n: int) -> None:
    """A courier who goes every two hours."""
    call.get(drawer).called(f"courier {n}")


@flow
async def sending(run: Run, n: int) -> str:
    await run.call(courier, 1)
    second = await run.attempt(courier, n)
    return getattr(second, "reason", "executed")


@pytest.mark.promise("gate-verdicts-do-not-age")
async def test_an_approval_that_expires_while_its_action_waits_for_its_turn_lifts_nothing() -> None:
    till, config = Drawer(), Config.bare("lab", "/srv", home="/srv")
    hour = msgspec.structs.replace(config, approvals=Approvals(expires_ms=3_600_000))
    bench = lab(till, ASKS, config=hour)
    asked = await bench.run(sending, 2)
    assert isinstance(asked, Waiting)
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and done.value == "approval_expired"
    assert till.calls == ["courier 1"] and (await bench.verify()).ok


async def test_what_waits_for_its_turn_takes_one_place_and_goes() -> None:
    till = Drawer()
    bench = lab(till, ASKS)
    began = bench.clock.now()
    asked = await bench.run(sending, 2)
    assert isinstance(asked, Waiting)
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and till.calls == ["courier 1", "courier 2"]
    assert bench.clock.now() - began <= 2 * 3_600_000_000 + 2
