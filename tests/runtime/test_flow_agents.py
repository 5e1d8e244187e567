"""Agents: a model may only propose, and whatever it says ends in something that has a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from flyball import Call, Completed, Limits, Run, Stopped, Waiting, agent, flow, tool
from flyball.core.model import ModelError, ModelReply, ModelRequest, ToolCall
from flyball.testing import Crash, Say, propose
from flyball.testing.script import ask, hand_back
from tests.runtime.till import FAY, KIM, Drawer, gossip, look, pay, scripted


@dataclass(frozen=True)
class Sum:
    cents: int
    why: str


clerk = agent("clerk", instructions="Do what is asked.", tools=[look, pay, gossip], limits=Limits(steps=40))
teller = agent("teller", instructions="Count.", tools=[look], output=Sum)
mute = agent("mute", instructions="Say nothing.", tools=[look], may_ask=False, may_hand_back=False)


@flow
async def serving(run: Run, wish: str) -> str:
    return await run.agent(clerk, wish)


@flow
async def two_tellers(run: Run, wish: str) -> int:
    first = await run.agent(teller, wish)
    second = await run.agent(teller, wish)
    return first.cents + second.cents


def raw(*calls: tuple[str, str, str], text: str = "") -> ModelReply:
    made = tuple(ToolCall(id=i, name=n, arguments=a) for i, n, a in calls)
    return ModelReply(text=text, calls=made, stop="tool" if made else "end", model="scripted:raw")


def heard(bench: Any, run: str = "k") -> list[str]:
    """What the model was told, from the log."""
    new = [r.private["new"] for r in bench.records(run) if r.kind == "intent" and "new" in (r.private or {})]
    return [m["text"] for messages in new for m in messages]


async def test_an_agent_uses_tools_and_answers() -> None:
    bench = scripted(clerk=[propose(look, 3), Say("six")])
    done = await bench.run(clerk, "what is in it?", key="k")
    assert isinstance(done, Completed) and done.value == "six" and "6" in heard(bench)


@pytest.mark.promise("api-agents-ask-and-hand-back")
async def test_an_agent_asks_the_person_it_works_for() -> None:
    bench = scripted(clerk=[ask("How much?"), propose(pay, 7), Say("paid")])
    asked = await bench.run(clerk, "pay", key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].question == "How much?"
    assert asked.pending[0].groups == ("user:kim",)
    done = await bench.answer(asked.pending[0], "seven", by=KIM)
    assert isinstance(done, Completed) and any("seven" in text for text in heard(bench)) and (await bench.verify()).ok


@pytest.mark.promise("api-agents-ask-and-hand-back")
@pytest.mark.parametrize("arguments", ["{}", '{"question": " "}', '{"question": 5}', '{"q": "How much?"}'])
async def test_nobody_is_asked_a_question_that_asks_nothing(arguments: str) -> None:
    bench = scripted(clerk=[raw(("1", "ask", arguments)), Say("never mind")])
    done = await bench.run(clerk, "pay", key="k")
    assert isinstance(done, Completed) and any("ask needs" in text for text in heard(bench))


@tool(effect="read", name="ask")
async def own_ask(call: Call, topic: str) -> str:
    """Ask an oracle."""
    return f"{topic}: yes"


async def test_a_tool_of_the_project_that_is_called_ask_is_the_one_that_is_asked() -> None:
    pilgrim = agent("pilgrim", instructions="Ask.", tools=[own_ask])
    bench = scripted(pilgrim=[raw(("1", "ask", '{"topic": "rain"}')), Say("it rains")])
    done = await bench.run(pilgrim, "go", key="k")
    assert isinstance(done, Completed) and any("rain: yes" in text for text in heard(bench))


@pytest.mark.promise("api-agents-ask-and-hand-back")
async def test_an_agent_hands_the_task_back() -> None:
    bench = scripted(clerk=[hand_back("I do not dare")])
    ended = await bench.run(serving, "pay", key="k")
    assert isinstance(ended, Stopped) and ended.reason == "handed_back" and "dare" in ended.detail
    assert (await bench.verify()).ok


@pytest.mark.promise("gate-ends-have-names")
async def test_the_same_proposal_with_the_same_result_is_a_loop() -> None:
    till = Drawer()
    ended = await scripted(till, clerk=[propose(look, 1)] * 20).run(clerk, "look")
    assert isinstance(ended, Stopped) and ended.reason == "loop_detected" and len(till.calls) == 3


@pytest.mark.promise("api-repair-is-bounded")
async def test_an_answer_that_does_not_fit_is_asked_for_again() -> None:
    bench = scripted(teller=[Say("five"), Say('{"cents": "five"}'), Say(Sum(5, "counted"))])
    done = await bench.run(teller, "count")
    assert isinstance(done, Completed) and done.value == Sum(5, "counted")


@pytest.mark.promise("gate-duplicate-keys-refused", "api-repair-is-bounded")
@pytest.mark.parametrize("said", ['{"cents": 5, "cents": 9, "why": "x"}', '{"cents": NaN, "why": "x"}', "[" * 9_000])
async def test_an_answer_is_read_as_strictly_as_arguments_are(said: str) -> None:
    bench = scripted(teller=[Say(said), Say(Sum(5, "counted"))])
    done = await bench.run(teller, "count", key="k")
    assert isinstance(done, Completed) and done.value == Sum(5, "counted")
    assert sum("does not fit its schema" in text for text in heard(bench)) == 1


chooser = agent("chooser", instructions="Choose.", tools=[look], output=Literal["left", "right"])


@pytest.mark.parametrize("said", ["left", '"left"', " left\n"])
async def test_a_choice_in_words_needs_no_quotes(said: str) -> None:
    done = await scripted(chooser=[Say("straight on"), Say(said)]).run(chooser, "where?")
    assert isinstance(done, Completed) and done.value == "left"


@pytest.mark.promise("api-repair-is-bounded")
async def test_an_answer_that_never_fits_is_no_answer() -> None:
    ended = await scripted(teller=[Say("five")] * 9).run(teller, "count")
    assert isinstance(ended, Stopped) and ended.reason == "invalid_proposal"


BROKEN: dict[str, Callable[[], ModelReply]] = {
    "invalid JSON": lambda: raw(("1", "pay", '{"cents": 5')),
    "no object": lambda: raw(("1", "pay", "[5]")),
    "duplicate keys": lambda: raw(("1", "pay", '{"cents": 5, "cents": 6}')),
    "NaN": lambda: raw(("1", "pay", '{"cents": NaN}')),
    "an unknown tool": lambda: raw(("1", "pya", '{"cents": 5}')),
    "two calls with one id": lambda: raw(("1", "look", '{"n": 1}'), ("1", "pay", '{"cents": 5}')),
    "nothing": raw,
}


@pytest.mark.promise("api-agents-propose")
@pytest.mark.promise("gate-action-is-registered", case="an unknown tool")
@pytest.mark.promise("gate-duplicate-keys-refused", case="duplicate keys")
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_reply_that_cannot_be_used_runs_nothing_and_is_repaired(broken: str) -> None:
    till = Drawer()
    bench = scripted(till, clerk=[BROKEN[broken](), Say("sorry")])
    done = await bench.run(clerk, "pay", key="k")
    assert isinstance(done, Completed) and done.value == "sorry" and not till.calls and (await bench.verify()).ok


@pytest.mark.promise("api-repair-is-bounded")
@pytest.mark.parametrize("broken", BROKEN)
async def test_a_model_that_stays_unusable_ends_its_run(broken: str) -> None:
    till = Drawer()
    bench = scripted(till, clerk=[BROKEN[broken]()] * 9)
    ended = await bench.run(clerk, "pay")
    assert isinstance(ended, Stopped) and ended.reason == "invalid_proposal" and not till.calls


@pytest.mark.promise("api-agents-propose")
async def test_arguments_that_do_not_fit_are_refused_and_the_model_is_told() -> None:
    till = Drawer()
    bench = scripted(till, clerk=[raw(("1", "pay", '{"cents": "five"}')), raw(("2", "pay", '{"coins": 5}')), Say("no")])
    assert isinstance(await bench.run(clerk, "pay", key="k"), Completed) and not till.calls
    assert sum("invalid_proposal" in text for text in heard(bench)) == 2


@pytest.mark.promise("api-agents-propose")
async def test_a_denied_proposal_is_told_to_the_model_and_does_nothing() -> None:
    till = Drawer()
    bench = scripted(till, clerk=[propose(pay, 200_000), Say("I was not allowed to")])
    assert isinstance(await bench.run(clerk, "pay", key="k"), Completed) and not till.calls
    assert any("policy_denied" in text for text in heard(bench))


@pytest.mark.promise("api-agents-ask-and-hand-back")
async def test_an_agent_without_the_means_to_ask_has_none() -> None:
    bench = scripted(mute=[ask("How much?"), Say("nothing")])
    done = await bench.run(mute, "pay")
    assert isinstance(done, Completed) and done.value == "nothing"


async def test_proposals_of_one_reply_are_judged_together_and_asked_at_once() -> None:
    till = Drawer()
    bench = scripted(till, clerk=[[propose(pay, 200), propose(pay, 300), propose(look, 1)], Say("paid")])
    asked = await bench.run(clerk, "pay both")
    assert isinstance(asked, Waiting) and len(asked.pending) == 2 and till.calls == ["look"]
    await bench.approve(asked.pending[0], by=FAY)
    done = await bench.approve(asked.pending[1], by=FAY)
    assert isinstance(done, Completed) and sorted(till.paid.values()) == [200, 300]


async def test_a_model_that_fails_for_a_moment_is_asked_again() -> None:
    busy = ModelError("rate_limited", "busy", sent=True, retry_after_ms=90_000)
    done = await scripted(clerk=[busy, Say("hello")]).run(clerk, "hi")
    assert isinstance(done, Completed) and done.value == "hello"


async def test_a_model_that_cannot_be_reached_ends_the_run() -> None:
    gone = ModelError("auth", "no key", sent=True)
    ended = await scripted(clerk=[gone] * 9).run(clerk, "hi")
    assert isinstance(ended, Stopped) and not ended.ok


@pytest.mark.promise("journal-model-calls-are-actions")
@pytest.mark.parametrize("point", ["T1", "effect", "T2", "done"])
async def test_a_crash_around_a_model_call_changes_nothing_of_what_comes_of_it(point: str) -> None:
    till = Drawer()
    bench = scripted(till, clerk=[propose(look, 3), propose(pay, 6), Say("done")])
    bench.crash_at(point, "model")
    with pytest.raises(Crash):
        await bench.run(serving, "pay what is in it", key="k")
    done = await bench.resume("k")
    assert isinstance(done, Completed) and till.calls == ["look", "pay"] and (await bench.verify()).ok


async def test_an_agent_that_is_started_again_goes_on_in_its_script() -> None:
    bench = scripted(teller=[Say(Sum(5, "first")), propose(look, 1), Say(Sum(7, "second"))])
    done = await bench.run(two_tellers, "count")
    assert isinstance(done, Completed) and done.value == 12


async def test_a_script_can_look_at_what_it_is_asked() -> None:
    def echo(request: ModelRequest) -> Say[str]:
        return Say(request.messages[-1].text.upper())

    done = await scripted(clerk=[echo]).run(clerk, "hello")
    assert isinstance(done, Completed) and done.value == "HELLO"


async def test_a_script_that_is_at_its_end_says_so() -> None:
    ended = await scripted(clerk=[propose(look, 1)]).run(clerk, "look")
    assert isinstance(ended, Stopped) and "answer 2" in ended.detail


@pytest.mark.promise("journal-a-step-stores-what-is-new")
async def test_what_a_model_was_told_is_recorded_once_however_long_the_conversation() -> None:
    turns = 12
    bench = scripted(clerk=[*[propose(look, n) for n in range(turns)], Say("done")])
    assert isinstance(await bench.run(clerk, "look often", key="k"), Completed)
    told = heard(bench)
    assert told.count("look often") == 1 and [told.count(str(2 * n)) for n in range(1, turns)] == [1] * (turns - 1)
