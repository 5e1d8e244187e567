"""Parking: a run waits as a row, and nothing of the flow happens while it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flyball import Blocked, Completed, NotDone, Run, Stopped, Waiting, flow
from tests.runtime.till import FAY, NOOR, Drawer, lab, look, pay, ring

SEEN: list[str] = []


@flow
async def two(run: Run, cents: int) -> list[str]:
    return list(await run.gather(run.call(pay, cents), run.call(pay, cents + 1)))


@flow
async def mixed(run: Run, cents: int) -> str:
    _, told = await run.gather(run.call(ring, 1), run.attempt(pay, cents))
    return type(told).__name__


@asynccontextmanager
async def tidy(run: Run) -> AsyncIterator[None]:
    try:
        yield
    finally:
        SEEN.append("left")
        await run.call(ring, 2)


@flow
async def careful(run: Run, cents: int) -> str:
    async with tidy(run):
        try:
            return await run.call(pay, cents)
        except Exception:  # noqa: BLE001 - that is the point
            SEEN.append("caught")
            return "swallowed"
        finally:
            await run.call(ring, 1)


@flow
async def stubborn(run: Run, cents: int) -> str:
    try:
        return await run.call(pay, cents)
    except BaseException:  # noqa: BLE001 - that is the point
        SEEN.append("caught all")
    return "swallowed"


async def _beside(run: Run) -> int:
    return await run.call(look, 1)


@flow
async def foreign(run: Run, n: int) -> int:
    return await asyncio.create_task(_beside(run))


@flow
async def forgetful(run: Run, n: int) -> int:
    run.call(look, 7)
    return await run.call(look, n)


@flow
async def outer(run: Run, n: int) -> int:
    return await run.flow(forgetful, n)


@flow
async def twice(run: Run, n: int) -> int:
    step = run.call(look, n)
    return await step + await step


@flow
async def first_fails(run: Run, n: int) -> str:
    try:
        await run.gather(run.call(pay, 200_000), run.call(ring, n))
    except Blocked as blocked:
        return blocked.reason
    return "nothing"


@pytest.mark.promise("journal-paths-do-not-collide", "journal-gather-settles-all")
async def test_a_gather_asks_for_two_approvals_at_once() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(two, 200, key="k")
    assert isinstance(asked, Waiting) and [p.arguments["cents"] for p in asked.pending] == [200, 201]
    half = await bench.approve(asked.pending[1], by=FAY)
    assert isinstance(half, Waiting) and [p.id for p in half.pending] == [asked.pending[0].id]
    done = await bench.approve(asked.pending[0], by=NOOR)
    assert isinstance(done, Completed) and done.value == ["paid 200", "paid 201"]
    assert sorted(till.paid.values()) == [200, 201] and (await bench.verify()).ok


@pytest.mark.promise("journal-gather-settles-all")
async def test_a_gather_parks_only_when_every_branch_has_ended_or_parked() -> None:
    till = Drawer()
    asked = await lab(till).run(mixed, 200)
    assert isinstance(asked, Waiting) and till.calls == ["ring"]


@pytest.mark.promise("journal-gather-settles-all")
async def test_a_gather_settles_all_its_steps_before_it_raises() -> None:
    till = Drawer()
    done = await lab(till).run(first_fails, 3)
    assert isinstance(done, Completed) and done.value == "policy_denied" and till.calls == ["ring"]


@flow
async def trying_all(run: Run, n: int) -> list[str]:
    told = await run.gather(run.attempt(pay, 200_000), run.attempt(look, n), run.attempt(ring, n))
    return [type(t).__name__ for t in told]


@pytest.mark.promise("journal-gather-settles-all", "api-call-raises-attempt-returns")
async def test_a_gather_gives_what_its_attempts_came_to_as_values() -> None:
    till = Drawer()
    till.faults["look"] = [NotDone("closed") for _ in range(3)]
    done = await lab(till).run(trying_all, 1)
    assert isinstance(done, Completed) and done.value == ["Blocked", "Failed", "Executed"]


@pytest.mark.promise("journal-parking-runs-nothing")
async def test_except_exception_finally_and_async_with_change_nothing_while_a_run_parks() -> None:
    SEEN.clear()
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(careful, 200)
    assert isinstance(asked, Waiting) and till.calls == [] and "caught" not in SEEN
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and done.value == "paid 200" and till.calls == ["pay", "ring", "ring"]
    assert (await bench.verify()).ok


@pytest.mark.promise("journal-parking-runs-nothing")
async def test_even_a_bare_except_does_not_stop_a_run_from_parking() -> None:
    bench = lab()
    asked = await bench.run(stubborn, 200)
    assert isinstance(asked, Waiting)
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and done.value == "paid 200"


@pytest.mark.promise("journal-foreign-tasks-are-refused")
async def test_a_step_in_a_task_that_the_run_did_not_make_is_refused() -> None:
    till = Drawer()
    ended = await lab(till).run(foreign, 1)
    assert isinstance(ended, Stopped) and "run.gather" in ended.detail and till.calls == []


@pytest.mark.promise("journal-not-awaited")
async def test_a_step_that_nobody_awaited_is_recorded_and_never_runs() -> None:
    till = Drawer()
    bench = lab(till)
    assert isinstance(await bench.run(forgetful, 1, key="k"), Completed)
    assert [r.path for r in bench.records("k") if r.kind == "not_awaited"] == ["1"]
    assert till.calls == ["look"] and (await bench.verify()).ok


@pytest.mark.promise("journal-not-awaited")
async def test_a_step_that_nobody_awaited_in_an_inner_flow_is_recorded_too() -> None:
    bench = lab()
    assert isinstance(await bench.run(outer, 1, key="k"), Completed)
    assert [r.path for r in bench.records("k") if r.kind == "not_awaited"] == ["1.1"]
    assert (await bench.verify()).ok


@pytest.mark.promise("api-steps-once")
async def test_a_step_cannot_be_awaited_twice() -> None:
    ended = await lab().run(twice, 1)
    assert isinstance(ended, Stopped) and "awaited before" in ended.detail
