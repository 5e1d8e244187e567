"""Two drivers of one run, and drivers that are called off: one effect, one clear answer, and no outcome is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flyball import Call, Completed, Flyball, FlyballError, Run, Waiting, flow, tool
from flyball.app.wiring import Ports
from flyball.core.journal import Answered, Append, RunRow
from tests.bad_input.bank import KIM, OLA, PERMIT, Books, books, in_memory, memory


@tool(effect="irreversible")
async def strike(call: Call, times: int) -> str:
    """Strike the gong: nobody can ask whether it sounded."""
    return await call.get(books).happen("strike", call, f"struck {times}")  # type: ignore[no-any-return]


@flow
async def striking(run: Run, times: int) -> str:
    return await run.call(strike, times)


class Gate:
    """A journal whose appends of one kind of record wait to be let through, before or after they are durable."""

    def __init__(self, inner: Any, kind: str, *, after: bool) -> None:
        self._inner, self._kind, self._after = inner, kind, after
        self.reached, self.let = asyncio.Event(), asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def append(self, append: Append) -> Answered:
        held = any(e.kind == self._kind and e.path == "1" for e in append.entries)
        if held and not self._after:
            await self._hold()
        answer: Answered = await self._inner.append(append)
        if held and self._after:
            await self._hold()
        return answer

    async def _hold(self) -> None:
        self.reached.set()
        await self.let.wait()


@asynccontextmanager
async def process(ports: Ports, folder: Path, kept: Books) -> AsyncIterator[Flyball]:
    async with in_memory(ports, folder, kept, PERMIT, sys.modules[__name__]) as app:
        yield app


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.005)


def kinds(app: Flyball, run: str) -> list[tuple[str, str]]:
    return [(r.kind, r.facts.get("status", "")) for r in app.runs.records(run) if r.kind in ("outcome", "late")]


@pytest.mark.promise("journal-first-outcome-wins")
async def test_an_outcome_that_comes_after_another_driver_closed_its_call_is_kept_as_late(tmp_path: Path) -> None:
    hold, kept, ports = asyncio.Event(), Books(), memory()
    kept.will.append(lambda: _after(hold, "struck in the end"))
    async with process(ports, tmp_path, kept) as slow, process(ports, tmp_path, kept) as other:
        handle = await slow.start(striking, 1, by=KIM, key="k")
        await until(lambda: kept.calls == ["strike"])
        other.rooms.driver.wake("local", handle.id)
        asked = await other.runs.result(handle.id)
        assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
        hold.set()
        told = await handle.result()  # it came late, and still settles the question, whoever goes on
        assert kinds(other, handle.id)[:2] == [("outcome", "unknown"), ("late", "executed")]
        await until(lambda: other.runs.row(handle.id).state == "ended")
        assert isinstance(told, Completed)
        done = await other.runs.result(handle.id)
        assert isinstance(done, Completed) and not other.approvals.list(run=handle.id)
        assert kept.calls == ["strike"] and (await other.ledger.verify()).ok


async def _after(hold: asyncio.Event, value: str) -> str:
    await hold.wait()
    return value


@pytest.mark.promise("journal-t1-is-fenced")
async def test_a_driver_that_lost_its_run_does_nothing_more(tmp_path: Path) -> None:
    kept, inner = Books(), memory()
    gate = Gate(inner.journal, "intent", after=False)
    async with process(replace(inner, journal=gate), tmp_path, kept) as slow, process(inner, tmp_path, kept) as other:
        handle = await slow.start(striking, 1, by=KIM, key="k")
        await gate.reached.wait()
        await other.runs.ready("local")
        other.rooms.driver.wake("local", handle.id)
        done = await other.runs.result(handle.id)
        gate.let.set()
        with pytest.raises(FlyballError) as lost:
            await handle.result()
        assert lost.value.code == "conflict" and isinstance(done, Completed), done
        assert kept.calls == ["strike"] and (await other.ledger.verify()).ok


@pytest.mark.promise("journal-cancelled-t1-is-not-started")
@pytest.mark.parametrize("after", [False, True], ids=["before it is durable", "after it is durable"])
async def test_a_caller_that_is_called_off_while_it_waits_for_t1_closes_it_as_not_started(
    tmp_path: Path, after: bool
) -> None:
    kept, inner = Books(), memory()
    gate = Gate(inner.journal, "intent", after=after)
    async with process(replace(inner, journal=gate), tmp_path, kept) as first:
        handle = await first.start(striking, 1, by=KIM, key="k")
        await gate.reached.wait()
        gate.let.set() if not after else None
        asyncio.get_running_loop().call_later(0.05, gate.let.set)
    assert not kept.calls
    async with process(inner, tmp_path, kept) as second:
        assert isinstance(await second.runs.result(handle.id), Completed) and kept.calls == ["strike"]
        assert sorted(s for _, s in kinds(second, handle.id)) == ["executed", "executed", "not_started"]
        assert (await second.ledger.verify()).ok


async def test_a_project_that_closes_in_the_middle_of_a_call_finds_out_at_its_next_start(tmp_path: Path) -> None:
    kept, ports = Books(), memory()
    kept.will.append(lambda: asyncio.sleep(3600))
    async with process(ports, tmp_path, kept) as first:
        handle = await first.start(striking, 1, by=KIM, key="k")
        await until(lambda: kept.calls == ["strike"])
    async with process(ports, tmp_path, kept) as second:
        asked = await second.runs.result(handle.id)
        assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown" and kept.calls == ["strike"]
        await second.questions.resolve(asked.pending[0], "executed", by=OLA, result="struck 1")
        assert isinstance(await second.runs.result(handle.id), Completed)
        assert second.rooms.ports.journal.view("local").row(RunRow, handle.id).state == "ended"  # type: ignore[union-attr]
