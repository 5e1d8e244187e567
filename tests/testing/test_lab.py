"""The Lab keeps what it promises: nothing real is reached, time stands still, crashes lose what was not durable."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import flyball.testing as kit
from flyball import Completed, Executed, Failed, FlyballError, Limits, Run, Stopped, Waiting, agent, flow
from flyball.core.config import Approvals, Config
from flyball.testing import Crash, Lab, Say, Verdict, no_models, propose
from tests.runtime.till import FAY, KIM, NOOR, POLICY, READS, Drawer, drawer, lab, look, pay, ring, scripted

helper = agent("helper", instructions="Help.", tools=[look])


@flow
async def buying(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@flow
async def both(run: Run, cents: int) -> list[str]:
    return list(await run.gather(run.call(ring, 1), run.call(pay, cents)))


@flow
async def dials(run: Run, host: str) -> str:
    with socket.socket() as line:
        line.connect((host, 9))
    return "connected"


@flow
async def helping(run: Run, wish: str) -> str:
    return await run.agent(helper, wish)


@pytest.mark.promise("api-exports")
def test_the_public_names_are_these() -> None:
    assert set(kit.__all__) == {"Crash", "Lab", "Say", "Verdict", "no_models", "policy_cases", "propose"}
    assert all(getattr(kit, name) is not None for name in kit.__all__)
    with pytest.raises(AttributeError):
        kit.Nothing  # noqa: B018


@pytest.mark.promise("gate-starter")
async def test_without_policies_the_starter_applies() -> None:
    bench = Lab(resources=[drawer.use(Drawer())])
    asked = await bench.run(buying, 5)
    assert isinstance(asked, Waiting) and asked.pending[0].groups == ("owner",)


async def test_policies_can_be_a_text_a_directory_or_replaced(tmp_path: Any) -> None:
    (tmp_path / "till.cedar").write_text(READS)
    till = Drawer()
    bench = Lab(policies=tmp_path, resources=[drawer.use(till)])
    assert isinstance(await bench.run(buying, 5), Stopped)
    await bench.activate(POLICY)
    assert isinstance(await bench.run(buying, 5), Completed) and list(till.paid.values()) == [5]


async def test_a_policy_with_a_mistake_is_refused() -> None:
    with pytest.raises(FlyballError, match="cent"):
        await lab(policies=POLICY.replace("input.cents > 100 ", "input.cent > 100 ")).run(buying, 5)


async def test_effects_are_what_was_done_and_no_more() -> None:
    bench = lab()
    await bench.run(both, 200, key="k")
    assert [(e.action, e.arguments) for e in bench.effects] == [("ring", {"times": 1})]
    assert bench.effects[0].value == "rang 1" and bench.effects[0].path == "1"


async def test_records_are_those_of_a_run_or_of_everything() -> None:
    bench = lab()
    done = await bench.run(buying, 5, key="k")
    await bench.run(buying, 6, key="l")
    assert bench.records("k") == bench.records(done.run) and len(bench.records()) > len(bench.records("k"))
    assert {r.run for r in bench.records("k")} == {done.run}


async def test_other_people_of_another_tenant_have_their_own_log() -> None:
    bench = lab()
    ann = type(KIM)("user:ann", tenant="acme")
    done = await bench.run(buying, 5, by=ann, key="k")
    assert isinstance(done, Completed) and [e.run for e in bench.effects] == [done.run]
    assert (await bench.verify(tenant="acme")).ok


@pytest.mark.promise("journal-t1-before-the-effect", "api-lab-crashes")
async def test_a_crash_loses_what_was_not_durable_and_nothing_else() -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_before(pay)
    with pytest.raises(Crash, match="effect of pay"):
        await bench.run(buying, 5, key="k")
    assert not till.paid and [r.kind for r in bench.records("k")][-1] == "intent"
    assert isinstance(await bench.resume("k"), Completed) and (await bench.verify()).ok


async def test_a_crash_of_one_branch_is_a_crash_of_the_process() -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_after(ring)
    with pytest.raises(Crash):
        await bench.run(both, 5, key="k")
    asked = await bench.resume("k")
    assert isinstance(asked, Waiting) and [p.kind for p in asked.pending] == ["unknown"]
    assert till.calls.count("ring") == 1


@pytest.mark.promise("api-lab-crashes")
async def test_a_crash_happens_once() -> None:
    bench = lab()
    bench.crash_after(pay)
    with pytest.raises(Crash):
        await bench.run(buying, 5, key="k")
    assert isinstance(await bench.run(buying, 5, key="k"), Completed)
    assert isinstance(await bench.run(buying, 5, key="l"), Completed)


async def test_time_passing_can_meet_a_crash() -> None:
    bench = lab()
    await bench.run(buying, 200, key="k")
    bench.crash_at("expired")
    with pytest.raises(Crash):
        await bench.advance(timedelta(hours=49))
    ended = await bench.resume("k")
    assert isinstance(ended, Stopped) and ended.reason == "approval_expired"


def test_an_unknown_point_is_refused() -> None:
    with pytest.raises(FlyballError, match="no point"):
        lab().crash_at("T3")


@pytest.mark.promise("api-lab-is-closed")
async def test_another_machine_is_not_reached() -> None:
    ended = await lab().run(dials, "192.0.2.1")
    assert isinstance(ended, Stopped) and "a test connects to 192.0.2.1" in ended.detail


@pytest.mark.promise("api-lab-is-closed")
def test_no_name_is_looked_up_and_no_packet_sent_without_a_connection() -> None:
    kept = socket.getaddrinfo
    with no_models(), socket.socket(type=socket.SOCK_DGRAM) as line:
        leaving: list[Callable[[], Any]] = [
            lambda: socket.getaddrinfo("example.org", 443), lambda: socket.getaddrinfo(b"example.org", 443),
            lambda: line.sendto(b"x", ("192.0.2.1", 9)), lambda: line.sendto(b"x", 0, ("192.0.2.1", 9)),
        ]  # fmt: skip
        for leave in leaving:
            with pytest.raises(FlyballError, match="a test connects to"):
                leave()
        assert socket.getaddrinfo("localhost", 9) and socket.getaddrinfo("0.0.0.0", 9) and socket.getaddrinfo(None, 9)
        assert line.sendto(b"x", ("127.0.0.1", 9)) == 1
    assert socket.getaddrinfo is kept and "sendto" not in vars(socket.socket)


async def test_this_machine_is_reached() -> None:
    ended = await lab().run(dials, "127.0.0.1")
    assert isinstance(ended, Stopped) and "ConnectionRefused" in ended.detail


@pytest.mark.promise("api-lab-is-closed")
@pytest.mark.parametrize("name", ["openai", "anthropic", "gemini"])
async def test_a_real_model_is_not_asked(name: str) -> None:
    from flyball.app.plugs import adapter
    from flyball.core.model import Message, ModelConfig, ModelRequest

    request = ModelRequest(model="m", messages=(Message(role="user", text="hi"),))
    port = adapter(f"model.{name}")(ModelConfig(name="m", model="m", base_url="http://127.0.0.1:9"), None)
    with no_models(), no_models(), pytest.raises(FlyballError, match="asked the real model"):
        await port.complete(request)
    await port.close()


def test_no_models_ends_with_its_block() -> None:
    kept = socket.socket.connect
    with no_models(), pytest.raises(FlyballError), socket.socket() as line:
        line.connect_ex(("example.org", 80))
    assert socket.socket.connect is kept and "connect" not in vars(socket.socket)


async def test_an_agent_without_answers_says_which() -> None:
    ended = await lab().run(helping, "help")
    assert isinstance(ended, Stopped) and "no answers for agent helper" in ended.detail


async def test_each_run_plays_the_answers_from_their_start() -> None:
    bench = scripted(helper=[propose(look, 1), Say("two")])
    first, second = await bench.run(helping, "a"), await bench.run(helping, "b")
    assert isinstance(first, Completed) and isinstance(second, Completed) and first.value == second.value == "two"


async def test_runs_can_go_side_by_side() -> None:
    till = Drawer()
    bench = lab(till)
    done = await asyncio.gather(*(bench.run(buying, n, key=str(n)) for n in range(1, 9)))
    assert all(isinstance(d, Completed) for d in done) and sorted(till.paid.values()) == list(range(1, 9))


def test_a_lab_outlives_the_loop_of_one_call() -> None:
    till = Drawer()
    bench = lab(till)
    with asyncio.Runner() as runner:
        asked = runner.run(bench.run(buying, 200, key="k"))
    assert isinstance(asked, Waiting)
    with asyncio.Runner() as runner:
        assert isinstance(runner.run(bench.approve(asked.pending[0], by=FAY)), Completed)
    assert list(till.paid.values()) == [200]


async def test_a_lab_can_be_closed_and_used_again() -> None:
    async with lab() as bench:
        assert isinstance(await bench.run(buying, 5, key="k"), Completed)
    assert isinstance(await bench.resume("k"), Completed)


async def test_one_action_is_governed_without_a_flow() -> None:
    bench = lab()
    told = await bench.act(pay, {"cents": 5}, call_id="1")
    waits = await bench.act(pay, {"cents": 500}, call_id="2")
    assert isinstance(told, Executed) and told.value == "paid 5" and not isinstance(waits, Executed | Failed)


async def test_limits_and_expiries_are_those_of_the_configuration() -> None:
    config = Config.bare("till", "/nowhere", home="/nowhere")
    hour = Approvals(expires_ms=3_600_000)
    from msgspec.structs import replace

    bench = lab(config=replace(config, approvals=hour))
    await bench.run(buying, 200, key="k", limits=Limits(calls=9))
    await bench.advance(timedelta(minutes=61))
    ended = await bench.resume("k")
    assert isinstance(ended, Stopped) and ended.reason == "approval_expired"


async def test_another_persons_word_counts() -> None:
    bench = lab()
    asked = await bench.run(buying, 200, by=NOOR)
    assert isinstance(asked, Waiting)
    with pytest.raises(FlyballError):
        await bench.approve(asked.pending[0], by=NOOR)
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)


def test_the_fixture_makes_labs_of_the_tests_own_module(lab: Callable[..., Lab]) -> None:
    made: Lab = lab(policies=POLICY, by=KIM, resources=[drawer.use(Drawer())])
    verdict: Verdict = made.decide(pay, cents=5)
    assert verdict.outcome == "allow" and verdict.because == ("acts",) and verdict.arguments == {"cents": 5, "memo": ""}


@pytest.mark.promise("api-lab-is-closed")
def test_the_fixture_refuses_models_while_a_test_runs(no_models: None) -> None:
    with pytest.raises(FlyballError, match="reach no model"), socket.socket() as line:
        line.connect(("192.0.2.1", 9))


async def test_a_lab_without_any_value_says_what_it_needs() -> None:
    with pytest.raises(FlyballError, match="does not know its project"):
        await lab().verify()
