"""The Lab's clock: it stands still until it is moved, and wakes in order."""

from __future__ import annotations

import asyncio

from flyball.testing.clock import START_US, VirtualClock


async def test_it_stands_still() -> None:
    clock = VirtualClock()
    await asyncio.sleep(0.002)
    assert clock.now() == START_US


async def test_what_has_passed_is_not_waited_for() -> None:
    await VirtualClock(100).wait(100)


async def test_it_wakes_whose_time_has_come_in_order() -> None:
    clock, woken = VirtualClock(0), list[int]()

    async def sleeper(until: int) -> None:
        await clock.wait(until)
        woken.append(until)

    tasks = [asyncio.create_task(sleeper(until)) for until in (30, 10, 20, 40)]
    await asyncio.sleep(0)
    assert sorted(clock.waits().values()) == [10, 20, 30, 40]
    clock.move(30)
    await asyncio.sleep(0)
    assert woken == [10, 20, 30] and list(clock.waits().values()) == [40]
    tasks[3].cancel()
    await asyncio.wait(tasks)
    assert clock.waits() == {}


async def test_it_never_goes_back() -> None:
    clock = VirtualClock(100)
    clock.move(50)
    assert clock.now() == 100
