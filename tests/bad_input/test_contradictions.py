"""Evidence that something happened which the log says did not: a person says what is true, and the budget follows."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flyball import Call, Completed, Executed, Flyball, FlyballError, Limits, Retry, Run, Stopped, Waiting, flow, tool
from flyball.app.replaying import replay
from flyball.core.journal import BudgetRow, PendingRow
from flyball.core.outcome import Ended
from flyball.runtime.describe import describe
from tests.bad_input.bank import KIM, OLA, ONCE, PERMIT, Books, Hasty, books, in_memory, lab, memory, not_done


@tool(effect="irreversible", idempotency="probe", retry=ONCE)
async def knock(call: Call, times: int) -> str:
    """Knock; whoever is asked meanwhile has not heard it yet."""
    return await call.get(books).happen("knock", call, f"knocked {times}")  # type: ignore[no-any-return]


@knock.probe
async def knocked(call: Call, times: int) -> str | None:
    return None


@flow
async def knocking(run: Run, times: int) -> str:
    return await run.call(knock, times)


@flow
async def visiting(run: Run, times: int) -> str:
    told = await run.attempt(knock, times)
    again = await run.ask("Once more?", bool, to="owner", within=timedelta(days=1), default=False)
    if again:
        await run.call(knock, times + 1)
    return "was in" if isinstance(told, Executed) else "was out"


class Patient(Hasty):
    """Time that moves on for whoever waits for minutes, not for a question that stands for days."""

    async def wait(self, until: int) -> None:
        if until - self._now > 600_000_000:
            await asyncio.Event().wait()
        await super().wait(until)


class Late:
    """A call that another driver has closed as not done, and that comes to something when it is let."""

    def __init__(self, app: Flyball, run: str, hold: asyncio.Event) -> None:
        self.app, self.run, self._hold = app, run, hold

    async def comes(self) -> PendingRow:
        """Its evidence, and what is asked about it."""
        self._hold.set()
        async with asyncio.timeout(5):
            while not (asked := [r for r in self.rows() if r.kind == "unknown"]):
                await asyncio.sleep(0.005)
        return asked[0]

    def rows(self) -> list[PendingRow]:
        return self.app.rooms.ports.journal.view("local").rows(PendingRow, run=self.run)

    async def asked(self) -> PendingRow:
        """Once the run waits for nothing but that."""
        row = await self.comes()
        async with asyncio.timeout(5):
            while (parked := self.kinds("run_parked")[-1:]) and parked[0].facts["waits"] != [row.id]:
                await asyncio.sleep(0.005)
        return row

    def kinds(self, kind: str) -> list[Any]:
        return list(self.app.runs.records(self.run, kind=kind))

    def budget(self) -> tuple[int, int]:
        """Effects reserved and spent."""
        row = self.app.rooms.ports.journal.view("local").row(BudgetRow, f"run/{self.run}")
        return (row.reserved.effects, row.spent.effects) if row is not None else (0, 0)

    async def resolve(self, row: PendingRow, status: str) -> None:
        await self.app.questions.resolve(row.id, status, by=OLA, result="knocked 1" if status == "executed" else None)

    async def sound(self) -> bool:
        app = self.app
        assert not (await replay(app.rooms, "local", self.run)).differences
        return (await app.ledger.verify()).ok and not app.rooms.ports.journal.flaws()


@asynccontextmanager
async def closed_as_failed(folder: Path, what: Any) -> AsyncIterator[Late]:
    hold, kept, ports = asyncio.Event(), Books(), memory(Patient())
    kept.will.append(lambda: _after(hold))
    modules = (sys.modules[__name__],)
    async with (
        in_memory(ports, folder, kept, PERMIT, *modules) as slow,
        in_memory(ports, folder, kept, PERMIT, *modules) as other,
    ):
        handle = await slow.start(what, 1, by=KIM, key="k", limits=Limits(effects=5))
        async with asyncio.timeout(5):
            while not kept.calls:
                await asyncio.sleep(0.005)
        other.rooms.driver.wake("local", handle.id)
        await other.runs.result(handle.id)
        yield Late(other, handle.id, hold)


async def _after(hold: asyncio.Event) -> str:
    await hold.wait()
    return "knocked 1"


@pytest.mark.promise("journal-executed-after-failed-asks")
@pytest.mark.parametrize(("said", "spent"), [("executed", 1), ("failed", 0)])
async def test_after_its_end_a_person_says_what_is_true_and_the_budget_follows(
    tmp_path: Path, said: str, spent: int
) -> None:
    async with closed_as_failed(tmp_path, knocking) as late:
        assert late.app.runs.row(late.run).reason == "tool_failed" and late.budget() == (0, 0)
        row = await late.comes()
        assert late.budget() == (1, 0)  # what was released is held again: nobody knows
        await late.resolve(row, said)
        assert late.budget() == (0, spent) and late.rows()[0].state == "void"
        assert await late.sound()


@pytest.mark.promise("journal-executed-after-failed-asks", "journal-told-is-immutable")
async def test_a_run_goes_on_once_it_is_answered_with_what_it_was_told(tmp_path: Path) -> None:
    async with closed_as_failed(tmp_path, visiting) as late:
        row = await late.asked()
        question = next(p for p in late.app.approvals.list(run=late.run) if p.kind == "question")
        await late.app.questions.answer(question, False, by=OLA)
        waits = await late.app.runs.result(late.run)
        assert isinstance(waits, Waiting) and [p.id for p in waits.pending] == [row.id]
        assert await late.sound()
        await late.resolve(row, "executed")
        ended = await late.app.runs.result(late.run)
        assert isinstance(ended, Completed) and ended.value == "was out" and late.budget() == (0, 1)
        assert await late.sound()


async def test_a_run_that_is_stopped_leaves_the_question_open(tmp_path: Path) -> None:
    async with closed_as_failed(tmp_path, visiting) as late:
        row = await late.asked()
        assert isinstance(await late.app.runs.stop(late.run, by=KIM, reason="enough"), Stopped)
        assert {r.kind: r.state for r in late.rows()} == {"question": "void", "unknown": "open"}
        assert await late.sound()
        await late.resolve(row, "executed")
        assert late.budget() == (0, 1) and await late.sound()


async def test_what_it_is_told_is_told_once(tmp_path: Path) -> None:
    async with closed_as_failed(tmp_path, knocking) as late:
        row = await late.comes()
        await late.resolve(row, "failed")
        with pytest.raises(FlyballError) as twice:
            await late.resolve(row, "executed")
        assert twice.value.code == "conflict" and late.budget() == (0, 0)


async def test_its_cost_is_told_as_held_and_then_as_used(tmp_path: Path) -> None:
    async with closed_as_failed(tmp_path, knocking) as late:
        row = await late.comes()

        def cost() -> Any:
            return describe(late.app.runs.row(late.run), late.app.runs.records(late.run))["cost"]

        assert cost()["held"]["effects"] == 1 and "effects" not in cost()["used"]
        await late.resolve(row, "executed")
        assert not cost()["held"] and cost()["used"]["effects"] == 1


@tool(effect="irreversible")
async def ring(call: Call, times: int) -> str:
    """Ring, once somebody lets it."""
    return await call.get(books).happen("ring", call, f"rang {times}")  # type: ignore[no-any-return]


@flow
async def insisting(run: Run, times: int) -> str:
    told = await run.attempt(knock, times)
    for n in range(2):
        await run.call(ring, n)
    return "was in" if isinstance(told, Executed) else "was out"


def watched(app: Flyball) -> list[Any]:
    """What the broker is given to carry out."""
    broker, seen = app.rooms.stations.broker, list[Any]()
    perform = broker.perform

    async def kept(p: Any, arguments: Any) -> Any:
        seen.append(p)
        return await perform(p, arguments)

    broker.perform = kept  # type: ignore[method-assign]
    return seen


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


async def test_a_run_that_is_being_driven_takes_no_new_step_before_it_is_answered() -> None:
    hold, kept = asyncio.Event(), Books(not_done(), lambda: _after(hold))
    bench = lab(kept)
    app = await bench._bench.ready(insisting)
    seen = watched(app)
    handle = await app.start(insisting, 1, by=KIM)
    await until(lambda: kept.calls == ["knock", "ring"])
    await app.rooms.record.late(seen[1], Ended(status="executed", data="knocked 1"))
    hold.set()
    waits = await handle.result()
    assert isinstance(waits, Waiting) and waits.pending[0].kind == "unknown" and kept.calls == ["knock", "ring"]
    await app.questions.resolve(waits.pending[0], "executed", by=OLA, result="knocked 1")
    assert isinstance(await handle.result(), Completed) and kept.calls == ["knock", "ring", "ring"]


@tool(effect="irreversible", retry=Retry(attempts=2, first=timedelta(hours=1)))
async def tap(call: Call, times: int) -> str:
    """Tap, and once more an hour later where that was not heard."""
    return await call.get(books).happen("tap", call, f"tapped {times}")  # type: ignore[no-any-return]


@flow
async def tapping(run: Run, times: int) -> str:
    return await run.call(tap, times)


@pytest.mark.parametrize(("said", "calls", "value"), [("executed", 1, "heard"), ("failed", 2, "tapped 1")])
async def test_nothing_is_tried_again_while_it_is_asked_whether_it_happened(said: str, calls: int, value: str) -> None:
    kept = Books(not_done())
    bench = lab(kept)
    app = await bench._bench.ready(tapping)
    seen = watched(app)
    handle = await app.start(tapping, 1, by=KIM)
    await until(lambda: any(r.kind == "outcome" for r in app.runs.records(handle.id)))
    await app.rooms.record.late(seen[-1], Ended(status="executed", data="heard"))
    await bench.advance(timedelta(hours=1))
    waits = await handle.result()
    assert isinstance(waits, Waiting) and waits.pending[0].kind == "unknown" and kept.calls == ["tap"]
    await app.questions.resolve(waits.pending[0], said, by=OLA, result="heard" if said == "executed" else None)
    done = await handle.result()
    assert isinstance(done, Completed) and done.value == value and kept.calls == ["tap"] * calls
