"""What drives runs, where the journal cannot be read for a moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from flyball import Run, Waiting, flow
from flyball.core.errors import FlyballError
from flyball.core.journal import Answered, Append, Refused
from flyball.runtime.flow import drive
from tests.runtime.till import KIM, lab, pay


class Unread:
    """A journal that cannot be read the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def view(self, tenant: str) -> Any:
        raise FlyballError("journal_unavailable", "the journal cannot be read")

    def row(self, *key: object) -> None:
        self.asked += 1
        if self.asked == 1:
            raise FlyballError("journal_unavailable", "the journal cannot be read")


async def test_a_run_without_room_is_tried_again_where_it_could_not_be_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drive, "POLL_S", 0.001)
    journal, nothing = Unread(), SimpleNamespace()
    starts: Any = SimpleNamespace(record=SimpleNamespace(journal=journal), sessions=nothing)
    driver = drive.Driver(starts, nothing, nothing)  # type: ignore[arg-type]
    driver._starved.add(("local", "r"))
    driver._poll("local")
    await asyncio.sleep(0.1)
    await driver.close()
    assert journal.asked == 2


@flow
async def paying(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


async def test_a_run_that_was_stopped_before_its_turn_came_does_nothing() -> None:
    bench = lab()
    app = await bench._bench.ready(paying)
    slots = app.rooms.driver._slots = asyncio.Semaphore(0)
    handle = await app.start(paying, 50, by=KIM)
    stopping = asyncio.create_task(app.runs.stop(handle.id, "enough", by=KIM))
    await asyncio.sleep(0.01)
    slots.release()
    assert (await stopping).detail == "enough"
    assert [r.kind for r in app.runs.records(handle.id)] == ["run_started", "run_stopped", "run_ended"]


async def test_a_stop_that_could_not_be_recorded_is_told_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = lab()
    assert isinstance(await bench.run(paying, 500, key="k"), Waiting)
    record = bench._bench._app.rooms.record  # type: ignore[union-attr]
    append = record.append

    async def full(wanted: Append) -> Answered:
        stops = any(entry.kind == "run_stopped" for entry in wanted.entries)
        return Refused(reason="disk_full") if stops else await append(wanted)

    monkeypatch.setattr(record, "append", full)
    with pytest.raises(FlyballError):
        await bench.stop("k", "enough")


async def test_a_run_that_could_not_be_parked_is_told_and_parked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = lab()
    app = await bench._bench.ready(paying)
    append, refused = app.rooms.record.append, list[str]()

    async def once(wanted: Append) -> Answered:
        if not refused and any(entry.kind == "run_parked" for entry in wanted.entries):
            refused.append(wanted.id)
            return Refused(reason="invalid", detail="not now")
        return await append(wanted)

    monkeypatch.setattr(app.rooms.record, "append", once)
    handle = await app.start(paying, 500, by=KIM, key="k")
    with pytest.raises(FlyballError) as told:
        await handle.result()
    assert (
        told.value.code == "not_parked" and "not now" in told.value.why and app.runs.row(handle.id).state == "running"
    )
    assert ("local", handle.id) in app.rooms.driver._starved  # it is looked at again
    app.rooms.driver.wake("local", handle.id)
    assert isinstance(await handle.result(), Waiting)
