"""The refund desk without a model, network or server: scripted advice, real policies, a real crash."""

from __future__ import annotations

from pathlib import Path

import pytest
from refunds import Advice, get_order, handle, refund, shop
from shop import Shop

from flyball import Completed, Principal, Stopped, Waiting
from flyball.testing import Crash, Lab, Say, policy_cases, propose
from flyball.testing.cases import PolicyCase

HERE = Path(__file__).resolve().parent
KIM = Principal("user:kim", tenant="acme", groups=frozenset({"support"}))
FAY = Principal("user:fay", tenant="acme", groups=frozenset({"finance"}))


def desk(client: Shop, cents: int, order: str = "A-17") -> Lab:
    return Lab(
        policies=HERE / "policies",
        by=KIM,
        resources=[shop.use(client)],
        config=HERE / "flyball.toml",
        models={"clerk": [propose(get_order, order_id=order), Say(Advice(cents, "broken"))]},
    )


async def test_a_crash_after_the_payment_pays_once() -> None:
    client = Shop("", "")
    lab = desk(client, 9900)
    asked = await lab.run(handle, "A-17", key="ticket-7")
    assert isinstance(asked, Waiting) and asked.pending[0].groups == ("finance",) and not client.paid
    lab.crash_after(refund)
    with pytest.raises(Crash):
        await lab.approve(asked.pending[0], by=FAY)
    assert isinstance(await lab.resume("ticket-7"), Completed) and len(client.paid) == 1


def test_the_policy_asks_finance_over_fifty() -> None:
    verdict = desk(Shop("", ""), 0).decide(refund, order_id="A-17", cents=5001)
    assert verdict.outcome == "require_approval" and verdict.groups == ("finance",)


async def test_a_small_refund_asks_nobody() -> None:
    client = Shop("", "")
    assert isinstance(await desk(client, 5000).run(handle, "A-17"), Completed)
    assert list(client.paid.values()) == [("A-17", 5000)]


async def test_what_is_personal_in_a_complaint_stays_out_of_prompts_and_records() -> None:
    lab = desk(Shop("", ""), 500, "C-11")
    assert isinstance(await lab.run(handle, "C-11"), Completed)
    kept = repr([record.private for record in lab.records()])
    assert "Call me: [phone], or write to [email]" in kept and "1234567" not in kept


async def test_a_shop_that_is_down_is_asked_again_and_then_given_up() -> None:
    client = Shop("", "")
    client.down = True
    ended = await desk(client, 5000).run(handle, "A-17")
    assert isinstance(ended, Stopped) and ended.reason == "tool_failed" and ended.retryable and not client.paid


async def test_what_finance_refuses_is_not_paid() -> None:
    client = Shop("", "")
    lab = desk(client, 9900)
    asked = await lab.run(handle, "A-17")
    assert isinstance(asked, Waiting)
    ended = await lab.deny(asked.pending[0], by=FAY, reason="not broken")
    assert isinstance(ended, Stopped) and ended.reason == "approval_rejected" and not client.paid


async def test_what_happened_can_be_proved() -> None:
    lab = desk(Shop("", ""), 9900)
    asked = await lab.run(handle, "A-17")
    assert isinstance(asked, Waiting)
    await lab.approve(asked.pending[0], by=FAY)
    assert (await lab.verify()).ok and [effect.action for effect in lab.effects] == ["refund"]


@pytest.mark.parametrize("case", policy_cases(HERE / "flyball.toml"), ids=str)
def test_the_policies_say_what_their_cases_expect(case: PolicyCase) -> None:
    case.check()
