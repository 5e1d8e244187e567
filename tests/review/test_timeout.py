"""Timeouts: what lost against its timer begins nothing new, and what it left open is closed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from flyball import Call, Completed, Run, Waiting, flow, tool
from tests.runtime.till import FAY, KIM, Drawer, drawer, lab, pay


@tool(effect="irreversible")
async def slow(call: Call, n: int) -> str:
    """Takes its time."""
    await asyncio.sleep(0.1)
    call.get(drawer).called(f"slow {n}")
    return "done"


@flow
async def chain(run: Run, n: int) -> str:
    await run.call(slow, 1)
    return await run.call(slow, 2)


@flow
async def hurried(run: Run, n: int) -> str:
    told = await run.timeout(run.flow(chain, n), timedelta(milliseconds=1))
    await run.call(slow, 8)
    await run.call(slow, 9)
    return str(told)


@flow
async def moved_on(run: Run, n: int) -> str:
    await run.timeout(run.call(slow, n), timedelta(milliseconds=1))
    return await run.call(pay, 200)


async def driven(bench: Any, what: Any) -> Any:
    app = await bench._bench.ready(what)

    async def passing() -> None:
        while True:
            bench.clock.move(bench.clock.now() + 10_000)
            await asyncio.sleep(0.01)

    time = asyncio.create_task(passing())
    try:
        return await app.run(what, 1, by=KIM, key="k")
    finally:
        time.cancel()


@pytest.mark.promise("journal-timeouts-are-timers")
async def test_what_lost_against_its_timer_begins_nothing_new() -> None:
    till = Drawer()
    bench = lab(till)
    done = await driven(bench, hurried)
    assert isinstance(done, Completed) and done.value == "None"
    assert till.calls == ["slow 1", "slow 8", "slow 9"] and (await bench.verify()).ok


async def test_a_call_in_flight_that_lost_is_closed_after_a_crash() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await driven(bench, moved_on)
    assert isinstance(asked, Waiting)
    await bench._bench.reopen()
    await bench.advance(timedelta(minutes=1))
    await bench.approve(asked.pending[0], by=FAY)
    told = {r.path: r.facts["status"] for r in bench.records(asked.run) if r.kind == "outcome"}
    assert told["1"] == "unknown" and told["3"] == "executed"
