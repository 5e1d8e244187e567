"""Limits: every way in which a run is ended from outside has a name, and nothing is overspent."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from flyball import Blocked, Call, Completed, Failed, Limits, NotDone, Run, Stopped, Waiting, agent, flow, tool
from flyball.core.config import Config, LimitSet
from flyball.testing import Say, propose
from tests.runtime.till import FAY, Drawer, lab, look, pay, scripted

DAY = timedelta(days=1)


@tool(effect="read")
async def long_look(call: Call, hours: int) -> int:
    """Takes hours of the Lab's time."""
    raise NotDone("not yet", retry_after=timedelta(hours=hours))


@flow
async def many(run: Run, n: int) -> int:
    for number in range(n):
        await run.call(look, number)
    return n


@flow
async def spending(run: Run, n: int) -> int:
    for _ in range(n):
        await run.call(pay, 1)
    return n


@flow
async def trying(run: Run, n: int) -> list[str]:
    told = [await run.attempt(pay, 1) for _ in range(n)]
    return [t.reason if isinstance(t, Blocked) else type(t).__name__ for t in told]


@flow
async def taking_its_time(run: Run, hours: int) -> str:
    await run.attempt(long_look, hours)
    await run.call(pay, 5)
    return "late"


@flow
async def asleep(run: Run, n: int) -> str:
    await run.sleep(30 * DAY)
    return await run.call(pay, n)


@flow
async def greedy(run: Run, n: int) -> int:
    await run.gather(*[run.attempt(pay, 1) for _ in range(n)])
    return n


@flow
async def denied_often(run: Run, n: int) -> int:
    for number in range(n):
        await run.attempt(pay, 200_000 + number)
    return n


@flow
async def told_what_is_left(run: Run, n: int) -> list[int | None]:
    before = run.left.calls
    await run.call(pay, 1)
    return [before, run.left.calls]


cashier = agent("cashier", instructions="Pay.", tools=[pay, look], limits=Limits(steps=2, usd="0.15"))


@flow
async def delegating(run: Run, n: int) -> str:
    return await run.agent(cashier, "pay")


@tool(effect="read")
async def broken_look(call: Call, n: int) -> int:
    """Never answers."""
    raise OSError("no answer")


@flow
async def looking_twice(run: Run, n: int) -> list[str]:
    first = await run.attempt(broken_look, n)
    return [first.reason if isinstance(first, Blocked | Failed) else "done", str(await run.call(look, n))]


@pytest.mark.promise("gate-budgets-are-a-tree", "journal-one-t1-per-attempt")
async def test_a_step_with_all_its_attempts_stays_within_its_own_limit() -> None:
    till = Drawer()
    config = Config.bare("till", "/tills", home="/home")
    bench = lab(till, config=msgspec.structs.replace(config, limits=LimitSet(step=Limits(calls=2))))
    done = await bench.run(looking_twice, 1, key="k")
    assert isinstance(done, Completed) and done.value == ["budget_exhausted", "2"]
    assert [r.attempt for r in bench.records("k") if r.kind == "intent" and r.path == "1"] == [1, 2]


@pytest.mark.promise("gate-ends-have-names")
@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(steps=3), "max_steps"),
        (Limits(calls=3), "budget_exhausted"),
        (Limits(effects=3), "budget_exhausted"),
        (Limits(usd="0.30"), "budget_exhausted"),
    ],
)
async def test_a_spent_limit_ends_the_run_with_its_name(limits: Limits, reason: str) -> None:
    till = Drawer()
    bench = lab(till)
    ended = await bench.run(spending, 9, limits=limits)
    assert isinstance(ended, Stopped) and ended.reason == reason and len(till.paid) == 3
    assert (await bench.verify()).ok


async def test_reads_are_steps_too() -> None:
    ended = await lab().run(many, 9, limits=Limits(steps=4))
    assert isinstance(ended, Stopped) and ended.reason == "max_steps"


async def test_a_limit_that_suffices_is_no_hindrance() -> None:
    assert isinstance(await lab().run(spending, 3, limits=Limits(steps=3, usd="0.30")), Completed)


async def test_parallel_steps_never_spend_more_than_there_is() -> None:
    till = Drawer()
    await lab(till).run(greedy, 9, limits=Limits(effects=4))
    assert len(till.paid) == 4


@pytest.mark.promise("journal-parked-time-is-free")
async def test_a_run_that_takes_too_long_ends_before_its_next_step() -> None:
    till = Drawer()
    bench = lab(till)
    ended = await bench.run(taking_its_time, 2, limits=Limits(seconds=3600))
    assert isinstance(ended, Stopped) and ended.reason == "max_seconds" and not till.paid


@pytest.mark.promise("journal-parked-time-is-free")
async def test_parked_time_does_not_count() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(asleep, 200, key="k", limits=Limits(seconds=60))
    assert isinstance(asked, Waiting)
    await bench.advance(30 * DAY)
    asked = await bench.resume("k")
    assert isinstance(asked, Waiting)
    await bench.advance(DAY)
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)


@pytest.mark.promise("gate-caps-on-asking")
async def test_a_run_that_is_denied_again_and_again_is_ended() -> None:
    ended = await lab().run(denied_often, 100)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied"


@pytest.mark.promise("api-limits-left")
async def test_a_flow_can_see_what_is_left() -> None:
    done = await lab().run(told_what_is_left, 1, limits=Limits(calls=5))
    assert isinstance(done, Completed) and done.value == [5, 4]


@pytest.mark.promise("gate-budgets-are-a-tree")
async def test_an_agents_own_limit_ends_the_agent() -> None:
    bench = scripted(cashier=[propose(pay, 1), propose(pay, 2), propose(pay, 3), Say("done")])
    ended = await bench.run(delegating, 1)
    assert isinstance(ended, Stopped) and ended.reason in ("max_steps", "budget_exhausted")
    assert (await bench.verify()).ok


slow_reader = agent("slow_reader", instructions="Look.", tools=[long_look], limits=Limits(seconds=3600))


@flow
async def reading_slowly(run: Run, n: int) -> str:
    return await run.agent(slow_reader, "look")


async def test_an_agents_own_time_ends_the_agent() -> None:
    bench = scripted(slow_reader=[propose(long_look, 5), Say("done")])
    ended = await bench.run(reading_slowly, 1)
    assert isinstance(ended, Stopped) and ended.reason == "max_seconds"


@pytest.mark.promise("api-stop")
async def test_a_waiting_run_can_be_stopped() -> None:
    till = Drawer()
    bench = lab(till)
    assert isinstance(await bench.run(asleep, 5, key="k"), Waiting)
    ended = await bench.stop("k", "no longer wanted")
    assert isinstance(ended, Stopped) and ended.reason == "stopped"
    await bench.advance(40 * DAY)
    assert not till.paid and (await bench.verify()).ok
