"""Which model is asked: by the route's rules, never one that policy forbids, never one that rests, and on record."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flyball import Completed, Flyball, Limits, Stopped, agent
from flyball.app.replaying import replay
from flyball.core.model import ModelConfig, ModelError, ModelReply, ModelRequest, OnDelta, Usage
from flyball.core.prices import price_table
from flyball.core.route import Route, Rule
from flyball.runtime.replay import route_differences
from tests.bad_input.bank import KIM, PERMIT, Books, Hasty, in_memory, memory

ME = sys.modules[__name__]
MICRO = 1_000_000
PRICES = price_table({
    "prices": 1, "models": {"small": {"input": MICRO, "output": MICRO}, "large": {"input": 9 * MICRO, "output": MICRO},
                            "spare": {"input": MICRO, "output": MICRO}},
})  # fmt: skip
EUROPE = PERMIT + (
    '@id("europe") forbid (principal, action == Action::"model", resource is Model)\n'
    'unless { resource has region && resource.region == "eu" };'
)
writer = agent("writer", instructions="Answer.", model="desk", limits=Limits(steps=99))
planner = agent("planner", instructions="Plan.", model="desk", role="planner", limits=Limits(steps=99))
alone = agent("alone", instructions="Answer.", model="spare", limits=Limits(steps=99))
Does = Callable[[], Any]


def down(kind: Any = "unavailable", **more: Any) -> ModelError:
    return ModelError(kind, "down", sent=True, **more)


class Provider:
    """Answers for each model as it is told to: with an error, after a time, or well; knows whom it was asked for."""

    scripted = False

    def __init__(self, clock: Hasty) -> None:
        self.clock, self.does = clock, dict[str, Does]()
        self.asked: list[str] = []
        self.at: list[int] = []

    async def complete(self, request: ModelRequest, _: OnDelta | None = None, /) -> ModelReply:
        self.asked.append(request.model)
        self.at.append(self.clock.now())
        told = self.does.get(request.model, lambda: None)()
        if asyncio.iscoroutine(told):
            told = await told
        if isinstance(told, ModelError):
            raise told
        return ModelReply(text=f"by {request.model}", model=request.model, usage=Usage(input=10, output=1))

    async def close(self) -> None:
        """Nothing is open."""


ROUTE = Route(name="desk", models=("small", "large"))


@asynccontextmanager
async def desk(
    folder: Path,
    route: Route = ROUTE,
    policy: str = PERMIT,
    fallback: tuple[str, ...] = (),
    **models: Mapping[str, Any],
) -> AsyncIterator[tuple[Flyball, Provider]]:
    """A project with three models; `small` is in Europe, and what else is said of them."""
    provider = Provider(Hasty())
    base: dict[str, dict[str, Any]] = {
        "small": {"region": "eu", "fallback": fallback}, "large": {"region": "us"}, "spare": {"region": "eu"}
    }  # fmt: skip
    named = {n: ModelConfig(**{"name": n, "model": n, "max_tokens": 50, **own, **models.get(n, {})})
             for n, own in base.items()}  # fmt: skip
    ports = replace(memory(provider.clock), models=dict.fromkeys(named, provider), prices=PRICES)
    routes = {"desk": route}
    async with in_memory(ports, folder, Books(), policy, ME, models=named, routes=routes) as app:
        yield app, provider


def choices(app: Flyball, run: str) -> list[dict[str, Any]]:
    return [dict(r.facts["route"]) for r in app.runs.records(run) if "route" in r.facts]


async def told(app: Flyball, agent: Any = writer, wish: str = "hello") -> Any:
    return await app.run(agent, wish, by=KIM)


# rules ----------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-routes")
async def test_without_a_rule_the_first_listed_is_asked_and_the_choice_is_on_record(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, provider):
        done = await told(app)
        assert isinstance(done, Completed) and provider.asked == ["small"]
        (choice,) = choices(app, done.run)
        assert choice == {"candidates": ["small", "large"], "chosen": "small", "route": "desk", "score": 80}
        assert (await app.ledger.verify()).ok and (await replay(app.rooms, "local", done.run)).ok


@pytest.mark.promise("api-routes")
@pytest.mark.parametrize(
    ("rule", "agent", "wish", "chosen"),
    [
        (Rule(roles=("planner",), models=("large",)), planner, "hi", "large"),
        (Rule(roles=("planner",), models=("large",)), writer, "hi", "small"),
        (Rule(complexity=100, models=("large",)), writer, "word " * 900, "large"),
        (Rule(complexity=100, models=("large",)), writer, "word", "small"),
        (Rule(agents=("writer",), models=("large", "small"), regions=("eu",)), writer, "hi", "small"),
        (Rule(tenants=("local",), models=("large", "small"), max_usd=4_000), writer, "hi", "small"),
        (Rule(sensitivities=("public",), models=("large", "small"), prefer="cost"), writer, "hi", "small"),
        (Rule(models=("small", "large"), max_latency_ms=900), writer, "hi", "large"),
    ],
    ids=["role", "another role", "hard", "easy", "region", "cost", "sensitivity, cheapest", "latency"],
)  # fmt: skip
async def test_the_first_rule_that_fits_says_which(
    tmp_path: Path, rule: Rule, agent: Any, wish: str, chosen: str
) -> None:
    route = Route(name="desk", models=("small", "large"), rules={"the-rule": rule})
    async with desk(tmp_path, route, small={"latency_ms": 1_000}) as (app, provider):
        done = await told(app, agent, wish)
        assert isinstance(done, Completed) and provider.asked == [chosen]
        assert (await app.ledger.verify()).ok and (await replay(app.rooms, "local", done.run)).ok


async def test_a_rule_that_leaves_no_model_is_a_denial_that_says_so(tmp_path: Path) -> None:
    route = Route(name="desk", models=("small",), rules={"moon": Rule(regions=("moon",))})
    async with desk(tmp_path, route) as (app, provider):
        ended = await told(app)
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not provider.asked
        assert "routes.desk.rules.moon leaves no model to ask" in ended.detail


async def test_what_took_long_of_late_is_not_what_is_fast(tmp_path: Path) -> None:
    route = Route(name="desk", models=("small", "large"), prefer="latency")
    async with desk(tmp_path, route) as (app, provider):
        provider.does["small"] = lambda: provider.clock.wait(provider.clock.now() + 5_000_000)
        for _ in range(3):
            await told(app)
        assert provider.asked == ["small", "large", "large"]


# policy first -----------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-routes-policy-first")
async def test_what_policy_forbids_is_no_candidate_and_the_record_says_why(tmp_path: Path) -> None:
    async with desk(tmp_path, Route(name="desk", models=("large", "small")), EUROPE) as (app, provider):
        done = await told(app)
        assert isinstance(done, Completed) and provider.asked == ["small"]
        (choice,) = choices(app, done.run)
        assert choice["chosen"] == "small" and choice["left_out"] == {"large": ["policy", "project/europe"]}
        assert (await replay(app.rooms, "local", done.run)).ok


@pytest.mark.promise("api-routes-policy-first")
async def test_where_policy_forbids_all_of_them_the_gate_denies_and_nobody_is_asked(tmp_path: Path) -> None:
    async with desk(tmp_path, Route(name="desk", models=("large",)), EUROPE) as (app, provider):
        ended = await told(app)
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not provider.asked
        (denied,) = [r for r in app.runs.records(ended.run) if r.kind == "decision"]
        assert denied.facts["policies"] == ["project/europe"] and denied.facts["route"]["chosen"] == "large"
        assert (await replay(app.rooms, "local", ended.run)).ok


# fallbacks --------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-fallbacks-are-governed")
async def test_what_fails_is_followed_by_another_at_once_and_who_asked_to_wait_is_left_alone(tmp_path: Path) -> None:
    async with desk(tmp_path, fallback=("spare",)) as (app, provider):
        provider.does = dict.fromkeys(("small", "large", "spare"), lambda: down("auth", retry_after_ms=60_000))
        provider.does["spare"] = lambda: down(retry_after_ms=7_000)
        ended = await told(app)
        assert isinstance(ended, Stopped) and provider.asked == ["small", "large", "spare", "spare"]
        gaps = [b - a for a, b in zip(provider.at, provider.at[1:], strict=False)]
        assert max(gaps[:2]) < 1_000 and gaps[2] >= 7_000_000
        assert [choice.get("tried", []) for choice in choices(app, ended.run)][3] == ["small", "large", "spare"]
        assert (await replay(app.rooms, "local", ended.run)).ok


async def test_a_question_that_is_not_answered_in_time_has_failed(tmp_path: Path) -> None:
    route = Route(name="desk", models=("small", "large"), deadline_ms=5_000)
    async with desk(tmp_path, route) as (app, provider):
        provider.does["small"] = lambda: _late(provider)
        ended = await told(app)
        assert isinstance(ended, Stopped) and provider.asked == ["small"]
        provider.does["small"] = down
        assert isinstance(await told(app), Completed) and provider.asked == ["small", "small", "large"]


async def _late(provider: Provider) -> ModelError:
    await provider.clock.wait(provider.clock.now() + 6_000_000)
    return down("timeout")


# breakers ---------------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-breaker-one-trial")
async def test_a_single_model_that_is_dead_is_asked_five_times_and_then_rests(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, provider):
        provider.does["spare"] = lambda: down("auth")
        ended = [await told(app, alone) for _ in range(8)]
        assert len(provider.asked) == 5 and all(isinstance(each, Stopped) for each in ended)
        assert "rests" in ended[-1].detail


@pytest.mark.promise("api-breaker-one-trial")
@pytest.mark.parametrize("good", [True, False])
async def test_after_its_rest_one_call_is_the_trial_and_the_others_are_refused(tmp_path: Path, good: bool) -> None:
    async with desk(tmp_path, spare={"at_once": 99}) as (app, provider):
        provider.does["spare"] = lambda: down("auth")
        for _ in range(5):
            await told(app, alone)
        provider.clock._now += 31_000_000
        free = asyncio.Event()
        provider.does["spare"] = lambda: _held(free, good)
        waiting = [asyncio.create_task(told(app, alone)) for _ in range(20)]
        while sum(task.done() for task in waiting) < 19:
            await asyncio.sleep(0)
        assert len(provider.asked) == 6
        free.set()
        ended = [await task for task in waiting]
        assert sum(isinstance(each, Completed) for each in ended) == good
        after = await told(app, alone)
        assert isinstance(after, Completed) is good and len(provider.asked) == 6 + good


async def _held(free: asyncio.Event, good: bool) -> ModelError | None:
    await free.wait()
    return None if good else down("auth")


async def test_while_one_call_is_the_trial_the_others_go_to_the_fallback(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, provider):
        provider.does["small"] = down
        for _ in range(5):
            assert isinstance(await told(app), Completed)
        assert Counter(provider.asked) == {"small": 5, "large": 5}
        rested = await told(app)
        assert choices(app, rested.run)[0]["left_out"] == {"small": ["rests"]}
        assert (await replay(app.rooms, "local", rested.run)).ok
        provider.clock._now += 31_000_000
        free = asyncio.Event()
        provider.does["small"] = lambda: _held(free, True)
        waiting = [asyncio.create_task(told(app)) for _ in range(9)]
        while sum(task.done() for task in waiting) < 8:
            await asyncio.sleep(0)
        free.set()
        assert {type(await task) for task in waiting} == {Completed}
        assert Counter(provider.asked) == {"small": 6, "large": 14}


async def test_who_asked_to_be_left_alone_is_while_there_is_another(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, provider):
        provider.does["small"] = lambda: down("rate_limited", retry_after_ms=60_000)
        for _ in range(3):
            assert isinstance(await told(app), Completed)
        assert Counter(provider.asked) == {"small": 1, "large": 3}
        provider.clock._now += 61_000_000
        await told(app)
        assert Counter(provider.asked)["small"] == 2


async def test_a_question_that_a_model_refuses_is_no_failure_of_the_model(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, provider):
        provider.does["spare"] = lambda: down("bad_request")
        for _ in range(8):
            await told(app, alone)
        assert len(provider.asked) == 8


@pytest.mark.promise("api-full-jitter")
async def test_runs_that_failed_at_once_do_not_come_back_at_once(tmp_path: Path) -> None:
    waits: list[int] = []
    for n in range(12):
        folder = tmp_path / str(n)
        folder.mkdir()
        async with desk(folder) as (app, provider):
            provider.does["spare"] = down
            await told(app, alone)
            waits += [b - a for a, b in zip(provider.at, provider.at[1:], strict=False)]
    first, second, third = waits[0::3], waits[1::3], waits[2::3]
    assert max(first) < 1_001_000 and max(second) < 2_001_000 and max(third) < 4_001_000
    assert min(first) < 500_000 < max(second) and len({wait // 10_000 for wait in waits}) > 20


# the record -------------------------------------------------------------------------------------------------------
async def test_a_choice_that_does_not_follow_is_a_difference(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, _):
        done = await told(app)
        (intent,) = [r for r in app.runs.records(done.run) if r.kind == "intent" and "route" in r.facts]
        assert not list(route_differences(intent))
        other = {**intent.facts, "route": {**intent.facts["route"], "chosen": "large"}}
        found = [str(d) for d in route_differences(msgspec.structs.replace(intent, facts=other))]
        assert any("small stands before it" in each for each in found) and any("now small" in each for each in found)


async def test_one_model_without_a_route_is_no_choice(tmp_path: Path) -> None:
    async with desk(tmp_path) as (app, _):
        done = await told(app, alone)
        assert isinstance(done, Completed) and not choices(app, done.run)
