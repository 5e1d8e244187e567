"""Model calls on the path: gated one model at a time, reserved at their greatest, priced by a table with a name."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from flyball import Completed, Flyball, Limits, Run, Stopped, agent, flow
from flyball.core.event import Event, Proposed, Waiting
from flyball.core.model import ModelConfig, ModelError, ModelReply, ModelRequest, OnDelta, ToolCall, Usage
from flyball.core.prices import PriceTable, price_table
from tests.bad_input.bank import KIM, PERMIT, Books, Hasty, in_memory, memory

ME = sys.modules[__name__]
MICRO = 1_000_000
PRICES = price_table({"prices": 1, "models": {m: {"input": MICRO, "output": 2 * MICRO} for m in ("one", "two", "far")}})
GOOD = ModelReply(text="fine", model="two-2026", usage=Usage(input=100, output=10))
asker = agent("asker", instructions="Ask.")
clerk = agent("clerk", instructions="Say something.", may_ask=False, may_hand_back=False)


@flow
async def patient(run: Run, wish: str) -> str:
    return await run.agent(clerk, wish)


@dataclass
class Provider:
    """Answers with what it is given, in order, and remembers when each model was asked."""

    will: list[ModelReply | ModelError]
    clock: Hasty
    asked: list[tuple[str, int]] = field(default_factory=list)
    scripted: bool = False

    async def complete(self, request: ModelRequest, _: OnDelta | None = None, /) -> ModelReply:
        self.asked.append((request.model, self.clock.now()))
        told = self.will.pop(0)
        if isinstance(told, ModelError):
            raise told
        return told

    async def close(self) -> None:
        """Nothing is open."""


def down(**more: Any) -> ModelError:
    return ModelError("unavailable", "down", sent=False, **more)


@asynccontextmanager
async def desk(
    folder: Path, *will: ModelReply | ModelError, first: str = "one", policy: str = PERMIT, prices: PriceTable = PRICES,
    fallback: tuple[str, ...] = ("far", "spare"),
) -> AsyncIterator[tuple[Flyball, Provider]]:  # fmt: skip
    """A project whose model falls back on two others, the second of them outside Europe."""
    provider = Provider(list(will), Hasty())
    configs = [
        ModelConfig(name="default", model=first, fallback=fallback, region="eu", max_tokens=50),
        ModelConfig(name="far", model="far", region="us", max_tokens=50),
        ModelConfig(name="spare", model="two", region="eu", max_tokens=50),
    ]
    named = {each.name: each for each in configs}
    ports = replace(memory(provider.clock), models=dict.fromkeys(named, provider), prices=prices)
    async with in_memory(ports, folder, Books(), policy, ME, models=named) as app:
        yield app, provider


def intents(app: Flyball, run: str) -> list[Any]:
    return [r for r in app.runs.records(run) if r.kind == "intent" and r.facts["action_kind"] == "model"]


@pytest.mark.promise("api-fallbacks-are-governed")
async def test_fallbacks_are_asked_in_their_order_and_the_answer_is_charged_at_its_own_price(tmp_path: Path) -> None:
    async with desk(tmp_path, down(), down(), GOOD) as (app, provider):
        done = await app.run(patient, "hello", by=KIM)
        assert isinstance(done, Completed) and [model for model, _ in provider.asked] == ["one", "far", "two"]
        (spent,) = [row.spent for row in app.budgets.list() if row.id == f"run/{done.run}"]
        assert (spent.tokens, spent.usd) == (110, 120)
        assert [r.attempt for r in intents(app, done.run)] == [1, 2, 3] and (await app.ledger.verify()).ok


@pytest.mark.promise("gate-every-action", "api-fallbacks-are-governed")
async def test_a_fallback_that_policy_forbids_is_not_asked(tmp_path: Path) -> None:
    europe = PERMIT + (
        '@id("europe") forbid (principal, action == Action::"model", resource is Model)\n'
        'unless { resource has region && resource.region == "eu" };'
    )
    async with desk(tmp_path, down(), GOOD, policy=europe) as (app, provider):
        done = await app.run(patient, "hello", by=KIM)
        assert isinstance(done, Completed) and [model for model, _ in provider.asked] == ["one", "two"]


@pytest.mark.promise("gate-model-call-is-egress")
async def test_a_policy_about_what_leaves_decides_a_model_call(tmp_path: Path) -> None:
    closed = PERMIT + '@id("nothing-leaves") forbid (principal, action, resource) when { context.egress };'
    async with desk(tmp_path, GOOD, policy=closed) as (app, provider):
        ended = await app.run(patient, "hello", by=KIM)
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not provider.asked
        (decision,) = [r for r in app.runs.records(ended.run) if r.kind == "decision"]
        assert (decision.facts["action_kind"], decision.facts["effect"]) == ("model", "read")
        assert decision.facts["policies"] == ["project/nothing-leaves"]


@pytest.mark.promise("gate-unknown-price-denies")
async def test_a_model_without_a_price_is_denied_and_not_asked(tmp_path: Path) -> None:
    async with desk(tmp_path, GOOD, first="unheard-of") as (app, provider):
        ended = await app.run(patient, "hello", by=KIM)
        assert isinstance(ended, Stopped) and not provider.asked
        (decision,) = [r for r in app.runs.records(ended.run) if r.kind == "decision"]
        assert "unknown_price" in str(decision.private) and decision.facts["action"] == "model"


@pytest.mark.promise("api-retries")
async def test_what_a_provider_asks_to_wait_is_waited_where_there_is_no_other(tmp_path: Path) -> None:
    async with desk(tmp_path, down(retry_after_ms=90_000), GOOD, fallback=()) as (app, provider):
        assert isinstance(await app.run(patient, "hello", by=KIM), Completed)
        (_, first), (_, second) = provider.asked
        assert 90_000_000 <= second - first < 91_000_000


@pytest.mark.promise("journal-model-calls-are-actions")
async def test_the_greatest_cost_is_reserved_before_the_model_is_asked(tmp_path: Path) -> None:
    async with desk(tmp_path, GOOD) as (app, provider):
        ended = await app.run(patient, "x" * 100_000, by=KIM, limits=Limits(usd="0.05"))
        assert isinstance(ended, Stopped) and ended.reason == "budget_exhausted" and not provider.asked
        done = await app.run(patient, "hello", by=KIM, limits=Limits(usd="0.05"))
        (intent,) = intents(app, done.run)
        assert intent.facts["reserved"]["usd"] > 120 and intent.facts["reserved"]["tokens"] > 110


async def test_who_watches_sees_what_a_model_proposes_as_it_wrote_it(tmp_path: Path) -> None:
    proposes = ModelReply(calls=(ToolCall(id="1", name="ask", arguments='{ "question": "Why?"}'),), stop="tool")
    async with desk(tmp_path, proposes) as (app, _):
        run = await app.start(asker, "hello", by=KIM)
        await run.result()
        watched = app.watch(run=run.id)
        (told,) = [e async for e in until_it_waits(watched) if isinstance(e, Proposed)]
        assert (told.by, told.action, told.status, told.path) == ("asker", "model", "executed", "1")
        assert told.calls == ({"name": "ask", "arguments": '{ "question": "Why?"}'},)


async def until_it_waits(events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    async for event in events:
        if isinstance(event, Waiting):
            return
        yield event


@pytest.mark.promise("api-model-version-recorded")
async def test_a_call_records_the_digest_of_the_prices_and_the_version_that_answered(tmp_path: Path) -> None:
    async with desk(tmp_path, GOOD) as (app, _):
        done = await app.run(patient, "hello", by=KIM)
        (intent,) = intents(app, done.run)
        assert intent.facts["prices"] == PRICES.digest and intent.facts["isolation"] == "none"
        outcomes = [r.private["result"]["model"] for r in app.runs.records(done.run)
                    if r.kind == "outcome" and "usage" in str(r.private) and r.path == intent.path]  # fmt: skip
        assert outcomes == ["two-2026"]


@dataclass
class Busy(Provider):
    """A provider that takes its time, or never comes to an end; knows how many calls were under way at most."""

    stuck: bool = False
    now: int = 0
    most: int = 0

    async def complete(self, request: ModelRequest, _: OnDelta | None = None, /) -> ModelReply:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await asyncio.sleep(3600 if self.stuck else 0.01)
        finally:
            self.now -= 1
        return GOOD


@pytest.mark.promise("journal-no-stampede")
async def test_runs_that_were_interrupted_ask_again_a_few_at_a_time(tmp_path: Path) -> None:
    provider = Busy([], Hasty(), stuck=True)
    ports = replace(memory(provider.clock), models={"default": provider}, prices=PRICES)
    for at_once in (12, 3):
        models = {"default": ModelConfig(name="default", model="one", max_tokens=50, at_once=at_once)}
        async with in_memory(ports, tmp_path, Books(), PERMIT, ME, models=models) as app:
            runs = [await app.start(patient, "hello", by=KIM, key=f"k{n}") for n in range(12)]
            while provider.now < at_once:
                await asyncio.sleep(0.01)
            if not provider.stuck:
                assert all([(await run.result()).ok for run in runs]) and provider.most == 3
        provider.stuck, provider.most = False, 0
