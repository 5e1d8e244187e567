"""The queue before the writer: urgent first, tenants in turn, bounded for each."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from flyball.adapters.journal_sqlite.queue import ENOUGH, Job, Queue, tell
from flyball.core.journal import Appended
from tests.adapters.journal_appends import numbered, open_journal


def job(number: int, tenant: str = "a", *, urgent: bool = False) -> Job:
    return Job(numbered(number, tenant=tenant, urgent=urgent), asyncio.get_running_loop())


def ids(jobs: list[Job]) -> list[str]:
    return [one.append.id for one in jobs]


@pytest.mark.promise("journal-outcomes-go-first")
async def test_outcomes_go_before_intents() -> None:
    queue = Queue()
    for number, urgent in enumerate((False, False, True)):
        assert queue.put(job(number, urgent=urgent)) is True
    assert ids(queue.take()) == ["a2", "a0", "a1"]


@pytest.mark.promise("gate-fair-queue")
async def test_a_tenant_that_sends_much_does_not_hold_up_another() -> None:
    queue = Queue()
    for number in range(4):
        queue.put(job(number, "loud"))
    queue.put(job(9, "quiet"))
    assert ids(queue.take()) == ["a0", "a9", "a1", "a2", "a3"]


@pytest.mark.promise("gate-fair-queue")
async def test_who_finds_the_queue_full_waits_for_room() -> None:
    queue = Queue(per_tenant=2)
    assert queue.put(job(0)) is True and queue.put(job(1)) is True
    room = queue.put(job(2))
    assert isinstance(room, asyncio.Future)
    assert queue.put(job(3, "other")) is True
    assert queue.put(job(4, urgent=True)) is True
    assert ids(queue.take()) == ["a4", "a0", "a3", "a1"]
    await asyncio.wait_for(room, 5)
    assert queue.put(job(2)) is True


@pytest.mark.promise("gate-fair-queue")
async def test_a_tenant_that_sends_large_appends_waits_for_room_too() -> None:
    queue = Queue(tenant_bytes=job(0).size + 1)
    assert queue.put(job(0)) is True and queue.put(job(1)) is True
    room = queue.put(job(2))
    assert isinstance(room, asyncio.Future) and queue.put(job(3, "other")) is True
    assert ids(queue.take()) == ["a0", "a3", "a1"]
    await asyncio.wait_for(room, 5)
    assert queue.put(job(2)) is True and ids(queue.take()) == ["a2"]


async def test_who_gives_up_waiting_does_not_take_anothers_place() -> None:
    queue = Queue(per_tenant=1)
    queue.put(job(0))
    rooms = [queue.put(job(number)) for number in (1, 2)]
    queue.take()
    assert isinstance(rooms[0], asyncio.Future) and isinstance(rooms[1], asyncio.Future)
    await asyncio.wait_for(rooms[0], 5)  # and its owner, cancelled now, does not come back
    queue.make_room()
    await asyncio.wait_for(rooms[1], 5)


async def test_many_more_than_the_queue_holds_are_all_answered(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.db")
    journal._writer.queue._per_tenant = 3
    tasks = [asyncio.ensure_future(journal.append(numbered(number))) for number in range(100)]
    await asyncio.sleep(0)
    for task in tasks[50:60]:
        task.cancel()
    answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
    await journal.close()
    assert sum(isinstance(answer, Appended) for answer in answers) == 90


async def test_a_closed_queue_lets_nobody_in_and_is_emptied() -> None:
    queue = Queue(per_tenant=1)
    queue.put(job(0))
    room = queue.put(job(1))
    queue.close()
    assert isinstance(room, asyncio.Future)
    await asyncio.wait_for(room, 5)
    assert queue.put(job(1)) is False
    assert (ids(queue.take()), queue.take()) == (["a0"], [])


@pytest.mark.promise("journal-cancelled-waiter")
async def test_telling_skips_who_was_cancelled() -> None:
    gone, there = job(0), job(1)
    gone.future.cancel()
    tell((one.future, Appended(first=0, size=1)) for one in (gone, there))
    assert await asyncio.wait_for(there.future, 5) == Appended(first=0, size=1)


def test_telling_a_loop_that_is_gone_is_nothing() -> None:
    loop = asyncio.new_event_loop()
    future: asyncio.Future[int] = loop.create_future()
    loop.close()
    tell([(future, 1)])
    assert not future.done()


async def test_what_one_turn_of_the_loop_brings_is_committed_together(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal.db")
    queue, sizes = journal._writer.queue, list[int]()
    take = queue.take

    async def busy(number: int) -> None:
        time.sleep(0.001)  # noqa: ASYNC251 - the loop is busy, and the writer's thread could go on
        await journal.append(numbered(number))

    queue.take = lambda: (sizes.append(len(batch := take())), batch)[1]  # type: ignore[method-assign]
    for numbers in ([99], range(ENOUGH - 1), range(100, 110)):
        while not queue._changed._waiters:  # type: ignore[attr-defined]  # until the writer waits
            await asyncio.sleep(0.001)
        await asyncio.gather(*[busy(number) for number in numbers])
    await journal.close()
    assert sizes == [ENOUGH - 1, 10, 0]  # the writer waited for the first in the `take` from before
