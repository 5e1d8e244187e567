"""A parked flow: whatever it wraps around its steps, nothing happens while it waits, and all of it once after."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from flyball import Call, Completed, Run, Waiting, flow, tool
from tests.bad_input.bank import FAY, POLICY, Books, books, lab, pay

ME = sys.modules[__name__]


@tool(effect="irreversible")
async def mark(call: Call, what: str) -> str:
    """Leave a mark."""
    return await call.get(books).happen(f"mark {what}", call, what)  # type: ignore[no-any-return]


@asynccontextmanager
async def marked(run: Run, what: str) -> AsyncIterator[None]:
    try:
        yield
    except Exception:
        await run.call(mark, f"{what} failed")
        raise
    finally:
        await run.call(mark, f"{what} left")


@flow
async def excepting(run: Run, cents: int) -> str:
    try:
        return await run.call(pay, cents)
    except Exception:  # noqa: BLE001 - that is the point
        return await run.call(mark, "swallowed")


@flow
async def finishing(run: Run, cents: int) -> str:
    try:
        return await run.call(pay, cents)
    finally:
        await run.call(mark, "after")


@flow
async def within(run: Run, cents: int) -> str:
    async with marked(run, "outer"), marked(run, "inner"):
        return await run.call(pay, cents)


@flow
async def stacked(run: Run, cents: int) -> str:
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_mark, run)
        return await run.call(pay, cents)


async def _mark(run: Run) -> None:
    await run.attempt(mark, "closed")


@flow
async def swallowing(run: Run, cents: int) -> str:
    try:
        return await run.call(pay, cents)
    except BaseException:  # noqa: BLE001 - that is the point
        pass
    await run.attempt(mark, "went on")
    return "went on"


@flow
async def asking(run: Run, cents: int) -> str:
    for _ in range(3):
        try:
            return await run.call(pay, cents)
        except Exception:  # noqa: BLE001 - that is the point
            continue
    return "gave up"


AFTER: dict[Any, list[str]] = {
    excepting: [], finishing: ["mark after"], within: ["mark inner left", "mark outer left"], stacked: ["mark closed"],
    swallowing: [], asking: [],
}  # fmt: skip


@pytest.mark.promise("journal-parking-runs-nothing")
@pytest.mark.parametrize("wrapped", AFTER, ids=lambda f: f.name)
async def test_nothing_around_a_step_happens_while_it_waits_and_all_of_it_once_when_it_goes_on(wrapped: Any) -> None:
    kept = Books()
    async with lab(kept, POLICY, project=[ME]) as bank:
        asked = await bank.run(wrapped, 500, key="k")
        assert isinstance(asked, Waiting) and not kept.calls
        before = [(r.kind, r.path) for r in bank.records("k")]
        assert before[-1][0] == "run_parked" and [path for kind, path in before if kind == "intent"] == ["0"]
        await bank.restart()  # another process finds it waiting, and changes nothing either
        assert isinstance(await bank.resume("k"), Waiting) and not kept.calls
        assert [(r.kind, r.path) for r in bank.records("k")] == before
        done = await bank.approve(asked.pending[0], by=FAY)
        assert isinstance(done, Completed) and kept.calls == ["pay", *AFTER[wrapped]] and (await bank.verify()).ok
