"""What a leaf says for ever: names of actions, digests, states and pseudonyms; no person, no argument, no word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flyball import Call, Critical, Principal, Run, Waiting, agent, flow, tool
from flyball.testing import Lab, Say, propose

POLICY = """
@id("all") permit (principal, action, resource);
@id("big") @require_approval("finance:2") forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 100 } unless { context.approvals.contains("finance:2") };
@id("never") forbid (principal, action == Action::"pay", resource) when { context.input.cents > 9000 };
"""
KIM = Principal("user:private-kim", groups=frozenset({"desk"}))
FAY = Principal("user:private-fay", groups=frozenset({"finance"}))
NOOR = Principal("user:private-noor", groups=frozenset({"finance"}))
MIA = Principal("user:private-mia", groups=frozenset({"finance"}))


@tool(effect="irreversible")
async def pay(call: Call, cents: Critical[int], memo: str) -> str:
    """Pays."""
    return "private result"


@tool(effect="irreversible", timeout=timedelta(seconds=1))
async def lose(call: Call, memo: str) -> str:
    """Pays, and never says whether."""
    raise OSError("private error")


clerk = agent("clerk", instructions="Help.", tools=[pay])


@flow
async def desk(run: Run, memo: str) -> str:
    about = {"a": "private about"}
    await run.ask("private?", str, to="user:private-kim", about=about, within=timedelta(hours=1), default="private")
    await run.attempt(pay, 9999, memo)
    await run.agent(clerk, memo)
    await run.attempt(lose, memo)
    run.uuid()
    return "private value"


async def _decided(lab: Lab, asked: Waiting) -> Any:
    pending = asked.pending[0]
    if pending.kind == "question":
        return await lab.answer(pending, "private answer", by=KIM)
    if pending.kind == "unknown":
        return await lab.resolve(pending, "failed", by=KIM, reason="private reason")
    if pending.arguments["memo"] != "private edit":
        return await lab.edit(pending, {"memo": "private edit"}, by=MIA)
    await lab.approve(pending, by=FAY, reason="private reason")
    return await lab.approve(pending, by=NOOR, reason="private reason")


async def _run_to_its_end() -> Lab:
    answers = [propose(pay, cents=500, memo="private memo"), Say("private words")]
    lab = Lab(policies=POLICY, by=KIM, models={"clerk": answers})
    result = await lab.run(desk, "private input", key="private key")
    while isinstance(result, Waiting):
        result = await _decided(lab, result)
    assert result.ok, result
    return lab


@pytest.mark.promise("journal-leaves-name-nobody")
async def test_no_leaf_holds_a_person_an_argument_or_what_anybody_said() -> None:
    lab = await _run_to_its_end()
    told = {record.id: msgspec.json.encode(record.facts).decode() for record in lab.records()}
    kinds = {record.kind for record in lab.records()}
    assert {"asked", "answered", "edited", "approved", "resolution", "decision", "run_ended"} <= kinds
    assert {id: facts for id, facts in told.items() if "private" in id + facts} == {}


@pytest.mark.promise("journal-approval-commitments-repeat")
async def test_an_outsider_sees_that_the_one_who_was_asked_has_answered() -> None:
    lab = await _run_to_its_end()
    answered = next(r.facts for r in lab.records() if r.kind == "answered")
    assert answered["cure"] == f"project/user:{answered['by']}"
