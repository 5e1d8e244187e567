"""Guards on the path: what they redact is nowhere, what they block does not happen, what fails is as configured."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from flyball import (
    Blocked,
    Call,
    Completed,
    Executed,
    Failed,
    Pending,
    Principal,
    Run,
    Stopped,
    Waiting,
    agent,
    flow,
    tool,
)
from flyball.app.replaying import replay
from flyball.core.config import Config
from flyball.core.guard import Edit, GuardConfig, Subject, Verdict
from flyball.core.model import ModelReply, ModelRequest
from flyball.testing import Crash, Lab, Say, propose
from flyball.testing.script import LabModel

ME = sys.modules[__name__]
KIM, FAY = Principal("user:kim"), Principal("user:fay", groups=frozenset({"owner"}))
PERMIT = '@id("all") permit (principal, action, resource);'
MAIL, CARD = "pat@example.com", "4111 1111 1111 1111"
EVERYWHERE = ("input", "context", "tool_args", "tool_output", "final_output")


@tool(effect="reversible")
async def note(call: Call, text: str) -> str:
    """Keep a note."""
    SEEN.append(text)
    return f"kept: {text}"


@tool(effect="read")
async def look(call: Call, name: str) -> dict[str, str]:
    """Look somebody up."""
    return {"name": name, "mail": MAIL}


@tool(effect="read")
async def broken(call: Call) -> str:
    """Fails, and says whom it could not reach."""
    raise ValueError(f"no answer from {MAIL}")


SEEN: list[str] = []
clerk = agent("clerk", instructions="Help.", tools=[note, look])


@flow
async def noting(run: Run, text: str) -> str:
    return await run.call(note, text)


@flow
async def helping(run: Run, wish: str) -> str:
    return await run.agent(clerk, wish)


@flow
async def looking(run: Run, name: str) -> str:
    return (await run.call(look, name))["name"]


@flow
async def telling(run: Run, name: str) -> str:
    return f"{name} is at {'pat'}@example.com"


@flow
async def failing(run: Run, _: str) -> str:
    told = await run.attempt(broken)
    return told.message if isinstance(told, Failed) else "fine"


class Says:
    """A guard that answers what it is told to, and remembers what it was shown."""

    version, local = "says@1", False

    def __init__(self, answer: Any = Verdict(), do: Callable[[], Awaitable[Any]] | None = None) -> None:
        self.answer, self.do, self.shown = answer, do, list[Subject]()

    async def check(self, subject: Subject) -> Verdict:
        self.shown.append(subject)
        if self.do is not None:
            return await self.do()  # type: ignore[no-any-return]
        return self.answer  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Nothing is open."""


def lab(policies: str = PERMIT, guard: Any = None, models: Any = None, **more: Any) -> Lab:
    SEEN.clear()
    config = GuardConfig(**{"name": "pii", "stages": EVERYWHERE, "timeout_ms": 30, **more})
    made = msgspec.structs.replace(Config.bare("lab", "/nowhere", home="/nowhere"), guards={"pii": config})
    return Lab(
        policies=policies, by=KIM, config=made, guards={"pii": guard} if guard else {}, models=models, project=[ME]
    )


def kept(bench: Lab) -> str:
    return json.dumps([(r.facts, r.private) for r in bench.records()], default=str)


def looks(bench: Lab, kind: str = "intent") -> list[dict[str, Any]]:
    return [one for r in bench.records() if r.kind == kind for one in r.facts.get("guards", ())]


async def replayed(bench: Lab, run: str) -> list[str]:
    app = await bench._bench.ready()
    found = await replay(app.rooms, KIM.tenant, run)
    assert found.folded
    return [str(d) for d in found.differences]


# redaction ------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-guards")
async def test_what_is_redacted_is_in_no_record_and_reaches_no_tool() -> None:
    bench = lab()
    told = await bench.act(note, {"text": f"write to {MAIL}"}, call_id="1")
    assert isinstance(told, Executed) and told.value == "kept: write to [email]"
    assert SEEN == ["write to [email]"] and MAIL not in kept(bench)


@pytest.mark.promise("gate-guards")
async def test_what_a_model_proposes_is_redacted_before_its_reply_is_kept() -> None:
    bench = lab(models={"clerk": [propose(note, text=f"card {CARD}"), Say(f"done, {MAIL}")]})
    done = await bench.run(clerk, f"please, for {MAIL}")
    assert isinstance(done, Completed) and done.value == "done, [email]"
    assert SEEN == ["card [card]"] and MAIL not in kept(bench) and CARD not in kept(bench)
    assert await replayed(bench, done.run) == []


async def test_a_model_is_shown_what_was_redacted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ModelRequest] = []
    complete = LabModel.complete

    async def watched(self: LabModel, request: ModelRequest) -> ModelReply:
        asked.append(request)
        return await complete(self, request)

    monkeypatch.setattr(LabModel, "complete", watched)
    bench = lab(models={"clerk": [propose(look, name="Pat"), Say("known")]}, stages=("context",))
    done = await bench.run(helping, f"who is {MAIL}?")
    assert isinstance(done, Completed)
    texts = {m.role: m.text for m in asked[-1].messages}
    assert MAIL in texts["user"] and json.loads(texts["tool"]) == {"name": "Pat", "mail": "[email]"}
    assert await replayed(bench, done.run) == []


async def test_a_reply_in_the_provider_s_own_form_goes_where_a_part_of_it_was_redacted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    complete = LabModel.complete

    async def signed(self: LabModel, request: ModelRequest) -> ModelReply:
        return msgspec.structs.replace(await complete(self, request), echo=f"signed: {MAIL}")

    monkeypatch.setattr(LabModel, "complete", signed)
    bench = lab(models={"clerk": [propose(note, text=f"to {MAIL}"), Say(f"done, {MAIL}")]})
    assert isinstance(await bench.run(clerk, "go"), Completed) and MAIL not in kept(bench)


async def test_a_result_is_redacted_before_anybody_has_it() -> None:
    bench = lab(stages=("tool_output",))
    told = await bench.act(look, {"name": "Pat"}, call_id="1")
    assert isinstance(told, Executed) and told.value == {"name": "Pat", "mail": "[email]"}
    assert MAIL not in kept(bench)
    [one] = looks(bench, "outcome")
    assert (one["verdict"], one["enforced"], one["score"], one["reason"]) == ("redact", "redact", 900, "email")


@pytest.mark.promise("gate-guard-replay")
async def test_a_replay_comes_to_what_guards_left_of_an_output() -> None:
    bench = lab(stages=("final_output",))
    done = await bench.run(telling, "Pat")
    assert isinstance(done, Completed) and done.value == "Pat is at [email]"
    assert MAIL not in kept(bench) and await replayed(bench, done.run) == []


async def test_what_a_tool_says_of_its_failure_is_redacted() -> None:
    done = await lab(stages=("tool_output",)).run(failing, "x")
    assert isinstance(done, Completed) and done.value == "ValueError: no answer from [email]"


async def test_a_number_cannot_be_redacted_and_so_is_blocked() -> None:
    @tool(effect="read")
    async def pay(call: Call, card: int) -> str:
        return "paid"

    told = await lab().act(pay, {"card": 4111111111111111}, call_id="1")
    assert isinstance(told, Blocked) and told.reason == "guard_blocked"


async def test_what_a_run_goes_on_with_after_a_crash_is_what_guards_left() -> None:
    guard = Says(Verdict(action="redact", score=900, edits=(Edit(passage=0, start=0, end=3, text="[x]"),)))
    bench = lab(stages=("input",), guard=guard)
    bench.crash_before(look)
    with pytest.raises(Crash):
        await bench.run(looking, "abcdef", key="k")
    guard.answer = Verdict()
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "[x]def"
    assert await replayed(bench, done.run) == []


# what blocks and escalates --------------------------------------------------------------------------------------------
async def test_what_is_blocked_does_not_happen_and_ends_the_run() -> None:
    bench = lab(settings={"action": "block"})
    done = await bench.run(noting, f"to {MAIL}")
    assert isinstance(done, Stopped) and done.reason == "guard_blocked" and SEEN == []
    [one] = looks(bench, "decision")
    assert (one["guard"], one["verdict"], one["enforced"]) == ("pii", "block", "block")
    assert await replayed(bench, done.run) == []


async def test_a_result_that_is_blocked_happened_and_is_handed_to_nobody() -> None:
    bench = lab(stages=("tool_output",), settings={"action": "block"})
    told = await bench.act(look, {"name": "Pat"}, call_id="1")
    assert isinstance(told, Failed) and told.reason == "guard_blocked"
    [outcome] = [r for r in bench.records() if r.kind == "outcome"]
    assert outcome.facts["status"] == "executed" and outcome.facts["result_invalid"] and MAIL not in kept(bench)


@pytest.mark.promise("gate-guard-escalation-is-an-approval")
async def test_an_escalation_is_decided_by_its_group() -> None:
    bench = lab(stages=("tool_args",), settings={"action": "escalate"})
    asked = await bench.run(noting, f"to {MAIL}")
    assert isinstance(asked, Waiting)
    [pending] = asked.pending
    assert (pending.groups, pending.because) == (("owner",), ("guard:pii",)) and SEEN == []
    done = await bench.approve(pending, by=FAY)
    assert isinstance(done, Completed) and [f"to {MAIL}"] == SEEN
    assert await replayed(bench, done.run) == []
    assert (await bench.verify()).ok


BY_STRICTNESS = {
    ("pass", "redact"): "executed", ("redact", "escalate"): "waiting", ("escalate", "redact"): "waiting",
    ("escalate", "block"): "blocked", ("block", "redact"): "blocked",
}  # fmt: skip


@pytest.mark.promise("gate-guard-strictest-wins")
@pytest.mark.parametrize("said", BY_STRICTNESS, ids="-".join)
async def test_of_several_answers_the_strictest_is_enforced(said: tuple[str, str]) -> None:
    edits = (Edit(passage=0, start=0, end=1, text="#"),)
    guards = {n: Says(Verdict(action=each, edits=edits)) for n, each in zip("ab", said, strict=True)}  # type: ignore[arg-type]
    configs = {n: GuardConfig(name=n, stages=("tool_args",)) for n in guards}
    made = msgspec.structs.replace(Config.bare("lab", "/x", home="/x"), guards=configs)
    told = await Lab(policies=PERMIT, by=KIM, config=made, guards=guards).act(note, {"text": "hello"}, call_id="1")
    ends = {Executed: "executed", Pending: "waiting", Blocked: "blocked"}
    assert ends[type(told)] == BY_STRICTNESS[said]  # type: ignore[index]


async def test_a_result_cannot_be_escalated_and_is_withheld() -> None:
    bench = lab(stages=("tool_output",), settings={"action": "escalate"})
    told = await bench.act(look, {"name": "Pat"}, call_id="1")
    assert isinstance(told, Failed)
    [one] = looks(bench, "outcome")
    assert (one["verdict"], one["enforced"]) == ("escalate", "block")


async def test_in_shadow_a_guard_is_recorded_and_nothing_is_enforced() -> None:
    bench = lab(mode="shadow", settings={"action": "block"})
    told = await bench.act(note, {"text": MAIL}, call_id="1")
    assert isinstance(told, Executed) and SEEN == [MAIL]
    [one] = looks(bench)
    assert (one["verdict"], one["enforced"], one["score"]) == ("block", "pass", 900)


# guards that fail -----------------------------------------------------------------------------------------------------
async def hangs() -> Any:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue_ = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.05, continue_.set_result, None)
            await continue_
            raise


async def raises() -> Any:
    raise OSError("no route")


async def leaves() -> Any:
    raise SystemExit(1)


FAILING = {
    "timeout": Says(do=hangs), "OSError": Says(do=raises), "RuntimeError": Says(do=leaves),
    "it answered NoneType": Says(None), "its action is none": Says(Verdict(action="maybe")),  # type: ignore[arg-type]
    "an edit lies outside its passage": Says(Verdict(action="redact", edits=(Edit(passage=0, start=0, end=99),))),
}  # fmt: skip


@pytest.mark.promise("gate-guard-fail-modes")
@pytest.mark.parametrize("why", FAILING)
async def test_a_guard_that_fails_blocks_where_it_is_closed(why: str) -> None:
    bench = lab(guard=FAILING[why], stages=("tool_args",))
    told = await bench.act(note, {"text": "hello"}, call_id="1")
    assert isinstance(told, Blocked) and told.reason == "guard_blocked" and SEEN == []
    [one] = looks(bench, "decision")
    assert (one["verdict"], one["enforced"], one["failed"]) == ("failed", "block", why)


@pytest.mark.promise("gate-guard-fail-modes")
@pytest.mark.parametrize("why", FAILING)
async def test_a_guard_that_fails_lets_pass_where_it_is_open(why: str) -> None:
    bench = lab(guard=FAILING[why], stages=("tool_args",), on_error="open")
    assert isinstance(await bench.act(note, {"text": "hello"}, call_id="1"), Executed) and SEEN == ["hello"]
    [one] = looks(bench)
    assert (one["verdict"], one["enforced"], one["failed"]) == ("failed", "pass", why)


# guards and policy ----------------------------------------------------------------------------------------------------
SCORED = (
    PERMIT
    + '@id("sure") forbid (principal, action == Action::"note", resource) when { context.guard.pii.score > 500 };'
)


@pytest.mark.promise("gate-guard-scores-are-signals")
async def test_a_policy_reads_the_score_of_a_guard() -> None:
    bench = lab(SCORED, mode="shadow")
    told = await bench.act(note, {"text": MAIL}, call_id="1")
    assert isinstance(told, Blocked) and told.policies == ("project/sure",)
    assert isinstance(await bench.act(note, {"text": "nobody"}, call_id="2"), Executed)


@pytest.mark.promise("gate-guard-scores-are-signals")
async def test_what_was_redacted_before_it_was_proposed_still_scores() -> None:
    bench = lab(SCORED, models={"clerk": [propose(note, text=f"card {CARD}"), Say("done")]})
    done = await bench.run(clerk, "go")
    assert isinstance(done, Completed) and SEEN == []
    [denied] = [r for r in bench.records() if r.kind == "decision"]
    assert denied.facts["policies"] == ["project/sure"] and await replayed(bench, done.run) == []


async def test_a_score_still_counts_when_an_approval_is_used() -> None:
    ask = PERMIT + (
        '@id("ask") @require_approval("owner") forbid (principal, action == Action::"note", resource)'
        ' when { context.guard.pii.verdict == "redact" } unless { context.approvals.contains("owner") };'
    )
    bench = lab(ask, stages=("tool_args",))
    asked = await bench.run(noting, f"to {MAIL}")
    assert isinstance(asked, Waiting) and asked.pending[0].arguments == {"text": "to [email]"}
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and SEEN == ["to [email]"]
    used = [r for r in bench.records() if r.kind == "intent" and r.facts["action"] == "note"]
    assert used[0].facts["approval"] and used[0].facts["cures"] == ["project/owner"]


async def test_a_guard_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(Exception, match=r"context\.guard\.pi .*pii"):
        await lab(SCORED.replace("guard.pii", "guard.pi")).act(note, {"text": "x"}, call_id="1")


@pytest.mark.promise("gate-guard-after-first-pass")
async def test_what_policy_denies_is_shown_to_no_guard_elsewhere_and_recorded_redacted() -> None:
    elsewhere = Says()
    here = GuardConfig(name="here", stages=("tool_args",))
    config = GuardConfig(name="pii", stages=("tool_args",))
    made = msgspec.structs.replace(Config.bare("lab", "/x", home="/x"), guards={"pii": config, "here": here})
    deny = '@id("reads") permit (principal, action in [Action::"read", Action::"flow"], resource);'
    bench = Lab(policies=deny, by=KIM, config=made, guards={"pii": elsewhere}, project=[ME])
    done = await bench.run(noting, f"to {MAIL}")
    assert isinstance(done, Stopped) and done.reason == "policy_denied" and elsewhere.shown == []
    [denied] = [r for r in bench.records() if r.kind == "decision"]
    assert denied.private is not None and denied.private["args"] == {"text": "to [email]"}


async def test_what_policy_denied_is_not_allowed_because_a_part_of_it_was_redacted() -> None:
    when = 'when { context.input.text like "*@*" };'
    deny = PERMIT + '@id("no-mail") forbid (principal, action == Action::"note", resource)' + when
    bench = lab(deny, stages=("tool_args",))
    done = await bench.run(noting, f"to {MAIL}")
    assert isinstance(done, Stopped) and done.reason == "policy_denied" and SEEN == []
    assert await replayed(bench, done.run) == []


async def test_guards_elsewhere_are_shown_what_guards_here_left() -> None:
    elsewhere = Says()
    guards = {
        "pii": GuardConfig(name="pii", stages=("tool_args",)),
        "here": GuardConfig(name="here", stages=("tool_args",)),
    }
    made = msgspec.structs.replace(Config.bare("lab", "/x", home="/x"), guards=guards)
    bench = Lab(policies=PERMIT, by=KIM, config=made, guards={"pii": elsewhere}, project=[ME])
    await bench.run(noting, f"to {MAIL}")
    assert [s.passages for s in elsewhere.shown] == [("to [email]",)]


async def test_only_the_tools_that_are_named_are_looked_at() -> None:
    bench = lab(tools=("look",), stages=("tool_args", "tool_output"))
    assert isinstance(await bench.act(note, {"text": MAIL}, call_id="1"), Executed) and SEEN == [MAIL]
    assert looks(bench) == [] and looks(bench, "outcome") == []


async def test_without_guards_there_is_no_such_station() -> None:
    bench = Lab(policies=PERMIT, by=KIM)
    app = await bench._bench.ready(note)
    assert app.rooms.stations.guard is None and app.rooms.guards is None


async def test_a_pending_action_shows_who_escalated_it() -> None:
    bench = lab(settings={"action": "escalate"}, stages=("tool_args",))
    told = await bench.act(note, {"text": MAIL}, call_id="1")
    assert isinstance(told, Pending) and told.because == ("guard:pii",)
