"""Budgets and tenants: no overspend under any concurrency, and what one tenant does is nothing to another."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flyball import (
    Blocked,
    Call,
    Executed,
    FlyballError,
    Limits,
    Principal,
    Run,
    Stopped,
    Waiting,
    flow,
    tool,
)
from flyball.core.config import Config, LimitSet
from flyball.core.journal import BudgetRow
from tests.bad_input.bank import (
    FAY,
    KIM,
    ONCE,
    POLICY,
    Books,
    books,
    in_memory,
    lab,
    look,
    memory,
    not_done,
    on_disk,
    pay,
    paying,
)

ME = sys.modules[__name__]
MIA = Principal("user:mia", tenant="acme", groups=frozenset({"finance"}))
BEN = Principal("user:ben", tenant="bolt", groups=frozenset({"finance"}))


@tool(effect="irreversible", cost="0.01", retry=ONCE)
async def spend(call: Call, n: int) -> str:
    """Spend a cent."""
    return await call.get(books).happen("spend", call)  # type: ignore[no-any-return]


@flow
async def spending(run: Run, n: int) -> int:
    told = await run.gather(*[run.attempt(spend, number) for number in range(n)])
    return sum(isinstance(t, Executed) for t in told)


@flow
async def one_by_one(run: Run, n: int) -> int:
    for number in range(n):
        await run.call(spend, number)
    return n


def daily(usd: str) -> LimitSet:
    return LimitSet(tenant=Limits(usd=usd))


def limited(usd: str) -> Config:
    import msgspec

    return msgspec.structs.replace(Config.bare("bank", "/srv", home="/srv"), limits=daily(usd))


@pytest.mark.promise("gate-no-overspend")
async def test_two_hundred_calls_at_once_spend_no_more_than_a_tenants_day_allows(tmp_path: Path) -> None:
    kept = Books()
    async with on_disk(tmp_path, kept, POLICY, ME, limits=daily("0.50")) as app:
        told = await asyncio.gather(*[app.act(spend, {"n": n}, by=KIM, call_id=str(n)) for n in range(200)])
        assert sum(isinstance(t, Executed) for t in told) == len(kept.calls) == 50
        assert {t.reason for t in told if isinstance(t, Blocked)} == {"budget_exhausted"}
        (day,) = [row for row in app.budgets.list() if row.id.startswith("tenant/")]
        assert day.spent.usd == 500_000 and day.reserved.usd == 0 and (await app.ledger.verify()).ok


@pytest.mark.promise("gate-no-overspend")
async def test_two_hundred_steps_of_one_run_at_once_spend_no_more_than_it_may() -> None:
    kept = Books()
    async with lab(kept, project=[ME]) as bank:
        ended = await bank.run(spending, 200, limits=Limits(usd="0.30", steps=500))
        assert isinstance(ended, Stopped) and ended.reason == "budget_exhausted" and len(kept.calls) == 30
        assert (await bank.verify()).ok


@pytest.mark.promise("gate-unknown-keeps-its-reservation")
async def test_what_certainly_did_not_happen_gives_its_reservation_back_and_what_is_unknown_keeps_it() -> None:
    async with lab(Books(not_done(), OSError("reset")), project=[ME]) as bank:
        for n in range(3):
            await bank.act(spend, {"n": n}, call_id=str(n))
        rows = [r for r in bank._bench.journal.view("local").rows(BudgetRow) if r.id.startswith("run/")]
        assert sorted((r.spent.usd, r.reserved.usd) for r in rows) == [(0, 0), (0, 10_000), (10_000, 0)]


async def test_a_new_day_has_a_budget_of_its_own() -> None:
    kept = Books()
    async with lab(kept, project=[ME], config=limited("0.02")) as bank:
        first = [await bank.act(spend, {"n": n}, call_id=str(n)) for n in range(3)]
        assert [type(t).__name__ for t in first] == ["Executed", "Executed", "Blocked"]
        await bank.advance(timedelta(days=1))
        assert isinstance(await bank.act(spend, {"n": 3}, call_id="3"), Executed)


async def test_a_run_that_a_tenants_day_stopped_says_so() -> None:
    async with lab(project=[ME], config=limited("0.02")) as bank:
        ended = await bank.run(one_by_one, 5)
        assert isinstance(ended, Stopped) and ended.reason == "budget_exhausted" and "tenant" in ended.detail


# tenants --------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-tenants-are-apart")
async def test_a_tenant_that_spent_its_day_takes_nothing_from_another() -> None:
    async with lab(project=[ME], config=limited("0.01")) as bank:
        assert isinstance(await bank.act(spend, {"n": 1}, by=MIA, call_id="1"), Executed)
        assert isinstance(await bank.act(spend, {"n": 2}, by=MIA, call_id="2"), Blocked)
        assert isinstance(await bank.act(spend, {"n": 1}, by=BEN, call_id="1"), Executed)


@pytest.mark.promise("gate-tenants-are-apart")
async def test_one_tenant_sees_decides_and_stops_nothing_of_another(tmp_path: Path) -> None:
    kept = Books()
    async with in_memory(memory(), tmp_path, kept, POLICY) as app:
        asked = await app.run(paying, {"cents": 500}, by=MIA, key="k")
        assert isinstance(asked, Waiting)
        assert isinstance(await app.act(look, {}, by=BEN, call_id="1"), Executed)
        assert app.approvals.list(tenant="acme") and not app.approvals.list(tenant="bolt")
        assert asked.run not in [row.id for row in app.runs.list(tenant="bolt")]
        assert not app.runs.records(asked.run, tenant="bolt")
        (shown,) = asked.pending
        for act in (
            lambda: app.approvals.approve(shown, by=BEN),
            lambda: app.approvals.deny(shown, by=BEN),
            lambda: app.approvals.edit(shown, {"cents": 1}, by=BEN),
            lambda: app.runs.stop(asked.run, "enough", by=BEN),
            lambda: app.runs.result(asked.run, tenant="bolt"),
        ):
            with pytest.raises(FlyballError, match="unknown|nothing waits|no run|not running"):
                await act()
        assert "pay" not in kept.calls and app.approvals.list(tenant="acme") == [shown]


@pytest.mark.promise("gate-keys-are-of-one-principal")
async def test_the_same_key_in_two_tenants_is_two_runs(tmp_path: Path) -> None:
    kept = Books()
    async with in_memory(memory(), tmp_path, kept) as app:
        both = [await app.run(paying, {"cents": 5}, by=by, key="ticket-7") for by in (MIA, BEN)]
        assert len({done.run for done in both}) == 2 and kept.calls == ["pay", "pay"] and len(kept.keys) == 2


async def test_a_principal_of_one_tenant_cannot_be_made_another_ones(tmp_path: Path) -> None:
    async with in_memory(memory(), tmp_path, Books(), POLICY) as app:
        asked = await app.run(paying, {"cents": 500}, by=MIA)
        assert isinstance(asked, Waiting)
        with pytest.raises(FlyballError):
            await app.approvals.approve(asked.pending[0], by=FAY)  # in the group, of tenant local
        with pytest.raises(FlyballError, match="tenant"):
            Principal("user:eve", tenant="acme/bolt")


@pytest.mark.promise("gate-tenants-are-apart")
async def test_who_watches_one_tenant_hears_nothing_of_another(tmp_path: Path) -> None:
    async with in_memory(memory(), tmp_path, Books()) as app:
        await app.act(pay, {"cents": 1}, by=BEN, call_id="1")
        heard: list[Any] = []

        async def listen() -> None:
            async for event in app.watch(tenant="bolt"):
                heard.append(event.run)

        listening = asyncio.create_task(listen())
        done = await app.run(paying, {"cents": 5}, by=MIA)
        await asyncio.sleep(0.02)
        listening.cancel()
        assert heard and done.run not in heard
