"""What a program calls: open, start, run, act, watch and the short form, on files as a user has them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flyball import Blocked, Completed, Executed, Flyball, FlyballError, Limits, Run, Stopped, Waiting, flow
from flyball.core.event import Answered, Decided, Ended, Event, StepStarted
from flyball.core.event import Executed as WasExecuted
from flyball.core.event import Waiting as Waits
from flyball.core.result import Pending
from flyball.runtime import watch
from flyball.runtime.ledger import HANDS
from tests.bad_input.bank import FAY, KIM, POLICY, Books, in_memory, look, memory, on_disk, pay, settle
from tests.runtime.till import key_of

ME = sys.modules[__name__]
HOLD = timedelta(seconds=20)
HELPER = """
from flyball import Call, Run, flow, run, tool

@tool(effect="read")
def look(call: Call, n: int) -> str:
    return f"{call.principal.assurance} {n}"

@tool(effect="irreversible")
def pay(call: Call, n: int) -> str:
    return "paid"

@flow
async def looks(job: Run, n: int) -> str:
    for each in range(n):
        said = await job.call(look, each)
    return said

@flow
async def pays(job: Run, n: int) -> str:
    return await job.call(pay, n)

if __name__ == "__main__":
    print(run(looks, 2))
    print(run(looks, 3, max_steps=2).reason)
    print(run(pays, 1).pending[0].groups)
"""


@flow
async def both(run: Run, cents: int) -> str:
    await run.call(look)
    return await run.call(pay, cents)


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Flyball]:
    async with in_memory(memory(), tmp_path, Books(), POLICY, ME) as opened:
        yield opened


async def until(found: Callable[[], Any]) -> Any:
    """What is there in a moment."""
    async with asyncio.timeout(10):
        while not (there := found()):
            await asyncio.sleep(0.01)
    return there


async def approved(app: Flyball) -> None:
    (asked,) = await until(app.approvals.list)
    await app.approvals.approve(asked, by=FAY, reason="fine")


# act ------------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-act-is-one-door", "api-approving-wakes")
async def test_an_action_that_is_held_waits_for_the_person_and_comes_back_done(app: Flyball) -> None:
    held = app.act(pay, {"cents": 900}, by=KIM, call_id="1", hold=HOLD)
    told, _ = await asyncio.gather(held, approved(app))
    assert isinstance(told, Executed) and told.value == "paid 900"


@pytest.mark.promise("api-act-is-one-door")
async def test_an_action_that_is_not_held_comes_back_pending_and_then_as_it_ended(app: Flyball) -> None:
    asked = await app.act("pay", {"cents": 900}, by=KIM, call_id="1")
    assert isinstance(asked, Pending) and (asked.kind, asked.groups) == ("approval", ("finance",))
    await app.approvals.deny(asked, by=FAY, reason="no")
    told = await app.act("pay", {"cents": 900}, by=KIM, call_id="1")
    assert isinstance(told, Blocked) and told.reason == "approval_rejected"


@pytest.mark.promise("gate-keys-are-of-one-principal", "api-act-is-one-door")
async def test_one_call_id_is_one_action_and_another_request_under_it_is_refused(app: Flyball) -> None:
    first = await app.act(pay, {"cents": 1}, by=KIM, call_id="1")
    assert await app.act(pay, {"cents": 1}, by=KIM, call_id="1") == first
    with pytest.raises(FlyballError, match="the key '1' started another run") as refused:
        await app.act(pay, {"cents": 2}, by=KIM, call_id="1")
    assert refused.value.code == "key_conflict"


@pytest.mark.promise("gate-action-is-registered")
async def test_an_unknown_tool_is_named_before_anything_is_recorded(app: Flyball) -> None:
    with pytest.raises(FlyballError, match="pya"):
        await app.act("pya", {}, by=KIM, call_id="1")
    assert app.runs.list() == []


# start, watch, stop ---------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-events-by-cursor", "api-watch")
async def test_a_run_is_watched_from_its_start_to_its_end_and_from_anywhere_in_between(app: Flyball) -> None:
    run = await app.start(both, 900, by=KIM)
    seen: list[Event] = []

    async def follow() -> None:
        seen.extend([event async for event in run.watch()])

    await asyncio.gather(follow(), approved(app))
    kinds = [type(event) for event in seen]
    assert kinds[0] is StepStarted and kinds[-1] is Ended and kinds.count(Answered) == 1
    assert {Decided, WasExecuted, Waits} < set(kinds)
    numbers = [event.sequence for event in seen]
    assert numbers == sorted(set(numbers)) and numbers[0] > 0
    again = [event async for event in run.watch(after=numbers[3])]
    assert again == seen[4:]


@pytest.mark.promise("journal-events-by-cursor", "journal-readers-have-deadlines")
async def test_a_watcher_reads_page_after_page_at_once_and_holds_no_snapshot_meanwhile(
    app: Flyball, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PAGE", 2)
    monkeypatch.setattr(watch, "POLL_S", 60)
    run = await app.start(both, 5, by=KIM)
    await run.result()
    journal, seen = app.rooms.record.journal, list[weakref.ref[Any]]()
    view = journal.view

    def watched(tenant: str) -> Any:
        made = view(tenant)
        seen.append(weakref.ref(made))
        return made

    monkeypatch.setattr(journal, "view", watched)
    async with asyncio.timeout(5):
        told = [type(event) async for event in run.watch() if not any(each() for each in seen)]
    assert (told[0], told[-1]) == (StepStarted, Ended) and len(seen) > 3


async def test_what_watching_says_of_a_verdict_is_what_the_record_says(app: Flyball) -> None:
    run = await app.start(both, 5, by=KIM)
    decided = [e async for e in run.watch() if isinstance(e, Decided)]
    assert [(e.action, e.outcome, e.path) for e in decided] == [
        ("both", "allow", "0"), ("look", "allow", "1"), ("pay", "allow", "2"),
    ]  # fmt: skip
    assert decided[-1].arguments["cents"] == 5 and decided[-1].policies == ("project/all",)


@pytest.mark.promise("api-stop")
async def test_a_started_run_is_stopped_by_its_handle(app: Flyball) -> None:
    run = await app.start(both, 900, by=KIM)
    assert isinstance(await run.result(), Waiting)
    stopped = await run.stop("no longer wanted", by=KIM)
    assert (stopped.reason, stopped.ok, stopped.retryable) == ("stopped", False, True)
    assert await run.result() == stopped


async def test_run_is_start_and_result(app: Flyball) -> None:
    done = await app.run(both, 5, by=KIM, key="k")
    assert isinstance(done, Completed) and (done.ok, done.reason, done.value) == (True, "completed", "paid 5")
    assert await (await app.start(both, 5, by=KIM, key="k")).result() == done


# open -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("named", ["flyball.toml", ""])
async def test_a_project_is_opened_by_its_file_or_its_directory(tmp_path: Path, named: str) -> None:
    (tmp_path / "opened_helper.py").write_text(HELPER)
    (tmp_path / "flyball.toml").write_text('flyball = 1\n[project]\nname = "h"\nmodules = ["opened_helper"]\n')
    async with Flyball.open(tmp_path / named) as app:
        told = await app.act("look", {"n": 1}, by=KIM, call_id="1")
        assert isinstance(told, Executed) and told.value == "host 1"


# the short form -------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-short-form")
def test_the_short_form_runs_a_script_as_the_operating_system_user_within_its_limits(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    env = {"HOME": str(tmp_path), "PATH": ""}
    done = subprocess.run([sys.executable, "helper.py"], cwd=tmp_path, env=env, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert "value='os 1'" in first and second == "max_steps" and third == "('owner',)"
    assert (tmp_path / ".flyball" / "helper.db").exists()


@pytest.mark.promise("gate-agents-never-approve")
async def test_the_operating_system_user_of_the_short_form_approves_nothing(app: Flyball) -> None:
    from flyball.app.person import os_user

    asked = await app.run(both, 900, by=os_user())
    assert isinstance(asked, Waiting)
    with pytest.raises(FlyballError):
        await app.approvals.approve(asked.pending[0], by=os_user(), reason="me")
    assert not isinstance(await app.runs.result(asked.run), (Completed, Stopped))


# an action within a run -----------------------------------------------------------------------------------------------
ROBOT = msgspec.structs.replace(KIM, agent="robot")
ORIGINS = """
@id("all") permit (principal, action, resource);
@id("asked-for") forbid (principal, action == Action::"pay", resource) unless { context.origin.to == "request" };
@id("clean") forbid (principal, action == Action::"settle", resource) when { context.run.tainted };
"""


@pytest.fixture
async def origins(tmp_path: Path) -> AsyncIterator[Flyball]:
    async with in_memory(memory(), tmp_path, Books(), ORIGINS, ME) as opened:
        yield opened


@pytest.mark.promise("gate-an-agent-is-no-request")
async def test_what_an_agent_proposes_through_a_door_is_not_what_its_person_asked_for(origins: Flyball) -> None:
    to = {"cents": 1, "to": "stranger"}
    mine = await origins.act(pay, to, by=KIM, call_id="1")
    its = await origins.act(pay, to, by=ROBOT, call_id="2")
    assert isinstance(mine, Executed) and isinstance(its, Blocked) and its.policies == ("project/asked-for",)


@flow
async def wished(run: Run, to: str) -> str:
    return await run.ask("Go on?", str, to="desk", within=HOLD, default="no")


@pytest.mark.promise("gate-an-agent-is-no-request")
async def test_within_a_run_an_action_is_traced_to_what_that_run_was_asked(origins: Flyball) -> None:
    run = (await origins.run(wished, "customer", by=KIM)).run
    told = [
        await origins.act(pay, {"cents": 1, "to": to}, by=ROBOT, call_id=to, run=run) for to in ("customer", "stranger")
    ]
    assert isinstance(told[0], Executed) and isinstance(told[1], Blocked)
    assert (await origins.releases.replay(origins.runs.list()[-1].id)).ok and (await origins.ledger.verify()).ok


@pytest.mark.promise("gate-untrusted-text-taints")
async def test_what_one_action_of_a_run_read_taints_the_next(origins: Flyball) -> None:
    one, other = [(await origins.run(wished, to, by=KIM)).run for to in ("x", "y")]
    assert isinstance(await origins.act(look, {}, by=ROBOT, call_id="1", run=one), Executed)
    tainted = await origins.act(settle, {"invoice": "1"}, by=ROBOT, call_id="2", run=one)
    clean = await origins.act(settle, {"invoice": "1"}, by=ROBOT, call_id="2", run=other)
    assert isinstance(tainted, Blocked) and tainted.policies == ("project/clean",) and isinstance(clean, Executed)


@pytest.mark.promise("gate-run-shares-budget-and-taint")
async def test_the_actions_of_a_run_spend_its_budget(app: Flyball) -> None:
    run = (await app.start(wished, "x", by=KIM, limits=Limits(calls=2))).id
    await app.runs.result(run)
    told = [await app.act(look, {}, by=ROBOT, call_id=str(n), run=run) for n in range(3)]
    assert [isinstance(each, Executed) for each in told] == [True, True, False]
    assert isinstance(told[2], Blocked) and told[2].reason == "budget_exhausted" and run in str(told[2])


async def test_an_action_within_a_run_that_is_not_there_ended_or_not_ones_own_is_refused(app: Flyball) -> None:
    done = (await app.run(both, 5, by=KIM)).run
    waits = (await app.run(wished, "x", by=KIM)).run
    kept = await app.act(look, {}, by=KIM, call_id="1", run=waits)
    await app.runs.stop(waits, "enough", by=KIM)
    assert await app.act(look, {}, by=KIM, call_id="1", run=waits) == kept
    for run, by, code in (("r-0", KIM, "unknown_run"), (done, KIM, "run_ended"), (waits, FAY, "not_eligible")):
        with pytest.raises(FlyballError) as refused:
            await app.act(look, {}, by=by, call_id="2", run=run)
        assert refused.value.code == code


async def test_tenants_share_one_compiled_bundle(tmp_path: Path) -> None:
    async with on_disk(tmp_path) as app:
        for tenant in ("a", "b"):
            await app.runs.ready(tenant)
        (one,), (other,) = app.rooms.enforce.in_force("a").layers, app.rooms.enforce.in_force("b").layers
        assert one is other


async def test_many_logs_are_signed_a_few_at_a_time_each_over_a_fresh_view(
    app: Flyball, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most, signer = 0, 0, app.rooms.ports.signer
    lock, sign = threading.Lock(), signer.sign

    def slow(*what: Any) -> str:
        nonlocal held, most
        with lock:
            held, most = held + 1, max(most, held + 1)
        time.sleep(0.02)
        with lock:
            held -= 1
        return sign(*what)

    monkeypatch.setattr(signer, "sign", slow)
    tenants = [f"t{number}" for number in range(12)]
    await asyncio.gather(*[app.runs.ready(tenant) for tenant in tenants])
    await asyncio.gather(*[app.ledger.checkpoint(tenant=tenant) for tenant in tenants])
    assert 1 < most <= HANDS


# keys -----------------------------------------------------------------------------------------------------------------
async def test_a_key_may_be_the_first_that_is_heard_of_a_tenant(app: Flyball) -> None:
    await app.keys.enrol(key_of("user:fay"), tenant="new")
    assert isinstance(await app.run(both, 1, by=msgspec.structs.replace(KIM, tenant="new")), Completed)
    assert (await app.ledger.verify(tenant="new")).ok


async def test_a_key_that_is_none_is_refused_and_nothing_is_recorded(app: Flyball) -> None:
    for bad in (
        msgspec.structs.replace(key_of("user:fay"), public=""),
        msgspec.structs.replace(key_of("user:fay"), id="k"),
    ):
        with pytest.raises(FlyballError) as refused:
            await app.keys.enrol(bad)
        assert refused.value.code == "bad_key" and not app.keys.list()
