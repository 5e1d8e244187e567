"""The broker: what a tool is handed, when its resources open and close, what each tool and tenant may do for itself."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flyball import (
    Blocked,
    Call,
    Completed,
    Executed,
    Failed,
    NotDone,
    Principal,
    Run,
    Tenant,
    flow,
    resource,
    tool,
)
from flyball.core.event import Progress
from flyball.testing import Crash, Lab
from tests.bad_input.bank import KIM, PERMIT, Books, in_memory, memory

ME = sys.modules[__name__]
ANN = Principal("user:ann", tenant="acme")
OPENED: list[str] = []
CALLS: list[Call] = []
WILL: list[Exception] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    for kept in (OPENED, CALLS, WILL):
        kept.clear()


async def opened(word: str, tenant: Tenant) -> AsyncIterator[str]:
    OPENED.append(f"open {word} {tenant.id}".rstrip())
    yield f"{word} of {tenant.id}"
    OPENED.append(f"close {word} {tenant.id}".rstrip())


@resource()
async def shared(tenant: Tenant) -> AsyncIterator[str]:
    async for each in opened("shared", tenant):
        yield each


@resource(scope="tenant")
async def theirs(tenant: Tenant) -> AsyncIterator[str]:
    async for each in opened("theirs", tenant):
        yield each


@resource(scope="call")
async def brief(tenant: Tenant) -> AsyncIterator[str]:
    async for each in opened("brief", tenant):
        yield each


@tool(effect="read")
async def all_three(call: Call) -> list[str]:
    """Use a resource of each scope."""
    found = [call.get(shared), call.get(theirs), call.get(brief)]
    OPENED.append("used")
    return found


@tool(effect="read")
def threaded(call: Call) -> str:
    """A plain function."""
    CALLS.append(call)
    return threading.current_thread().name


@tool(effect="irreversible", idempotency="key", timeout=timedelta(seconds=7))
async def noted(call: Call, n: int) -> str:
    """Keep what was handed in."""
    CALLS.append(call)
    call.progress("halfway", 0.5)
    if WILL:
        raise WILL.pop(0)
    return call.key


@tool(effect="read", rate="1/hour")
async def rare(call: Call) -> str:
    """Once an hour."""
    return "done"


@tool(effect="irreversible", idempotency="none")
async def lost(call: Call) -> str:
    """An effect that nobody can ask about."""
    CALLS.append(call)
    raise WILL.pop(0)


@flow
async def noting(run: Run, n: int) -> list[str]:
    return [await run.call(noted, each) for each in range(n)]


def lab(**settings: Any) -> Lab:
    return Lab(policies=PERMIT, by=KIM, project=[ME], **settings)


# what a tool is handed ------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-plain-functions-in-threads")
async def test_a_plain_function_runs_in_a_thread_of_its_own_and_holds_up_nobody() -> None:
    async with lab() as desk:
        told = await desk.act(threaded, {}, call_id="1")
        assert isinstance(told, Executed) and told.value != threading.current_thread().name


@pytest.mark.promise("api-call-is-first")
async def test_a_call_says_who_acts_where_in_which_run_and_until_when() -> None:
    async with lab() as desk:
        now = datetime.fromtimestamp(desk.clock.now() / 1_000_000, UTC)
        done = await desk.run(noting, 1, by=ANN)
        (call,) = CALLS
        assert (call.principal.id, call.tenant, call.run, call.attempt) == ("user:ann", "acme", done.run, 1)
        assert timedelta(seconds=7) <= call.deadline - now < timedelta(seconds=8)


@pytest.mark.promise("journal-stable-keys")
async def test_a_key_is_the_same_for_every_attempt_of_a_step_and_another_for_every_step() -> None:
    WILL[:] = [NotDone("closed"), OSError("reset")]
    async with lab() as desk:
        done = await desk.run(noting, 2)
        keys = [call.key for call in CALLS]
        assert [call.attempt for call in CALLS] == [1, 2, 3, 1] and len(set(keys[:3])) == 1 and keys[3] != keys[0]
        assert isinstance(done, Completed) and done.value == [keys[0], keys[3]]


@pytest.mark.promise("journal-stable-keys")
async def test_a_key_is_the_same_after_a_crash() -> None:
    async with lab() as desk:
        desk.crash_after(noted)
        with pytest.raises(Crash):
            await desk.run(noting, 1, key="k")
        assert isinstance(await desk.resume("k"), Completed) and len({call.key for call in CALLS}) == 1 < len(CALLS)


@pytest.mark.promise("api-progress-is-provisional")
async def test_progress_is_heard_by_who_watches_and_recorded_nowhere(tmp_path: Path) -> None:
    async with in_memory(memory(), tmp_path, Books(), PERMIT, ME) as app:
        started = await app.start(noting, 1, by=KIM)
        told = [e async for e in started.watch() if isinstance(e, Progress)]
        assert [(e.message, e.done, e.path) for e in told] == [("halfway", 0.5, "1")]
        assert not any("halfway" in str(r.private) for r in app.runs.records(started.id))


# resources ------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-resources-are-values")
async def test_a_resource_opens_when_first_needed_once_for_its_scope_and_closes_in_order() -> None:
    async with lab() as desk:
        await desk.act(threaded, {}, call_id="0")
        assert not OPENED
        first = await desk.act(all_three, {}, call_id="1")
        assert isinstance(first, Executed) and first.value == ["shared of ", "theirs of local", "brief of local"]
        assert OPENED == ["open shared", "open theirs local", "open brief local", "used", "close brief local"]
        await desk.act(all_three, {}, call_id="2")
        assert OPENED[5:] == ["open brief local", "used", "close brief local"]
        await desk.act(all_three, {}, by=ANN, call_id="3")
        assert OPENED[8:] == ["open theirs acme", "open brief acme", "used", "close brief acme"]
    assert OPENED[12:] == ["close theirs acme", "close theirs local", "close shared"]


@tool(effect="irreversible", idempotency="probe")
async def briefly(call: Call) -> str:
    """Use what its probe uses too."""
    return call.get(brief)


@briefly.probe
async def was_brief(call: Call) -> str | None:
    return call.get(brief)


async def test_what_two_functions_of_a_tool_name_is_opened_once_for_a_call() -> None:
    async with lab() as desk:
        assert isinstance(await desk.act(briefly, {}, call_id="1"), Executed)
        assert OPENED == ["open brief local", "close brief local"]


# how often a tool may go wrong, and how often it may be called --------------------------------------------------------
@pytest.mark.promise("api-rates-and-breakers")
async def test_a_breaker_and_a_rate_are_of_one_tool_and_one_tenant() -> None:
    async with lab() as desk:
        WILL[:] = [OSError("down")] * 9
        for n, who in enumerate((KIM, KIM, KIM, KIM, ANN, KIM)):
            await desk.act(lost, {}, by=who, call_id=str(n))
        mine, others = await desk.act(lost, {}, call_id="x"), await desk.act(lost, {}, by=ANN, call_id="x")
        assert isinstance(mine, Blocked) and mine.reason == "breaker_open" and len(CALLS) == 7
        assert not isinstance(others, Blocked)
        told = [await desk.act(rare, {}, by=who, call_id=f"r{n}") for n in range(2) for who in (KIM, ANN)]
        assert [getattr(t, "reason", "done") for t in told] == ["done", "done", "rate_limited", "rate_limited"]


@pytest.mark.promise("api-rates-and-breakers")
async def test_who_was_refused_for_a_rate_takes_no_place_of_those_who_come_later() -> None:
    async with lab() as desk:
        told = [await desk.act(rare, {}, call_id=str(n)) for n in range(5)]
        assert [getattr(t, "reason", "done") for t in told] == ["done", *["rate_limited"] * 4]
        await desk.advance(timedelta(hours=1))
        assert isinstance(await desk.act(rare, {}, call_id="later"), Executed)


# retries --------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-nothing-unknown-is-retried")
async def test_an_effect_is_called_again_only_where_that_cannot_do_it_twice() -> None:
    async with lab() as desk:
        WILL[:] = [NotDone("closed"), OSError("reset")]
        told = await desk.act(lost, {}, call_id="1")
        assert not isinstance(told, (Executed, Failed, Blocked)) and told.kind == "unknown" and len(CALLS) == 2


# isolation ------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-isolation-is-told")
async def test_the_isolation_that_a_call_had_is_recorded() -> None:
    async with lab() as desk:
        await desk.act(rare, {}, call_id="1")
        (intent,) = [r for r in desk.records() if r.kind == "intent" and r.facts["action"] == "rare"]
        assert intent.facts["isolation"] == "none"


# secrets --------------------------------------------------------------------------------------------------------------
async def test_a_resource_that_is_not_named_in_the_code_says_what_to_write() -> None:
    async with lab() as desk:
        told = await desk.act(hidden, {}, call_id="1")
        assert isinstance(told, Failed) and "resource_not_open" in (told.reason, told.message.split(":")[0])


@tool(effect="read")
async def hidden(call: Call) -> str:
    """Look a resource up where no code names it."""
    await asyncio.sleep(0)
    return str(call.get(vars(ME)["bri" + "ef"]))
