"""Flows, loaders and resources that misbehave: every run comes to a named end, and nobody else notices."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest

from flyball import (
    Blocked,
    Call,
    Completed,
    Entity,
    Executed,
    Failed,
    FlyballError,
    Ref,
    Run,
    Stopped,
    Tenant,
    agent,
    entity,
    flow,
    resource,
    tool,
)
from flyball.runtime.broker import broker
from flyball.testing import Say
from tests.bad_input.bank import ONCE, PERMIT, SOON, Books, lab, look, pay
from tests.bad_input.test_tools import Broke, leave

ME = sys.modules[__name__]
DIGGING: list[str] = []
WRONG: dict[str, Callable[[], Any]] = {
    "an error that cannot be shown": Broke,
    "an error that is no Unicode": lambda: ValueError("\ud800"),
    "an error as long as a book": lambda: ValueError("x" * 5_000_000),
    "an exit": lambda: leave,
    "an error of ours that is no Unicode": lambda: Failed("tool_failed", "\udfff"),
    "no data": object,
    "NaN": lambda: math.nan,
    "50 MB": lambda: "x" * 50_000_000,
    "half a character": lambda: "\ud800",
}
ATTRS: dict[str, Any] = {
    "attributes of NaN": {"a": math.nan},
    "attributes that are no data": {"a": object()},
    "attributes that are no attributes": 5,
    "attributes that nobody declared": {"a": 1},
}
LOADED = ("an error that cannot be shown", "an error that is no Unicode", "an exit", "no data", *ATTRS)


def wrong(name: str) -> Any:
    found = WRONG[name]()
    if callable(found):
        found = found()
    if isinstance(found, BaseException):
        raise found
    return found


@flow
async def failing(run: Run, name: str) -> Any:
    await run.call(look)
    return wrong(name)


@flow
async def outer(run: Run, name: str) -> Any:
    return await run.flow(failing, name)


@flow
async def proposing(run: Run, how: str) -> str:
    bad: Any = {"NaN": math.nan, "half": "\ud800", "deep": _deep()}[how]
    told = await run.attempt(pay, 5, tags={"a": bad})
    return told.reason if isinstance(told, Blocked) else "ran"


def _deep() -> Any:
    value: Any = None
    for _ in range(500):
        value = [value]
    return value


@flow
async def quiet(run: Run, n: int) -> str:
    return await run.call(look, n)


asker = agent("asker", instructions="Say something.", input=int)


@entity("Account")
async def account(call: Call, name: str) -> Entity:
    found: Entity = wrong(name) if name in WRONG else Entity(attrs=ATTRS.get(name, {}))
    return found


@tool(effect="irreversible")
async def close(call: Call, account: Annotated[str, Ref("Account")]) -> str:
    """Close an account."""
    return f"closed {account}"


@resource()
async def vault(tenant: Tenant) -> AsyncIterator[str]:
    raise ConnectionError("no vault here")
    yield ""  # type: ignore[unreachable]


@tool(effect="irreversible", retry=ONCE)
async def lock(call: Call) -> str:
    """Lock the vault."""
    return call.get(vault)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("what", [failing, outer], ids=["alone", "inside another"])
async def test_a_flow_that_misbehaves_ends_its_run_in_words_and_no_other(name: str, what: Any) -> None:
    async with lab(project=[ME]) as bank:
        ended = await bank.run(what, name, key="k")
        assert isinstance(ended, Stopped) and ended.reason in ("internal_error", "tool_failed")
        assert 0 < len(ended.detail) < 5_000 and ended.detail.encode()
        await bank.restart()
        assert await bank.resume("k") == ended
        assert isinstance(await bank.run(quiet, 1), Completed) and (await bank.verify()).ok


@pytest.mark.parametrize("how", ["NaN", "half", "deep"])
async def test_a_flow_that_proposes_what_is_no_value_is_told_so(how: str) -> None:
    kept = Books()
    async with lab(kept, project=[ME]) as bank:
        done = await bank.run(proposing, how)
        assert isinstance(done, Completed) and done.value == "invalid_proposal" and not kept.calls
        assert (await bank.verify()).ok


@pytest.mark.promise("gate-trap-entity-unresolved")
@pytest.mark.parametrize("name", LOADED)
async def test_a_business_object_that_cannot_be_loaded_denies(name: str) -> None:
    async with lab(project=[ME]) as bank:
        told = await bank.act(close, {"account": name}, call_id="1")
        assert isinstance(told, Blocked) and told.reason == "policy_denied"
        assert "entity_unresolved" in str(told) or "not declared" in str(told)
        assert isinstance(await bank.act(close, {"account": "A-1"}, call_id="2"), Executed)
        assert (await bank.verify()).ok


async def test_a_resource_that_does_not_open_is_a_call_that_was_not_made() -> None:
    async with lab(project=[ME]) as bank:
        told = await bank.act(lock, {}, call_id="1")
        assert isinstance(told, Failed) and told.reason == "not_done" and "no vault" in told.message


@resource()
async def tunnel(tenant: Tenant) -> AsyncIterator[str]:
    DIGGING.append(tenant.id)
    await asyncio.sleep(3600)
    yield ""


@tool(effect="irreversible", retry=ONCE, timeout=SOON)
async def dig(call: Call) -> str:
    """Dig on."""
    return call.get(tunnel)


async def test_a_resource_that_never_opens_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "OPEN_SECONDS", 0.05)
    async with lab(project=[ME]) as bank:
        told = await bank.act(dig, {}, call_id="1")
        assert isinstance(told, Failed) and told.reason == "not_done" and "tunnel is not open after" in told.message


async def test_a_resource_that_never_opens_holds_up_no_other() -> None:
    async with lab(project=[ME]) as bank:
        DIGGING.clear()
        slow = asyncio.create_task(bank.act(dig, {}, call_id="1"))
        async with asyncio.timeout(20):
            while not DIGGING:
                await asyncio.sleep(0.01)
            told = await bank.act(lock, {}, call_id="2")
        assert isinstance(told, Failed) and "no vault" in told.message and not slow.done()
        slow.cancel()


async def test_an_input_that_does_not_fit_is_no_proposal() -> None:
    async with lab(project=[ME], models={"asker": [Say("hello")]}) as bank:
        cases: list[Any] = [(quiet, "one"), (quiet, None), (asker, "one")]
        for what, input in cases:
            ended = await bank.run(what, input)
            assert isinstance(ended, Stopped) and ended.reason == "invalid_proposal" and "input" in ended.detail
        assert isinstance(await bank.run(asker, 1), Completed)


@pytest.mark.parametrize("word", ["key", "session", "subject"])
async def test_a_key_that_no_record_can_hold_starts_no_run(word: str) -> None:
    words: dict[str, Any] = {word: "\ud800"}
    async with lab(None, PERMIT, project=[ME]) as bank:
        with pytest.raises(FlyballError, match="surrogate"):
            await bank.run(quiet, 1, **words)
        assert not [r for r in bank.records() if r.kind == "run_started"]
