"""Time in flows: recorded moments, rows that wait, a clock that only the test moves."""

from __future__ import annotations

import asyncio
import weakref
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from flyball import Call, Completed, NotDone, Run, Stopped, Waiting, flow, tool
from flyball.core.errors import FlyballError
from flyball.core.journal import Append, PendingRow, RunRow
from flyball.runtime.flow import drive
from flyball.runtime.flow.step import TIMED, Timed
from flyball.testing import Lab
from flyball.testing.clock import VirtualClock
from tests.runtime.till import FAY, KIM, Drawer, lab, look, pay

DAY = timedelta(days=1)
DAY_US = 86_400_000_000


@tool(effect="read", timeout=timedelta(seconds=5))
async def slow(call: Call, n: int) -> int:
    """Takes a while of real time."""
    await asyncio.sleep(0.03)
    return n


@flow
async def sleepy(run: Run, n: int) -> str:
    began = run.now()
    await run.sleep(3 * DAY)
    return str(run.now() - began)


@flow
async def dated(run: Run, at: datetime) -> str:
    await run.until(at)
    return run.now().isoformat()


@flow
async def patient(run: Run, cents: int) -> str | None:
    return await run.timeout(run.call(pay, cents), DAY)


@flow
async def hurried(run: Run, n: int) -> int | None:
    return await run.timeout(run.call(slow, n), timedelta(hours=1))


@flow
async def quick(run: Run, n: int) -> list[int | None]:
    return [await run.timeout(run.call(look, n), timedelta(seconds=1)), await run.call(look, 9)]


@flow
async def curious(run: Run, n: int) -> int:
    return await run.ask("How many?", int, to="finance", about={"n": n}, within=2 * DAY, default=-1)


@flow
async def looking(run: Run, n: int) -> int:
    return await run.call(look, n)


@flow
async def retrying(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@flow
async def moments(run: Run, n: int) -> list[str]:
    seen = [run.now().isoformat()]
    await run.sleep(DAY)
    seen.append(run.now().isoformat())
    await run.sleep(DAY)
    return [*seen, run.now().isoformat()]


@pytest.mark.promise("api-timers")
async def test_a_sleeping_run_wakes_when_its_time_has_come_and_not_before() -> None:
    bench = lab()
    assert isinstance(await bench.run(sleepy, 1, key="k"), Waiting)
    await bench.advance(2 * DAY)
    assert isinstance(await bench.resume("k"), Waiting)
    await bench.advance(DAY)
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "3 days, 0:00:00" and (await bench.verify()).ok


@pytest.mark.promise("journal-wake-ups-are-rows", "api-timers")
async def test_a_sleeping_run_survives_another_process() -> None:
    bench = lab()
    await bench.run(sleepy, 1, key="k")
    await bench.restart()
    await bench.advance(3 * DAY)
    assert isinstance(await bench.resume("k"), Completed)


@pytest.mark.promise("api-timers")
async def test_a_run_waits_until_a_moment() -> None:
    bench = lab()
    at = datetime.fromtimestamp(bench.clock.now() / 1e6, UTC) + timedelta(hours=5)
    assert isinstance(await bench.run(dated, at, key="k"), Waiting)
    await bench.advance(timedelta(hours=5))
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == at.isoformat()


@pytest.mark.parametrize("micros", [3, 15, 999_999])
async def test_a_run_never_wakes_a_microsecond_too_early(micros: int) -> None:
    bench, at = lab(), datetime(2040, 3, 5, 7, 9, 11, micros, tzinfo=UTC)
    await bench.run(dated, at, key="k")
    (timer,) = [r for r in bench.records("k") if r.kind == "timer"]
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=timer.facts["until"]) == at


async def test_a_moment_that_has_passed_is_not_waited_for() -> None:
    bench = lab()
    assert isinstance(await bench.run(dated, datetime(2020, 1, 1, tzinfo=UTC)), Completed)


async def test_a_moment_without_a_time_zone_is_refused() -> None:
    ended = await lab().run(dated, datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
    assert isinstance(ended, Stopped) and "time zone" in ended.detail


async def test_work_that_is_done_in_time_wins_over_its_timer() -> None:
    bench = lab()
    done = await bench.run(hurried, 4)
    assert isinstance(done, Completed) and done.value == 4 and (await bench.verify()).ok


async def test_a_run_that_was_started_within_work_which_lost_its_timer_goes_on() -> None:
    TIMED.set(Timed(None, lost=True))
    assert isinstance(await lab().run(looking, 1), Completed)


async def test_quick_work_wins_and_the_timer_is_forgotten() -> None:
    bench = lab()
    done = await bench.run(quick, 4)
    assert isinstance(done, Completed) and done.value == [8, 18] and (await bench.verify()).ok


@pytest.mark.promise("journal-timeouts-are-timers", "api-timers")
async def test_a_timer_wins_over_an_approval_that_nobody_gives() -> None:
    till = Drawer()
    bench = lab(till)
    assert isinstance(await bench.run(patient, 200, key="k"), Waiting)
    await bench.advance(DAY)
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value is None and not till.paid and (await bench.verify()).ok


async def test_an_approval_in_time_wins_over_the_timer() -> None:
    bench = lab()
    asked = await bench.run(patient, 200, key="k")
    assert isinstance(asked, Waiting)
    await bench.advance(timedelta(hours=23))
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and done.value == "paid 200" and (await bench.verify()).ok


@pytest.mark.promise("api-questions-are-typed")
async def test_a_question_is_answered_with_a_typed_value() -> None:
    bench = lab()
    asked = await bench.run(curious, 3, key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].question == "How many?"
    done = await bench.answer(asked.pending[0], 5, by=FAY)
    assert isinstance(done, Completed) and done.value == 5 and (await bench.verify()).ok


@pytest.mark.promise("api-questions-are-typed")
async def test_a_question_that_nobody_answers_gives_its_default() -> None:
    bench = lab()
    assert isinstance(await bench.run(curious, 3, key="k"), Waiting)
    await bench.advance(2 * DAY)
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == -1 and (await bench.verify()).ok


@pytest.mark.promise("api-retries")
async def test_the_waits_between_attempts_pass_by_themselves() -> None:
    till = Drawer()
    till.faults["pay"] = [NotDone("closed"), NotDone("closed", retry_after=timedelta(hours=7))]
    bench = lab(till)
    began = bench.clock.now()
    assert isinstance(await bench.run(retrying, 5), Completed) and till.calls == ["pay"] * 3
    assert bench.clock.now() - began >= 7 * 3_600_000_000


@pytest.mark.promise("journal-time-and-chance-replay")
async def test_time_is_the_same_at_every_replay() -> None:
    bench = lab()
    await bench.run(moments, 1, key="k")
    await bench.advance(DAY)
    await bench.advance(DAY)
    done = await bench.resume("k")
    assert isinstance(done, Completed)
    first, second, third = (datetime.fromisoformat(m) for m in done.value)
    assert second - first == third - second == DAY


async def test_time_does_not_move_on_by_itself_for_what_is_parked() -> None:
    bench = lab()
    asked = await bench.run(retrying, 200, key="k")
    assert isinstance(asked, Waiting)
    before = bench.clock.now()
    await bench.run(hurried, 4, by=KIM)
    assert bench.clock.now() == before


async def woken(bench: Lab, key: str) -> str:
    """The state of a run once it has gone on by itself, or a second has passed."""
    run = bench.records(key)[0].run
    for _ in range(100):
        row = bench._bench.journal.view("local").row(RunRow, run)
        if row is not None and row.state == "ended":
            break
        await asyncio.sleep(0.01)
    return row.state if row else ""


@pytest.mark.promise("journal-wake-ups-are-rows")
async def test_a_wake_up_that_was_lost_is_only_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "POLL_S", 0.02)
    bench = lab()
    await bench.run(sleepy, 1, key="k")
    driver = bench._bench._app.rooms.driver  # type: ignore[union-attr]
    driver._due_at.clear()
    driver._timing.cancel()
    bench.clock.move(bench.clock.now() + 3 * DAY_US)
    assert await woken(bench, "k") == "ended"


async def test_what_a_look_for_lost_wake_ups_has_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drive, "POLL_S", 0.02)
    bench, seen = lab(), list[weakref.ref[Any]]()
    await bench.run(sleepy, 1, key="k")
    view = bench._bench.journal.view

    def watched(tenant: str) -> Any:
        made = view(tenant)
        seen.append(weakref.ref(made))
        return made

    monkeypatch.setattr(bench._bench.journal, "view", watched)
    await asyncio.sleep(0.2)
    assert len(seen) > 1 and not any(each() for each in seen)


@pytest.mark.promise("journal-wake-ups-are-rows")
async def test_a_run_that_cannot_be_woken_does_not_keep_the_others_asleep() -> None:
    bench = lab()
    await bench.run(sleepy, 1, key="first")
    await bench.run(sleepy, 1, key="second")
    driver = bench._bench._app.rooms.driver  # type: ignore[union-attr]
    wake, seen = driver.wake, list[str]()

    def once(tenant: str, run: str) -> None:
        seen.append(run)
        if len(seen) == 1:
            raise RuntimeError("the journal cannot be read now")
        wake(tenant, run)

    driver.wake = once
    bench.clock.move(bench.clock.now() + 3 * DAY_US)
    assert "ended" in (await woken(bench, "second"), await woken(bench, "first")) and len(seen) == 2


@pytest.mark.promise("journal-time-never-goes-back")
async def test_a_clock_set_back_while_nobody_ran_does_not_go_behind_the_log() -> None:
    bench = lab()
    await bench.run(sleepy, 1, key="k")
    latest = bench._bench.journal.view("local").latest()
    bench._bench.clock = VirtualClock(latest - DAY_US)
    await bench.restart()
    assert bench.clock.now() >= latest
    await bench.advance(3 * DAY)
    assert isinstance(await bench.resume("k"), Completed) and (await bench.verify()).ok


@pytest.mark.promise("journal-clock-jumps-ask")
@pytest.mark.parametrize("restarted", [False, True])
async def test_a_question_that_expired_because_the_clock_was_set_is_asked_again(restarted: bool) -> None:
    bench = lab()
    asked = await bench.run(curious, 1, key="k")
    assert isinstance(asked, Waiting)
    bench.clock.set_forward(3 * DAY_US)
    if restarted:
        await bench.run(looking, 1)  # somebody notes the jump in the log, and the next process knows of no other
        await bench.restart()
        bench.clock._jumps = ()
    again = await bench.resume("k")
    assert isinstance(again, Waiting) and again.pending[0].id != asked.pending[0].id
    done = await bench.answer(again.pending[0], 5, by=FAY)
    assert isinstance(done, Completed) and done.value == 5 and (await bench.verify()).ok
    assert (await bench.replay(bench.history("k"))).ok


@pytest.mark.promise("journal-clock-jumps-ask")
async def test_a_question_that_was_asked_again_gives_its_default_in_its_time() -> None:
    bench = lab()
    await bench.run(curious, 1, key="k")
    bench.clock.set_forward(3 * DAY_US)
    assert isinstance(await bench.resume("k"), Waiting)
    await bench.advance(2 * DAY)
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == -1 and (await bench.verify()).ok
    assert (await bench.replay(bench.history("k"))).ok


@pytest.mark.promise("journal-clock-jumps-ask")
@pytest.mark.parametrize("what", [sleepy, patient])
async def test_a_span_is_as_long_as_was_said_although_the_clock_was_set(what: Any) -> None:
    bench = lab()
    await bench.run(what, 200, key="k")
    bench.clock.set_forward(3 * DAY_US)
    assert isinstance(await bench.resume("k"), Waiting)
    await bench.advance(3 * DAY)
    assert isinstance(await bench.resume("k"), Completed) and (await bench.verify()).ok
    assert (await bench.replay(bench.history("k"))).ok


async def test_a_moment_is_what_the_clock_says() -> None:
    bench = lab()
    await bench.run(dated, datetime.fromtimestamp(bench.clock.now() / 1e6, UTC) + DAY, key="k")
    bench.clock.set_forward(DAY_US)
    assert isinstance(await bench.resume("k"), Completed)


@pytest.mark.parametrize("expires", [1, 1 << 62])
async def test_an_expiry_that_was_changed_beside_the_log_is_told_and_ends_nothing(expires: int) -> None:
    bench = lab()
    asked = await bench.run(curious, 1, key="k")
    journal = bench._bench.journal
    row = journal.row("local", PendingRow, asked.pending[0].id)  # type: ignore[union-attr]
    changed = msgspec.structs.replace(row, expires=expires)  # type: ignore[type-var]
    await journal.append(Append(id="beside", tenant="local", put=(changed,), wakes=(asked.run,)))
    with pytest.raises(FlyballError) as told:
        await bench.resume("k")
    assert told.value.code == "journal_corrupt"
    kept = journal.row("local", RunRow, asked.run)
    assert kept is not None and kept.state != "ended"
