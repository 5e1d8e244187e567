"""Agents that have others work, and hand over: governed, within the same authority, budget, taint and log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flyball import Completed, Limits, Run, Stopped, Waiting, agent, flow
from flyball.core.record import Opened
from flyball.testing import Crash, Lab, Say, propose
from flyball.testing.script import hand_back, handoff
from tests.runtime.test_flow_agents import heard, raw
from tests.runtime.test_flow_limits import long_look
from tests.runtime.till import FAY, POLICY, Drawer, gossip, lab, look, pay

cashier = agent("cashier", instructions="Pay.", about="It pays out.", tools=[pay, look, gossip], limits=Limits(steps=9))
desk = agent("desk", role="router", instructions="Serve.", tools=[cashier, look, gossip, pay], handoffs=[cashier])
counter = agent("counter", instructions="Count.", input=int, output=int, tools=[look])
auditor = agent("auditor", instructions="Audit.", tools=[counter])
PAID = [propose(pay, 5), Say("paid")]


@flow
async def served(run: Run, wish: str) -> str:
    return await run.handoff(cashier, wish)


@flow
async def helped(run: Run, wish: str) -> str:
    return await run.agent(desk, wish)


@flow
async def either(run: Run, wish: str) -> str:
    return await (run.handoff(cashier, wish) if wish == "over" else run.agent(cashier, wish))


def scripted(policies: str = POLICY, till: Drawer | None = None, **models: Any) -> Lab:
    return lab(till, policies, models={"cashier": PAID, **models})


def intents(log: Lab, kind: str) -> list[Opened]:
    return [r for r in log.records("k") if r.kind == "intent" and r.facts["action_kind"] == kind]


@pytest.mark.promise("gate-handoffs", "api-handoff")
async def test_a_handoff_is_an_action_of_its_own_and_the_next_turn_goes_there() -> None:
    log = scripted()
    done = await log.run(served, "pay", key="k")
    assert isinstance(done, Completed) and done.value == "paid"
    (handed,) = intents(log, "handoff")
    assert (handed.path, handed.facts["action"]) == ("1", "cashier")
    assert log.records("k")[-1].facts["next"] == "cashier" and (await log.verify()).ok


@pytest.mark.promise("gate-handoffs")
async def test_a_handoff_that_policy_forbids_does_nothing() -> None:
    never = '@id("never") forbid (principal, action == Action::"handoff", resource == Agent::"cashier");'
    till = Drawer()
    ended = await scripted(POLICY + never, till).run(served, "pay", key="k")
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not till.paid


@pytest.mark.promise("api-handoff")
async def test_a_model_hands_over_and_what_the_other_answers_is_the_answer() -> None:
    log = scripted(desk=[propose(look, 1), handoff(cashier, "pay 5").because("I may not")])
    done = await log.run(desk, "pay", key="k")
    assert isinstance(done, Completed) and done.value == "paid"
    (handed,) = intents(log, "handoff")
    assert handed.private is not None and handed.private["stated"] == "I may not"
    assert [r.facts["chain"] for r in intents(log, "tool")] == [["desk"], ["desk", "cashier"]]
    assert log.records("k")[-1].facts["next"] == "cashier" and (await log.replay(log.history("k"))).ok


async def test_what_an_agent_hands_over_that_did_a_part_of_a_flow_is_its_own_affair() -> None:
    log = scripted(desk=[handoff(cashier, "pay 5")])
    assert isinstance(await log.run(helped, "pay", key="k"), Completed)
    assert "next" not in log.records("k")[-1].facts


LINKS = '@id("desk-pays-nothing") forbid (principal == Agent::"desk", action == Action::"pay", resource);'


@pytest.mark.promise("gate-handoffs-gain-nothing")
@pytest.mark.parametrize("way", [handoff, propose])
async def test_another_agent_gains_nothing(way: Any) -> None:
    till = Drawer()
    log = scripted(POLICY + LINKS, till, desk=[way(cashier, "pay 5"), Say("I could not")])
    assert isinstance(await log.run(desk, "pay", key="k"), Completed) and not till.paid
    denied = [r for r in log.records("k") if r.kind == "decision"]
    assert [r.facts["policies"] for r in denied] == [["project/desk-pays-nothing"]]


@pytest.mark.promise("api-agents-as-tools")
async def test_an_agent_as_a_tool_does_a_part_and_its_answer_is_told() -> None:
    log = scripted(auditor=[propose(counter, 3), Say("it is six")], counter=[propose(look, 3), Say(6)])
    done = await log.run(auditor, "count", key="k")
    assert isinstance(done, Completed) and done.value == "it is six" and "6" in heard(log)
    assert [(r.path, r.facts["action"]) for r in intents(log, "agent")] == [("0", "auditor"), ("2", "counter")]
    assert [r.path for r in intents(log, "tool")] == ["2.2"] and "next" not in log.records("k")[-1].facts


@pytest.mark.parametrize(
    "said",
    [
        raw(("1", "handoff_to_cashier", "{}")),
        raw(("1", "cashier", '{"input": "x", "more": 1}')),
        raw(("1", "handoff_to_cashier", '{"input": "x"}'), ("2", "look", '{"n": 1}')),
    ],
)
async def test_a_handoff_that_is_none_is_repaired_and_nothing_of_it_runs(said: Any) -> None:
    log = scripted(desk=[said, Say("never mind")])
    assert isinstance(await log.run(desk, "pay", key="k"), Completed)
    assert not intents(log, "handoff") and not intents(log, "tool")


async def test_an_input_that_does_not_fit_the_other_agent_is_told_to_the_one_that_proposed_it() -> None:
    log = scripted(auditor=[raw(("1", "counter", '{"input": "three"}')), Say("I give up")])
    assert isinstance(await log.run(auditor, "count", key="k"), Completed)
    assert any("invalid_proposal" in text for text in heard(log))


async def test_what_is_handed_back_goes_to_whom_handed_over() -> None:
    log = scripted(desk=[handoff(cashier, "pay 5"), Say("nobody can")], cashier=[hand_back("I have no key")])
    done = await log.run(desk, "pay", key="k")
    assert isinstance(done, Completed) and done.value == "nobody can"
    assert any("I have no key" in text for text in heard(log)) and "next" not in log.records("k")[-1].facts


once = agent("once", instructions="x", tools=[cashier], limits=Limits(calls=1))
patient = agent("patient", instructions="x", tools=[long_look], limits=Limits(seconds=90_000))
hasty = agent("hasty", instructions="x", tools=[patient], limits=Limits(seconds=3600))


@pytest.mark.promise("api-agents-as-tools")
async def test_all_of_them_spend_one_budget() -> None:
    till = Drawer()
    log = scripted(
        till=till, once=[propose(cashier, "pay twice"), Say("done")], cashier=[propose(pay, 1), propose(pay, 2)]
    )
    await log.run(once, "pay", key="k")
    assert till.calls == ["pay"]


@pytest.mark.promise("api-agents-as-tools")
async def test_none_of_them_lasts_longer_than_the_one_that_it_works_for() -> None:
    log = scripted(hasty=[propose(patient, "look")], patient=[propose(long_look, 5), Say("late")])
    told = await log.run(hasty, "look", key="k")
    assert isinstance(told, Stopped) and told.reason == "max_seconds"
    assert [r.facts["chain"] for r in intents(log, "model")] == [["hasty"], ["hasty", "patient"]]


TAINTED = '@id("tainted") forbid (principal, action == Action::"pay", resource) when { context.run.tainted };'


@pytest.mark.promise("api-agents-as-tools")
@pytest.mark.parametrize("reads", ["desk", "cashier"])
async def test_what_one_of_them_read_taints_the_others(reads: str) -> None:
    till = Drawer()
    scripts: dict[str, list[Any]] = {
        "desk": [propose(gossip), propose(cashier, "pay"), Say("no")], "cashier": [propose(pay, 1), Say("no")],
    } if reads == "desk" else {
        "desk": [propose(cashier, "hear"), propose(pay, 1), Say("no")], "cashier": [propose(gossip), Say("heard")],
    }  # fmt: skip
    assert isinstance(await scripted(POLICY + TAINTED, till, **scripts).run(desk, "x", key="k"), Completed)
    assert not till.paid


@pytest.mark.parametrize("point", ["before", "after"])
async def test_a_crash_within_a_handoff_pays_once(point: str) -> None:
    till = Drawer()
    log = scripted(till=till, desk=[handoff(cashier, "pay 5")])
    (log.crash_before if point == "before" else log.crash_after)(pay)
    with pytest.raises(Crash):
        await log.run(desk, "pay", key="k")
    assert isinstance(await log.resume("k"), Completed) and len(till.paid) == 1
    assert log.records("k")[-1].facts["next"] == "cashier"


@flow
async def served_slowly(run: Run, wish: str) -> str:
    answer = await run.handoff(desk, wish)
    await run.sleep(timedelta(hours=1))
    return answer


async def test_who_has_the_work_is_known_again_after_a_wait() -> None:
    log = scripted(desk=[handoff(cashier, "pay 5")])
    assert isinstance(await log.run(served_slowly, "pay", key="k"), Waiting)
    await log.restart()
    await log.advance(timedelta(hours=2))
    assert isinstance(await log.resume("k"), Completed) and log.records("k")[-1].facts["next"] == "cashier"


async def test_a_handoff_in_the_place_of_a_start_is_another_step() -> None:
    log = scripted()
    log.crash_after(pay)
    with pytest.raises(Crash):
        await log.run(either, "over", key="k")
    changed = flow(name="either")(helped_instead)
    await log.restart(changed)
    ended = await log.resume("k")
    assert isinstance(ended, Stopped) and ended.reason == "replay_diverged" and "handoff cashier" in ended.detail


async def helped_instead(run: Run, wish: str) -> str:
    return await run.agent(cashier, wish)


async def test_a_stated_reason_is_recorded_and_shown_to_whom_must_approve() -> None:
    log = lab(models={"cashier": [propose(pay, 500).because("she is owed it"), Say("paid")]})
    asked = await log.run(cashier, "pay", key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].stated == "she is owed it"
    assert asked.pending[0].arguments == {"cents": 500, "memo": ""}
    assert isinstance(await log.approve(asked.pending[0], by=FAY, reason="it is so"), Completed)
    (paid,) = intents(log, "tool")
    assert (
        paid.private is not None and paid.private["stated"] == "she is owed it" and "reason" not in paid.private["args"]
    )


greeter = agent("greeter", role="router", instructions="Greet.", handoffs=[desk])


@pytest.mark.promise("api-handoff")
async def test_the_next_turn_of_a_session_goes_to_whom_the_work_was_handed() -> None:
    said: list[str] = []

    def once(text: str) -> Any:
        return lambda request: said.append(request.agent) or Say(text)

    log = lab(models={
        "greeter": [handoff(desk, "x"), once("greeter")], "desk": [handoff(cashier, "y"), once("desk")],
        "cashier": [once("cashier")],
    })  # fmt: skip
    for turn in ("1", "2"):
        done = await log.run(greeter, "hello", key=turn, session="s")
        assert isinstance(done, Completed) and done.value == "cashier"
    assert said == ["cashier", "cashier"] and log.records("2")[-1].facts["next"] == "cashier"
    handed = [(r.path, r.facts["action"], r.facts["chain"]) for r in log.records("2") if r.kind == "intent"]
    assert handed[1:3] == [("1", "desk", ["greeter"]), ("1.1", "cashier", ["greeter", "desk"])]
    assert (await log.replay(log.history("2"))).ok and (await log.verify()).ok
    other = await log.run(greeter, "hello", key="3", session="another")
    assert isinstance(other, Completed) and [r.path for r in log.records("3") if r.kind == "intent"][:2] == ["0", "1"]


@pytest.mark.promise("api-handoff")
async def test_what_is_handed_back_in_the_next_turn_goes_to_whom_was_started() -> None:
    def second(request: Any) -> Any:
        return hand_back("enough") if "again" in request.messages[1].text else Say("the desk")

    def greeting(request: Any) -> Any:
        return Say("hello again") if "again" in request.messages[1].text else handoff(desk, "hello")

    log = lab(models={"greeter": [greeting], "desk": [second]})
    assert isinstance(await log.run(greeter, "hello", key="1", session="s"), Completed)
    done = await log.run(greeter, "hello again", key="2", session="s")
    assert isinstance(done, Completed) and done.value == "hello again" and "next" not in log.records("2")[-1].facts
    assert (await log.replay(log.history("2"))).ok
