"""Replay: every verdict from the log, and the code over the log; executes nothing, finds every difference."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from flyball.app.flyball import Flyball
from flyball.app.plugs import adapter
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig, ModelReply, ModelRequest, OnDelta, ToolCall
from flyball.core.result import Completed, Stopped, Waiting
from flyball.runtime.replay import Replayed
from tests.app.shop import ANN, CODE, FAY, KIM, POLICY, Shop, flow_of, kinds, started

MODIFIES = (
    POLICY
    + """
@id("no-note") @modify("drop:/why") @reason("no_prose")
forbid (principal, action == Action::"pay", resource) when { context.input has why };
"""
)
WHY = CODE.replace("cents: Critical[int])", "cents: Critical[int], why: str | None = None)").replace(
    "cents=doubled)", 'cents=doubled, why="because")'
)
RICH = CODE.replace(
    '''    doubled = await run.call(look, n)
''',
    '''    doubled, more = await run.gather(run.call(look, n), run.attempt(note, text="x"))
    run.now(), run.random().random(), run.uuid()
    await run.update(add, 1)
    await run.sleep(timedelta(microseconds=1))
    inner = await run.flow(within, n)
    await run.timeout(run.call(look, inner), timedelta(seconds=30))
''',
).replace("@flow\n", '''
from dataclasses import dataclass, replace
from datetime import timedelta

@dataclass(frozen=True)
class State:
    total: int = 0

def add(state: State, n: int) -> State:
    return replace(state, total=state.total + n)

@flow
async def within(run: Run, n: int) -> int:
    return await run.call(look, n)

@flow(state=State)
''')  # fmt: skip
LATE = (
    CODE
    + '''
from datetime import timedelta
import asyncio

@tool(effect="read")
async def slow(call: Call, n: int) -> int:
    """Take long."""
    await asyncio.sleep(0.15)
    return n

@flow
async def hurried(run: Run, n: int) -> str:
    told = await run.timeout(run.call(slow, n), timedelta(milliseconds=20))
    return await run.call(pay, cents=1 if told is None else 2)
'''
)
LONG = (
    CODE
    + """

@flow
async def rounds(run: Run, n: int) -> str:
    await run.call(look, n)
    if n < 3:
        run.continue_as(n + 1)
    return await run.call(pay, cents=n)
"""
)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


async def equal(app: Flyball, run: str) -> Replayed:
    size = len(app.runs.records(run))
    told = await app.releases.replay(run)
    assert told.ok, [str(d) for d in told.differences]
    assert len(app.runs.records(run)) == size
    return told


@pytest.mark.promise("journal-finished-runs-do-nothing", "api-replay-executes-nothing")
async def test_a_run_that_completed_replays_equal_and_pays_nobody(shop: Shop) -> None:
    async with shop.open() as app:
        done = await started(app, 4)
        told = await equal(app, done.run)
        assert (told.verdicts, told.refused, shop.paid) == (3, 0, [8])


async def test_a_run_that_waits_replays_equal(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        assert (await equal(app, asked.run)).verdicts == 3


async def test_approved_edited_and_rejected_runs_replay_equal(shop: Shop) -> None:
    async with shop.open() as app:
        one, two, three = [await started(app, n, key=str(n)) for n in (30, 31, 32)]
        await app.approvals.approve(one.pending[0], by=FAY)
        await app.approvals.edit(two.pending[0], {"cents": 7}, by=FAY)
        await app.approvals.deny(three.pending[0], by=FAY)
        for asked, kind in ((one, Completed), (two, Completed), (three, Stopped)):
            assert isinstance(await app.runs.result(asked.run), kind)
            await equal(app, asked.run)
        assert sorted(shop.paid) == [7, 60]


async def test_a_denied_and_an_invalid_proposal_replay_equal(shop: Shop) -> None:
    async with shop.open() as app:
        await app.act("pay", {"cents": 4}, by=FAY, call_id="denied")
        await app.act("pay", {"cents": "many"}, by=KIM, call_id="invalid")
        told = [await equal(app, row.id) for row in app.runs.list()]
        assert sorted((t.verdicts, t.refused) for t in told) == [(0, 1), (1, 0)]


async def test_modified_arguments_are_derived_again(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", code=WHY, policy=MODIFIES)
    async with shop.open() as app:
        small, large = await started(app, 4, "small"), await started(app, 30, "large")
        await equal(app, small.run)
        await equal(app, large.run)
        await app.approvals.approve(large.pending[0], by=FAY)
        await app.runs.result(large.run)
        await equal(app, large.run)
        paid = [r for row in (small, large) for r in app.runs.records(row.run, kind="intent") if r.path == "2"]
        assert [r.facts["modifiers"] for r in paid] == [["project/no-note"], []]  # what was approved is final already
        assert not any((r.private or {})["args"].get("why") for r in paid)


async def test_time_chance_state_gather_flows_and_timers_replay_equal(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", code=RICH)
    async with shop.open() as app:
        done = await started(app, 4)
        if isinstance(done, Waiting):  # the sleep may have been seen before its time
            done = await app.runs.resume(done.run)
        assert isinstance(done, Completed)
        await equal(app, done.run)


@pytest.mark.promise("journal-timeouts-are-timers")
async def test_what_lost_against_a_timer_replays_equal(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", code=LATE)
    async with shop.open() as app:
        done = await app.run(flow_of(app, "hurried"), 4, by=KIM)
        assert shop.paid == [1]
        await equal(app, done.run)


async def test_every_generation_is_folded(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", code=LONG)
    async with shop.open() as app:
        done = await app.run(flow_of(app, "rounds"), 1, by=KIM)
        assert kinds(app, done.run).count("run_continued") == 2
        await equal(app, done.run)
    shop.edit("await run.call(look, n)\n    if", "await run.call(look, n + (n == 2))\n    if")
    async with shop.open() as app:
        (difference,) = (await app.releases.replay(done.run)).differences
        assert "step @2.1" in str(difference) and "shop_flows.py:" in str(difference)


async def test_a_stopped_run_replays_equal(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        await app.runs.stop(asked.run, "no more", by=KIM)
        await equal(app, asked.run)


@pytest.mark.promise("gate-decision-inputs-recorded")
async def test_verdicts_are_derived_from_the_bundles_of_then(shop: Shop) -> None:
    async with shop.open() as app:
        done = await started(app, 4)
        shop.write(policy=POLICY + '@id("none") forbid (principal, action, resource);\n')
        await app.policies.activate(by=ANN)
        await equal(app, done.run)


@pytest.mark.promise("gate-decision-inputs-recorded")
async def test_verdicts_are_derived_with_the_schema_of_then(shop: Shop) -> None:
    async with shop.open() as app:
        done = await started(app, 4)
    shop.edit("cents: Critical[int])", "cents: Critical[int], why: str = '')")
    async with shop.open() as app:
        await equal(app, done.run)


CHANGES = {
    "another step": (
        "run.call(look, n)",
        'run.call(note, text="x")',
        "the log holds call look, the code now does call note",
    ),
    "other arguments": ("cents=doubled", "cents=doubled + 1", "the code now does it with other arguments"),
    "a step more": ("    doubled = await", '    await run.call(note, text="x")\n    doubled = await', "step 1"),
    "a step less": (
        "    return await run.call(pay, cents=doubled)",
        '    return "paid 8"',
        "steps that the log holds: 2",
    ),
    "another result": (
        "return await run.call(pay, cents=doubled)",
        'return "I " + await run.call(pay, cents=doubled)',
        '"I paid 8"',
    ),
    "a step after": (
        "return await run.call(pay, cents=doubled)",
        "x = await run.call(pay, cents=doubled); await run.call(look, 1); return x",
        "the code now does call look in it",
    ),
    "a time": ("    doubled = await", "    run.now()\n    doubled = await", "the log ends before this marker"),
    "a wait": (
        "    return await run.call(pay",
        "    from datetime import timedelta; await run.sleep(timedelta(days=1))\n    return await run.call(pay",
        "",
    ),
    "a bug": ("    doubled = await", "    1 / 0\n    doubled = await", "ZeroDivisionError"),
    "another type": ("-> int:", "-> bool:", "does not fit its type now"),
    "no flow": ("@flow\n", "@flow(name='other')\n", "not in this release"),
}


@pytest.mark.promise("api-replay-executes-nothing")
@pytest.mark.parametrize("change", CHANGES)
async def test_changed_code_is_a_difference_in_words(shop: Shop, change: str) -> None:
    async with shop.open() as app:
        done = await started(app, 4)
    old, new, words = CHANGES[change]
    shop.edit(old, new)
    async with shop.open() as app:
        told = await app.releases.replay(done.run)
        assert not told.ok and words in "; ".join(map(str, told.differences)) and told.loaded != told.release
        assert shop.paid == []


def forged(app: Flyball, run: str, change: dict[str, Any]) -> None:
    """The recorder opens one record of the run as if the log held something else."""
    real = app.rooms.record.open

    def opened(tenant: str, stored: Any, view: Any) -> Any:
        record = real(tenant, stored, view)
        if record.kind not in ("intent", "decision") or record.facts["action"] != "pay":
            return record
        private = {**(record.private or {}), **change.get("private", {})}
        return msgspec.structs.replace(record, facts={**record.facts, **change.get("facts", {})}, private=private)

    app.rooms.record.open = opened  # type: ignore[method-assign]


FORGERIES: dict[str, tuple[dict[str, Any], str]] = {
    "outcome": ({"facts": {"outcome": "modify"}}, "verdict"),
    "arguments": ({"private": {"args": {"cents": 9}, "proposed": {"cents": 8}}}, "arguments"),
    "policies": ({"facts": {"policies": ["project/read"]}}, "policies"),
    "cures": ({"facts": {"cures": ["project/finance"]}}, "cures"),
    "modifiers": ({"facts": {"modifiers": ["project/m"]}}, "modifiers"),
    "bundle": ({"facts": {"bundles": ["0" * 64]}}, "cannot be decided again"),
}


@pytest.mark.promise("gate-decision-inputs-recorded", "api-replay-executes-nothing")
@pytest.mark.parametrize("what", FORGERIES)
async def test_a_verdict_that_does_not_follow_from_its_inputs_is_found(shop: Shop, what: str) -> None:
    async with shop.open() as app:
        done = await started(app, 4)
        change, word = FORGERIES[what]
        forged(app, done.run, change)
        told = await app.releases.replay(done.run)
        assert any(d.at.endswith("/2/1/intent") and word in d.what for d in told.differences)


async def test_a_permit_that_was_never_given_is_found(shop: Shop) -> None:
    async with shop.open() as app:
        await app.act("pay", {"cents": 4}, by=FAY, call_id="1")
        (row,) = app.runs.list()
        forged(app, row.id, {"facts": {"outcome": "allow"}})
        assert [d.what for d in (await app.releases.replay(row.id)).differences] == ["verdict", "the end"]


@pytest.mark.promise("journal-erased-is-said")
async def test_an_erased_subject_is_said(shop: Shop) -> None:
    async with shop.open() as app:
        done = await started(app, 4)
        app.rooms.ports.keyring.erase("local", app.rooms.record.person("local", KIM.id))
        with pytest.raises(FlyballError) as erased:
            await app.releases.replay(done.run)
        assert erased.value.code == "subject_erased" and "erased with their subject" in str(erased.value)


async def test_an_unknown_run_is_said(shop: Shop) -> None:
    async with shop.open() as app:
        with pytest.raises(FlyballError, match="there is no run r-none"):
            await app.releases.replay("r-none")


# agents ---------------------------------------------------------------------------------------------------------------
AGENT = CODE.replace(
    "    return await run.call(pay, cents=doubled)", "    return await run.agent(clerk, doubled)"
).replace(
    "@flow\n",
    "from flyball.core.agent import agent\n"
    'clerk = agent("clerk", instructions="Be kind.", tools=[look, pay], may_ask=False)\n\n@flow\n',
)


class Playing:
    """A model that looks, pays and says so."""

    scripted = True

    async def complete(self, request: ModelRequest, _: OnDelta | None = None, /) -> ModelReply:
        told = sum(m.role == "tool" for m in request.messages)
        if told == 2:
            return ModelReply(text="done")
        name, arguments = (("look", '{"n": 1}'), ("pay", '{"cents": 30}'))[told]
        return ModelReply(calls=(ToolCall(id=str(told), name=name, arguments=arguments),), stop="tool")

    async def close(self) -> None: ...


@pytest.fixture
def staffed(tmp_path: Path) -> Shop:
    permit = '@id("clerk") permit (principal == Agent::"clerk", action == Action::"pay", resource);\n'
    shop = Shop(tmp_path / "shop", code=AGENT, policy=POLICY + permit)
    shop.ports = replace(shop.ports, models={"default": Playing()}, prices=adapter("prices")(None))
    return shop


MODELS = {"default": ModelConfig(name="default", adapter="scripted")}


@pytest.mark.promise("journal-finished-agents-replay")
async def test_an_agent_that_waits_and_one_that_is_done_replay_equal(staffed: Shop) -> None:
    async with staffed.open(models=MODELS) as app:
        asked = await started(app, 4)
        assert isinstance(asked, Waiting), asked
        await equal(app, asked.run)
        await app.approvals.approve(asked.pending[0], by=FAY)
        assert isinstance(await app.runs.result(asked.run), Completed)
        assert (await equal(app, asked.run)).verdicts == 9


@pytest.mark.promise("journal-finished-agents-replay")
async def test_a_prompt_that_changed_is_found_inside_the_agent(staffed: Shop) -> None:
    async with staffed.open(models=MODELS) as app:
        asked = await started(app, 4)
        await app.approvals.approve(asked.pending[0], by=FAY)
        await app.runs.result(asked.run)
    staffed.edit("Be kind.", "Be strict.")
    async with staffed.open(models=MODELS) as app:
        (difference,) = (await app.releases.replay(asked.run)).differences
        assert "step 2.1: the log holds a model call, the code now does it with other arguments" in str(difference)
        assert (await app.releases.check(asked.run)).equal  # a driver takes the finished agent by its result
