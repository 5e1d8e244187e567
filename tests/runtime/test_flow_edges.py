"""Edges of a run: the day of a budget, steps over all activations, work that outlives its timer, rude endings."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flyball import Call, Completed, Limits, NotDone, Run, Stopped, Waiting, agent, flow, tool
from flyball.core.config import Config, LimitSet
from flyball.core.journal import BudgetRow
from flyball.runtime.flow import activation
from flyball.testing import Say
from tests.review.test_timeout import driven
from tests.runtime.till import FAY, Drawer, drawer, lab, look, pay, ring, scripted

DAY = timedelta(days=1)
MS = timedelta(milliseconds=1)


class Rude(BaseException):
    """What no `except Exception` sees."""


@flow
async def two_days(run: Run, n: int) -> str:
    await run.call(look, n)
    await run.sleep(2 * DAY)
    return str(await run.call(look, n))


@flow
async def napping(run: Run, n: int) -> int:
    for _ in range(n):
        await run.sleep(DAY)
    return n


@flow
async def rude(run: Run, how: str) -> str:
    run.call(look, 1)
    if how == "exit":
        sys.exit("enough")
    raise Rude(how)


@flow
async def nested(run: Run, how: str) -> str:
    await run.gather(run.flow(rude, how), run.call(look, 1))
    return "never"


@tool(effect="irreversible")
async def slow(call: Call, n: int) -> str:
    """Takes its time."""
    gate: Any = call.get(drawer)
    gate.called("slow")
    await asyncio.sleep(30)
    return "done"


@flow
async def inside(run: Run, n: int) -> str:
    await run.call(slow, n)
    return await run.call(ring, n)


@flow
async def hurried(run: Run, n: int) -> str:
    await run.timeout(run.flow(inside, n), MS)
    return await run.call(pay, 200)


@flow
async def in_doubt(run: Run, n: int) -> str:
    return await run.call(pay, n)


def with_tenant(**limits: Any) -> Config:
    return msgspec.structs.replace(Config.bare("lab", "/srv", home="/srv"), limits=LimitSet(tenant=Limits(**limits)))


async def test_a_tenant_s_budget_is_that_of_the_day_on_which_a_call_is_made() -> None:
    bench = lab(config=with_tenant(calls=1))
    assert isinstance(await bench.run(two_days, 1, key="k"), Waiting)
    await bench.advance(2 * DAY)
    assert isinstance(await bench.resume("k"), Completed)
    rows = [r for r in bench._bench.journal.view("local").rows(BudgetRow) if r.id.startswith("tenant/")]
    assert [r.spent.calls for r in rows] == [1, 1]


@pytest.mark.promise("journal-step-cap", "journal-snapshots")
async def test_steps_are_counted_over_all_activations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation, "MOST_STEPS", 4)
    bench = lab()
    await bench.run(napping, 9, key="k")
    for _ in range(6):
        await bench.advance(DAY)
    ended = await bench.resume("k")
    assert isinstance(ended, Stopped) and ended.reason == "max_steps" and (await bench.verify()).ok


async def test_a_tenant_s_seconds_of_a_day_hold_over_all_of_its_runs() -> None:
    till = Drawer()
    till.faults["pay"] = [NotDone("closed", retry_after=timedelta(seconds=90))]
    bench = lab(till, config=with_tenant(seconds=60))
    first = await bench.run(in_doubt, 5)
    second = await bench.run(in_doubt, 5)
    assert isinstance(first, Completed) and isinstance(second, Stopped) and second.reason == "max_seconds"
    await bench.advance(DAY)
    assert isinstance(await bench.run(in_doubt, 5), Completed) and (await bench.verify()).ok


@pytest.mark.parametrize("what", [rude, nested])
@pytest.mark.parametrize("how", ["exit", "base"])
async def test_a_flow_that_raises_what_nobody_catches_ends_its_run(what: Any, how: str) -> None:
    bench = lab()
    ended = await asyncio.wait_for(bench.run(what, how, key="k"), 10)
    assert isinstance(ended, Stopped) and ended.reason == "internal_error" and (await bench.verify()).ok


async def test_what_still_works_when_its_timer_has_won_does_not_outlive_the_process() -> None:
    bench = lab()
    assert isinstance(await driven(bench, hurried), Waiting)
    driver = bench._bench._app.rooms.driver  # type: ignore[union-attr]
    left = [task for tasks in driver._left.values() for task in tasks]
    assert left and not any(task.done() for task in left)
    await bench._bench.close()
    assert all(task.done() for task in left) and not driver._left


async def test_a_call_inside_a_flow_that_lost_its_timer_is_closed_after_a_crash() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await driven(bench, hurried)
    assert isinstance(asked, Waiting)
    await bench._bench.reopen()
    await bench.advance(timedelta(minutes=1))
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed)
    told = {r.path: r.facts["status"] for r in bench.records(asked.run) if r.kind == "outcome"}
    assert told["1.1"] == "unknown" and "ring" not in till.calls
    report = await bench.verify()
    assert report.ok and not report.open_intents


async def test_what_certainly_did_not_happen_five_times_in_a_row_opens_the_breaker() -> None:
    till = Drawer()
    till.faults["look"] = [NotDone("closed") for _ in range(6)]
    bench = lab(till)
    told = [await bench.act(look, {"n": 1}, call_id=str(n)) for n in range(2)]
    assert [getattr(t, "reason", "") for t in told] == ["not_done", "breaker_open"] and till.calls == ["look"] * 5


clerk = agent("clerk", instructions="Say much.")


async def test_a_model_s_reply_over_the_limit_ends_its_run_with_its_own_reason() -> None:
    bench = scripted(clerk=[Say("x" * 2_000_000)])
    ended = await bench.run(clerk, "go")
    assert isinstance(ended, Stopped) and ended.reason == "reply_too_large" and (await bench.verify()).ok


async def test_a_call_that_lost_its_timer_and_is_still_open_is_no_difference_at_a_replay() -> None:
    bench = lab()
    asked = await driven(bench, hurried)
    assert isinstance(asked, Waiting)
    bench._runs["k"] = (asked.run, "local")
    told = await bench.replay(bench.history("k"))
    assert told.ok, told.difference
