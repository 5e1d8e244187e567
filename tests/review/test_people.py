"""Who may settle what nobody saw, and what an edit may be."""

from __future__ import annotations

from datetime import timedelta

import pytest

from flyball import Call, Critical, FlyballError, Key, NotDone, Principal, Run, Waiting, flow, tool
from flyball.testing import Lab

POLICY = """
@id("all") permit (principal, action, resource);
@id("big") @require_approval("finance") forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 100 } unless { context.approvals.contains("finance") };
"""
KIM = Principal("user:kim")
FAY = Principal("user:fay", groups=frozenset({"finance"}))


@tool(effect="irreversible", timeout=timedelta(seconds=1))
async def pay(call: Call, cents: Critical[int]) -> str:
    """Pays, and never says whether."""
    raise OSError("the line went dead")


@flow
async def desk(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@pytest.mark.promise("journal-people-settle-unknowns")
async def test_a_stranger_cannot_say_what_became_of_a_payment() -> None:
    lab = Lab(policies=POLICY, by=KIM)
    asked = await lab.run(desk, 5, key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    with pytest.raises(FlyballError, match=r"not_eligible|waiting for"):
        await lab.resolve(asked.pending[0], "executed", by=Principal("user:stranger"), result="made up")


async def test_an_edit_that_the_tool_could_not_take_is_refused_and_changes_nothing() -> None:
    lab = Lab(policies=POLICY, by=KIM)
    asked = await lab.run(desk, 500, key="k")
    assert isinstance(asked, Waiting)
    with pytest.raises(FlyballError, match="do not fit"):
        await lab.edit(asked.pending[0], {"cents": "many"}, by=FAY)
    assert isinstance(await lab.resume("k"), Waiting)


@tool(effect="irreversible", idempotency=Key(business="order"))
async def refund(call: Call, order: Critical[str]) -> str:
    """Refunds an order, once the shop is open."""
    if not OPEN:
        raise NotDone("the shop is closed")
    return order


@flow
async def counter(run: Run, order: str) -> str:
    return await run.call(refund, order)


OPEN: list[bool] = []


async def test_a_business_key_is_free_again_once_nothing_certainly_happened_and_taken_once_it_did() -> None:
    lab = Lab(policies=POLICY, by=KIM)
    assert not (await lab.run(counter, "A-17")).ok
    OPEN.append(True)
    assert (await lab.run(counter, "A-17")).ok
    twice = await lab.run(counter, "A-17")
    assert not twice.ok and "under this business key" in str(twice)
