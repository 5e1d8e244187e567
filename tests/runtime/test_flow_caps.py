"""What holds over all runs: an agent's and a tenant's day, and how much of people's time and patience they may take."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flyball import (
    Blocked,
    Completed,
    Executed,
    Failed,
    FlyballError,
    Limits,
    Pending,
    Principal,
    Run,
    Stopped,
    Waiting,
    agent,
    flow,
)
from flyball.core.budget import Amounts
from flyball.core.config import Config, LimitSet
from flyball.core.journal import BudgetRow
from flyball.testing import Crash, Lab, Say, propose
from flyball.testing.script import ask
from tests.runtime.test_flow_limits import long_look
from tests.runtime.till import FAY, KIM, Drawer, lab, pay

ME = sys.modules[__name__]
DAY = timedelta(days=1)
CASHIER = Principal("user:kim", agent="cashier")
TOO_MUCH = 200_000

cashier = agent("cashier", instructions="Pay.", tools=[pay, long_look])
packer = agent("packer", instructions="Pay for packing.", tools=[pay])


@flow
async def paying(run: Run, cents: list[int]) -> list[str]:
    told = await run.gather(*(run.attempt(pay, n) for n in cents))
    return [t.what if isinstance(t, Blocked) else type(t).__name__ for t in told]


@flow
async def one_after_another(run: Run, cents: list[int]) -> int:
    for n in cents:
        await run.attempt(pay, n)
    return len(cents)


@flow
async def wondering(run: Run, times: int) -> int:
    asked = (run.ask(f"{n}?", bool, to="finance", within=DAY, default=False) for n in range(times))
    return len(await run.gather(*asked))


@flow
async def cashing(run: Run, wish: str) -> str:
    return await run.agent(cashier, wish)


careful = agent("careful", instructions="Pay.", tools=[pay], limits=Limits(denials=1))


@flow
async def going_on(run: Run, n: int) -> str:
    try:
        return await run.agent(careful, "pay")
    except Failed as told:
        return told.message


def limited(till: Drawer | None = None, models: Any = None, **limits: Any) -> Lab:
    config = msgspec.structs.replace(Config.bare("till", "/tills", home="/home"), limits=LimitSet(**limits))
    return lab(till, config=config, models=models or {}, project=[ME])


def spent(bench: Lab, node: str) -> Amounts:
    (row,) = [r for r in bench._bench.journal.view("local").rows(BudgetRow) if r.id.startswith(node)]
    return row.spent


async def sound(bench: Lab, *runs: str) -> bool:
    app = await bench._bench.ready()
    replayed = [await app.releases.replay(run) for run in runs]
    return (await bench.verify()).ok and all(told.ok for told in replayed)


# an agent's day -------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-agents-have-a-day")
async def test_what_an_agent_spends_in_all_its_runs_of_a_day_is_held_together() -> None:
    script = [propose(pay, 1), propose(pay, 2), Say("done")]
    bench = limited(models={"cashier": script * 3, "packer": script}, agents={"cashier": Limits(usd="0.30")})
    first, second = await bench.run(cashing, "pay", key="1"), await bench.run(cashing, "pay", key="2")
    other = await bench.run(packer, "pay")
    assert isinstance(first, Completed) and isinstance(other, Completed)
    assert isinstance(second, Stopped) and second.reason == "budget_exhausted" and "agents/cashier" in second.detail
    assert spent(bench, "agents/cashier").usd == 300_000 and await sound(bench, first.run, second.run, other.run)
    await bench.advance(DAY)
    assert isinstance(await bench.run(cashing, "pay"), Completed)


@pytest.mark.promise("gate-agents-have-a-day")
async def test_the_stricter_of_what_each_agent_and_this_one_may_counts() -> None:
    bench = limited(each_agent=Limits(effects=3), agents={"cashier": Limits(effects=9)})
    told = [await bench.act(pay, {"cents": n}, by=CASHIER, call_id=str(n)) for n in range(4)]
    assert [type(t) for t in told] == [Executed, Executed, Executed, Blocked]


@pytest.mark.promise("gate-agents-have-a-day", "gate-no-overspend")
async def test_many_calls_of_one_agent_at_once_pass_no_limit_of_its_day() -> None:
    till = Drawer()
    bench = limited(till, agents={"cashier": Limits(effects=7)})
    app = await bench._bench.ready(cashing)
    told = await asyncio.gather(*(app.act(pay, {"cents": n}, by=CASHIER, call_id=str(n)) for n in range(40)))
    assert sum(isinstance(t, Executed) for t in told) == 7 == len(till.paid)
    assert {t.reason for t in told if isinstance(t, Blocked)} == {"budget_exhausted"} and await sound(bench)


@pytest.mark.promise("gate-agents-have-a-day")
async def test_a_crash_keeps_what_an_agent_has_used() -> None:
    bench = limited(models={"cashier": [propose(pay, 1), Say("done")] * 2}, agents={"cashier": Limits(usd="0.20")})
    bench.crash_after(pay)
    with pytest.raises(Crash):
        await bench.run(cashing, "pay", key="k")
    done, more = await bench.resume("k"), await bench.run(cashing, "pay")
    assert isinstance(done, Completed) and isinstance(more, Stopped) and more.reason == "budget_exhausted"
    assert spent(bench, "agents/cashier").usd == 200_000  # the call that was under way, and the one that was made again


@pytest.mark.promise("gate-agents-have-a-day")
async def test_how_long_an_agent_was_driven_counts_over_its_runs() -> None:
    hours = [propose(long_look, 1), Say("done")]
    bench = limited(models={"cashier": hours * 3}, agents={"cashier": Limits(seconds=3 * 3600)})
    told = [await bench.run(cashing, "look", key=str(n)) for n in range(3)]
    assert [t.reason for t in told] == ["completed", "max_seconds", "max_seconds"]
    assert all("agent cashier" in t.detail for t in told if isinstance(t, Stopped))
    assert await sound(bench, *(t.run for t in told))
    bench = limited(models={"cashier": hours}, tenant=Limits(seconds=9 * 3600), agents={"cashier": Limits(seconds=9)})
    assert isinstance(await bench.run(cashing, "look"), Stopped)
    assert spent(bench, "tenant/").ms >= spent(bench, "agents/cashier").ms > 0


async def test_a_limit_of_an_agent_that_there_is_not_names_the_nearest() -> None:
    bench = limited(agents={"cashire": Limits(usd="1")})
    with pytest.raises(FlyballError, match="cashire") as caught:
        await bench.run(cashing, "pay")
    assert caught.value.code == "unknown_agent" and caught.value.fix == "Did you mean cashier?"


# what is open ---------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-caps-per-tenant")
async def test_a_tenant_has_no_more_open_approvals_over_all_runs_than_it_may() -> None:
    bench = limited(tenant=Limits(open_approvals=3))
    first, second = await bench.run(paying, [200, 201], key="1"), await bench.run(paying, [202, 203], key="2")
    assert isinstance(first, Waiting) and isinstance(second, Waiting)
    assert (len(first.pending), len(second.pending)) == (2, 1)
    (refused,) = [r for r in bench.records("2") if r.kind == "decision"]
    assert refused.facts["reason"] == "policy_denied" and "3 approvals of this tenant" in str(refused.private)
    await bench.deny(first.pending[0], by=FAY)
    third = await bench.run(paying, [204, 205])
    assert isinstance(third, Waiting) and len(third.pending) == 1
    await bench.stop("2")
    assert isinstance(await bench.run(paying, [206]), Waiting) and await sound(bench, first.run, second.run)


@pytest.mark.promise("gate-caps-per-tenant")
async def test_many_asks_of_one_agent_at_once_pass_no_cap() -> None:
    bench = limited(agents={"cashier": Limits(open_approvals=5)})
    app = await bench._bench.ready(cashing)
    told = await asyncio.gather(*(app.act(pay, {"cents": 200 + n}, by=CASHIER, call_id=str(n)) for n in range(30)))
    assert sum(isinstance(t, Pending) for t in told) == 5 == len(app.approvals.list())
    blocked = {t.what for t in told if isinstance(t, Blocked)}
    assert blocked == {"5 approvals of agent cashier are open already"} and await sound(bench)
    assert isinstance(await app.act(pay, {"cents": 300}, by=KIM, call_id="kim"), Pending)


@pytest.mark.promise("gate-caps-per-tenant")
async def test_what_expired_or_was_approved_is_no_open_approval() -> None:
    bench = limited(tenant=Limits(open_approvals=1))
    asked = await bench.run(paying, [200], key="k")
    assert isinstance(asked, Waiting)
    await bench.advance(2 * DAY + timedelta(minutes=1))
    again = await bench.run(paying, [201])
    assert isinstance(again, Waiting) and isinstance(await bench.approve(again.pending[0], by=FAY), Completed)
    assert isinstance(await bench.run(paying, [202]), Waiting)


# asks -----------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-caps-per-tenant")
async def test_a_question_beyond_what_may_be_asked_ends_the_run_and_an_approval_is_denied() -> None:
    bench = limited(tenant=Limits(asks=2))
    assert isinstance(await bench.run(wondering, 2), Waiting)
    ended, denied = await bench.run(wondering, 1), await bench.run(paying, [200])
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied"
    assert ended.detail == "people were asked 2 times for this tenant today"
    assert isinstance(denied, Completed) and denied.value == [ended.detail]
    assert await sound(bench, ended.run, denied.run)
    await bench.advance(DAY)
    assert isinstance(await bench.run(wondering, 2), Waiting)


@pytest.mark.promise("gate-caps-per-tenant")
async def test_an_agent_that_asks_too_often_ends_its_run() -> None:
    bench = limited(models={"cashier": [ask("This?"), ask("That?"), Say("so")]}, agents={"cashier": Limits(asks=1)})
    asked = await bench.run(cashing, "pay", key="k")
    assert isinstance(asked, Waiting)
    ended = await bench.answer(asked.pending[0], "yes", by=KIM)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and "agent cashier" in ended.detail
    assert await sound(bench, ended.run)


async def test_questions_at_once_pass_no_cap_of_their_run() -> None:
    ended = await limited(run=Limits(asks=3)).run(wondering, 5)
    assert isinstance(ended, Stopped) and ended.detail == "people were asked 3 times for this run"


# denials --------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-caps-per-tenant")
async def test_many_denials_at_once_pass_no_cap_and_end_their_runs() -> None:
    bench = limited(tenant=Limits(denials=10))
    app = await bench._bench.ready(paying)
    handles = [await app.start(paying, [TOO_MUCH + n], by=KIM) for n in range(30)]
    told = [await handle.result() for handle in handles]
    assert sum(isinstance(t, Completed) for t in told) == 10
    ended = [t for t in told if isinstance(t, Stopped)]
    assert {(t.reason, t.detail) for t in ended} == {("policy_denied", "10 proposals of this tenant were denied today")}
    assert spent(bench, "tenant/").denials == 10 and await sound(bench, *(t.run for t in told[:12]))


@pytest.mark.promise("gate-caps-per-tenant")
async def test_whose_denials_are_used_up_takes_no_step_until_the_next_day() -> None:
    till = Drawer()
    bench = limited(till, models={"cashier": [Say("done")] * 2}, agents={"cashier": Limits(denials=2)})
    for n in range(3):
        await bench.act(pay, {"cents": TOO_MUCH + n}, by=CASHIER, call_id=str(n))
    ended, fine = await bench.run(cashing, "pay", key="k"), await bench.act(pay, {"cents": 1}, by=KIM, call_id="kim")
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and isinstance(fine, Executed)
    assert ended.detail == "2 proposals of agent cashier were denied today" and await sound(bench, ended.run)
    await bench.advance(DAY)
    assert isinstance(await bench.run(cashing, "pay"), Completed)


@pytest.mark.parametrize("what", [paying, one_after_another])
async def test_the_caps_of_a_run_are_those_that_are_set(what: Any) -> None:
    bench = limited(run=Limits(denials=2))
    ended = await bench.run(what, [TOO_MUCH + n for n in range(6)])
    assert isinstance(ended, Stopped) and ended.detail == "2 proposals of this run were denied"
    counted = [r for r in bench.records() if r.kind == "decision" and "capped" not in r.facts]
    assert len(counted) == 2 and await sound(bench, ended.run)


async def test_denials_of_an_agent_in_a_run_end_that_agent_alone() -> None:
    script = [propose(pay, TOO_MUCH), propose(pay, TOO_MUCH + 1), Say("done")]
    done = await limited(models={"careful": script}).run(going_on, 1)
    assert isinstance(done, Completed) and done.value == "1 proposals of this agent were denied"
