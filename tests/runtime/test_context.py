"""Context sources through the real path: read under policy, recorded, compiled, shown to the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from flyball import Call, Completed, Critical, Passage, Principal, Stopped, agent, source, tool
from flyball.core.model import ModelRequest
from flyball.testing import Crash, Lab, Say, propose
from flyball.testing.script import Answer

KIM = Principal("user:kim", tenant="acme")
READS = '@id("read") permit (principal, action in Action::"read", resource);\n'
WORLD: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _world() -> None:
    WORLD.clear()
    WORLD["notes"] = [Passage("Acme pays late", "crm/acme/1")]
    WORLD["contacts"] = [Passage("buyer@acme.example", "crm/acme/2")]


def _told(name: str) -> Sequence[Passage]:
    if isinstance(WORLD[name], Exception):
        raise WORLD[name]
    return WORLD[name]  # type: ignore[no-any-return]


@source(tokens=200, sensitivity="confidential")
async def notes(call: Call, customer: str) -> Sequence[Passage]:
    """What we wrote down about a customer."""
    WORLD["asked"] = (customer, call.tenant)
    return _told("notes")


@source(tokens=200, trusted=True, required=False, max_age=timedelta(hours=1))
async def contacts(call: Call, customer: str) -> Sequence[Passage]:
    """Whom to write to."""
    now = call.deadline - timedelta(minutes=10)
    return [p if p.as_of else Passage(p.text, p.ref, now, p.trusted) for p in _told("contacts")]


@tool(effect="irreversible")
async def write(call: Call, to: Critical[str]) -> str:
    """Write to somebody."""
    return f"wrote to {to}"


clerk = agent("clerk", instructions="Help.", context=[notes, contacts], tools=[write])
WRITES = (
    READS
    + """
@id("writes") permit (principal, action == Action::"write", resource);
@id("only-known") forbid (principal, action == Action::"write", resource) when { context.origin.to == "unknown" };
"""
)


def desk(*answers: Any, policy: str = READS) -> tuple[Lab, list[ModelRequest]]:
    """A Lab whose model says these, and what the model was asked."""
    asked: list[ModelRequest] = []

    def keeping(answer: Answer) -> Any:
        return lambda request: asked.append(request) or answer

    return Lab(policies=policy, by=KIM, models={"clerk": [keeping(a) for a in answers or (Say("done"),)]}), asked


def passages(request: ModelRequest) -> list[dict[str, Any]]:
    return [json.loads(line) for line in request.messages[1].text.splitlines()[1:]]


@pytest.mark.promise("api-sources")
async def test_a_model_is_shown_what_its_sources_say_apart_from_the_request() -> None:
    lab, asked = desk()
    assert isinstance(await lab.run(clerk, "acme"), Completed) and WORLD["asked"] == ("acme", "acme")
    shown = passages(asked[0])
    assert [(p["source"], p["text"], p["trusted"]) for p in shown] == [
        ("notes", "Acme pays late", False), ("contacts", "buyer@acme.example", True),
    ]  # fmt: skip
    assert [m.role for m in asked[0].messages] == ["system", "user", "user"] and asked[0].messages[2].text == "acme"


@pytest.mark.promise("gate-context-sources")
async def test_each_source_is_a_governed_read_of_its_own() -> None:
    lab, asked = desk(policy=READS + '@id("no") forbid (principal, action, resource == Source::"notes");')
    ended = await lab.run(clerk, "acme")
    assert isinstance(ended, Stopped) and ended.reason == "context_incomplete" and not asked
    assert "notes" in ended.detail and "policy_denied" in ended.detail and "asked" not in WORLD


async def test_an_optional_source_that_fails_is_left_out() -> None:
    lab, asked = desk()
    WORLD["contacts"] = ConnectionError("down")
    assert isinstance(await lab.run(clerk, "acme"), Completed)
    assert {p["source"] for p in passages(asked[0])} == {"notes"}


@pytest.mark.promise("api-required-sources")
@pytest.mark.parametrize(
    "answer", [[], ConnectionError("down"), ["text"], "text", None, [Passage("of others", "x", tenant="other")]]
)
async def test_a_required_source_that_says_nothing_of_use_ends_the_start(answer: Any) -> None:
    lab, asked = desk()
    WORLD["notes"] = answer
    ended = await lab.run(clerk, "acme")
    assert isinstance(ended, Stopped) and ended.reason == "context_incomplete" and not asked


async def test_the_record_of_the_model_call_says_what_the_agent_saw() -> None:
    lab, _ = desk()
    await lab.run(clerk, "acme", key="k")
    seen = [r.private["context"] for r in lab.records("k") if r.kind == "intent" and "context" in (r.private or {})]
    assert len(seen) == 1 and [p["ref"] for p in seen[0]["passages"]] == ["crm/acme/1", "crm/acme/2"]
    assert all(p["digest"] and p["sensitivity"] for p in seen[0]["passages"])
    assert all("context" not in r.facts and "digest" not in r.facts for r in lab.records("k"))


@pytest.mark.promise("gate-model-sees-labels")
async def test_policy_sees_the_labels_of_everything_that_a_model_is_shown() -> None:
    rule = '@id("no") forbid (principal, action == Action::"model", resource) when { '
    rule += 'context.input.sensitivity == "confidential" && context.input.sources.contains("notes") };'
    lab, asked = desk(policy=READS + rule)
    ended = await lab.run(clerk, "acme")
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not asked


async def test_what_a_trusted_source_vouches_for_has_an_origin() -> None:
    lab, _ = desk(propose(write, "buyer@acme.example"), propose(write, "thief@x.example"), Say("done"), policy=WRITES)
    assert isinstance(await lab.run(clerk, "acme", key="k"), Completed)
    tried = [
        (r.private["args"]["to"], r.facts["outcome"]) for r in lab.records("k") if r.facts.get("action") == "write"
    ]
    assert [t for t in tried if t[0]] == [("buyer@acme.example", "allow"), ("thief@x.example", "deny")]


async def test_an_untrusted_passage_taints_the_run() -> None:
    tainted = '@id("t") forbid (principal, action == Action::"write", resource) when { context.run.tainted };'
    lab, _ = desk(propose(write, "buyer@acme.example"), Say("done"), policy=WRITES + tainted)
    await lab.run(clerk, "acme", key="k")
    assert [r.facts["outcome"] for r in lab.records("k") if r.facts.get("action") == "write"] == ["deny"]


async def test_after_a_crash_the_same_context_is_compiled_from_the_log() -> None:
    lab, asked = desk(Say("done"), Say("done"))
    lab.crash_at("done", "contacts")
    with pytest.raises(Crash):
        await lab.run(clerk, "acme", key="k")
    WORLD["notes"] = [Passage("Acme pays at once", "crm/acme/1")]
    assert isinstance(await lab.resume("k"), Completed)
    assert passages(asked[0])[0]["text"] == "Acme pays late"


@pytest.mark.promise("gate-context-sources")
async def test_what_was_read_is_verified_and_decided_again() -> None:
    lab, _ = desk()
    await lab.run(clerk, "acme", key="k")
    assert (await lab.verify()).ok
    assert (await lab.replay(lab.history("k"))).ok
