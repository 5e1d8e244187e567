"""State, time and chance: a replay gives a flow the same again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from flyball import Completed, Flow, Run, Stopped, Waiting, flow
from tests.runtime.till import FAY, Drawer, lab, pay, ring


@dataclass(frozen=True)
class Basket:
    items: list[str] = field(default_factory=list)
    cents: int = 0


def put(basket: Basket, item: str, cents: int = 1) -> Basket:
    return replace(basket, items=[*basket.items, item], cents=basket.cents + cents)


@flow(state=Basket)
async def shopping(run: Run[Basket], cents: int) -> Basket:
    await run.update(put, "pear")
    await run.call(pay, cents)
    await run.update(put, "plum", cents=4)
    return run.state


@flow(state=Basket)
async def nameless(run: Run[Basket], cents: int) -> int:
    return (await run.update(lambda basket: basket)).cents


@flow
async def chances(run: Run, cents: int) -> list[Any]:
    drawn = [run.random().random(), str(run.uuid()), run.random().random(), str(run.uuid())]
    await run.call(pay, cents)
    return [*drawn, run.random().random()]


@flow
async def remembering(run: Run, cents: int) -> list[Any]:
    drawn = (run.random().randint(1, 9_000), str(run.uuid()))
    await run.call(pay, drawn[0] + 100)
    return list(drawn)


def before() -> Flow[int, str]:
    @flow(name="growing")
    async def growing(run: Run, cents: int) -> str:
        return await run.call(pay, cents)

    return growing


def after() -> Flow[int, str]:
    @flow(name="growing")
    async def growing(run: Run, cents: int) -> str:
        if run.changed("ring-first"):
            await run.call(ring, 1)
        return await run.call(pay, cents)

    return growing


def unguarded() -> Flow[int, str]:
    @flow(name="growing")
    async def growing(run: Run, cents: int) -> str:
        await run.call(ring, 1)
        return await run.call(pay, cents)

    return growing


@pytest.mark.promise("api-state-by-reducers")
async def test_state_is_what_the_recorded_updates_make_of_it() -> None:
    bench = lab()
    asked = await bench.run(shopping, 200, key="k")
    assert isinstance(asked, Waiting)
    await bench.restart()
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and done.value == Basket(["pear", "plum"], 5)
    updates = [(r.facts["reducer"], r.private) for r in bench.records("k") if r.kind == "state"]
    assert updates == [("put", {"args": ["pear"], "named": {}}), ("put", {"args": ["plum"], "named": {"cents": 4}})]
    assert (await bench.verify()).ok


@pytest.mark.promise("api-state-by-reducers")
async def test_a_reducer_without_a_name_is_refused() -> None:
    ended = await lab().run(nameless, 1)
    assert isinstance(ended, Stopped) and "module level" in ended.detail


@pytest.mark.promise("journal-time-and-chance-replay")
async def test_chance_is_the_same_at_every_replay_and_different_in_every_run() -> None:
    bench = lab()
    asked, other = await bench.run(chances, 200, key="a"), await bench.run(chances, 5, key="b")
    assert isinstance(asked, Waiting) and isinstance(other, Completed)
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and len(set(map(str, done.value))) == 5
    assert not set(map(str, done.value)) & set(map(str, other.value))


@pytest.mark.promise("journal-time-and-chance-replay")
async def test_what_was_drawn_before_a_wait_is_drawn_again_after_it() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(remembering, 1)
    assert isinstance(asked, Waiting)
    await bench.restart()
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and list(till.paid.values()) == [done.value[0] + 100]


@pytest.mark.promise("api-changed-guards")
async def test_a_guarded_change_is_new_code_for_new_runs_only() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(before(), 200, key="old")
    assert isinstance(asked, Waiting)
    changed = after()
    await bench.restart(changed)
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed) and till.calls == ["pay"]
    assert isinstance(await bench.run(changed, 5, key="new"), Completed) and till.calls == ["pay", "ring", "pay"]
    assert (await bench.verify()).ok


@pytest.mark.promise("api-changed-guards")
async def test_a_guarded_change_stays_what_it_was_when_its_run_is_replayed() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(after(), 200, key="new")
    assert isinstance(asked, Waiting)
    await bench.restart()
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed) and till.calls == ["ring", "pay"]


async def test_an_unguarded_change_stops_a_run_that_waits_and_shows_the_difference() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(before(), 200, key="old")
    assert isinstance(asked, Waiting)
    await bench.restart(unguarded())
    ended = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(ended, Stopped) and ended.reason == "replay_diverged" and not till.calls
    assert "step 1" in ended.detail and "pay" in ended.detail and "ring" in ended.detail
