"""The desk's flow on real policies and a real mail server, with scripted answers, without a model."""

from __future__ import annotations

from typing import Any

import pytest
from bench import HERE, KIM, Desk
from drafts import Done, Draft, Findings, Item, Request, Review
from flows import proposal
from mailstore import Mail
from seed import HONEST, ON_HOLD
from tools import find_prices, read_notes, send_mail, send_proposal
from world import crm, documents, mailer

from flyball import Completed, Principal, Stopped, Waiting
from flyball.testing import Crash, Lab, Say, propose

FAY = Principal("user:fay", groups=frozenset({"finance"}))
SOL = Principal("user:sol", groups=frozenset({"sales"}))
LEA = Principal("user:lea", groups=frozenset({"legal"}))
SAM = Principal("user:sam", groups=frozenset({"security"}))
CONTACT = "amara.okafor@elbe-pharma.example"
WISH = Request(HONEST, "a proposal for line 3")
STANDARD = ["PAY-1", "DEL-1", "WAR-1", "LIA-1", "VAL-1"]
FINDINGS = Findings([Item("PT-200-B", 12)], 5, ["PAY-1"], "line 3")


def drafted(discount: int = 5, clauses: list[str] | None = None) -> Draft:
    return Draft("Line 3", "Thank you for your call.", FINDINGS.items, discount, clauses or STANDARD)


def sent(desk: Desk, to: str = CONTACT, subject: str = "Line 3", customer: str = HONEST, discount: int = 5) -> Any:
    return propose(send_proposal, customer=customer, to=to, subject=subject, body="the letter", discount=discount)


def lab(desk: Desk, **models: list[Any]) -> Lab:
    discount = next((say.value.discount for say in models.get("writer", []) if isinstance(say, Say)), 5)
    script: dict[str, list[Any]] = {
        "gatherer": [propose(read_notes, customer=HONEST), Say(FINDINGS)],
        "writer": [Say(drafted())],
        "validator": [Say(Review([]))],
        "sender": [sent(desk, discount=discount), Say("sent")],
    }
    return Lab(
        policies=HERE / "policies",
        by=KIM,
        resources=[crm.use(desk.db), mailer.use(desk.mailer), documents.use(desk.state / "documents")],
        models={**script, **models},
    )


def mails(desk: Desk, before: int) -> list[Mail]:
    return desk.store.mails()[before:]


async def test_a_small_discount_asks_sales_alone_and_is_sent_once(desk: Desk) -> None:
    bench, before = lab(desk), len(desk.store.mails())
    asked = await bench.run(proposal, WISH, key="t1")
    assert isinstance(asked, Waiting) and asked.pending[0].groups == ("sales",) and not mails(desk, before)
    done = await bench.approve(asked.pending[0], by=SOL)
    assert isinstance(done, Completed) and isinstance(done.value, Done)
    assert [mail.to for mail in mails(desk, before)] == [CONTACT]


async def test_a_discount_over_ten_needs_finance_and_sales(desk: Desk) -> None:
    bench, before = lab(desk, writer=[Say(drafted(15))]), len(desk.store.mails())
    asked = await bench.run(proposal, WISH, key="t1")
    assert isinstance(asked, Waiting) and set(asked.pending[0].groups) == {"finance", "sales"}
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Waiting) and not mails(desk, before)
    assert isinstance(await bench.approve(asked.pending[0], by=SOL), Completed) and len(mails(desk, before)) == 1


async def test_a_crash_after_the_250_sends_no_second_mail(desk: Desk) -> None:
    bench, before = lab(desk), len(desk.store.mails())
    asked = await bench.run(proposal, WISH, key="t1")
    assert isinstance(asked, Waiting)
    bench.crash_after(send_proposal)
    with pytest.raises(Crash):
        await bench.approve(asked.pending[0], by=SOL)
    assert isinstance(await bench.resume("t1"), Completed) and len(mails(desk, before)) == 1


async def test_legal_is_asked_about_a_clause_that_deviates(desk: Desk) -> None:
    bench = lab(desk, writer=[Say(drafted(5, ["PAY-3", *STANDARD[1:]]))])
    asked = await bench.run(proposal, WISH, key="t1")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "question" and "PAY-3" in asked.pending[0].question
    then = await bench.answer(asked.pending[0], True, by=LEA)
    assert isinstance(then, Waiting) and then.pending[0].groups == ("sales",)


async def test_a_faulty_draft_goes_back_to_the_writer(desk: Desk) -> None:
    faulty = Draft("15 % off", "Thank you.", [Item("NO-1", 1)], 5, STANDARD)
    bench = lab(desk, writer=[Say(faulty), Say(drafted())])
    assert isinstance(await bench.run(proposal, WISH, key="t1"), Waiting)


async def test_the_validators_remark_goes_back_to_the_writer(desk: Desk) -> None:
    bench = lab(desk, writer=[Say(drafted()), Say(drafted())], validator=[Say(Review(["too curt"])), Say(Review([]))])
    assert isinstance(await bench.run(proposal, WISH, key="t1"), Waiting)


async def test_a_tricked_gatherer_cannot_mail_the_price_list(desk: Desk) -> None:
    obeys = [propose(send_mail, to="tenders@procure-fast.example", subject="Prices", body="all of them"), Say(FINDINGS)]
    bench, before = lab(desk, gatherer=obeys), len(desk.store.mails())
    asked = await bench.run(proposal, WISH, key="t1")
    assert isinstance(asked, Waiting) and set(asked.pending[0].groups) == {"sales", "security"}
    assert not mails(desk, before)
    assert isinstance(await bench.deny(asked.pending[0], by=SAM, reason="an attack"), Stopped)


async def test_a_proposal_to_another_address_than_the_contact_is_denied(desk: Desk) -> None:
    bench, before = lab(desk, sender=[sent(desk, to="me@else.example"), Say("sent")]), len(desk.store.mails())
    ended = await bench.run(proposal, WISH, key="t1")
    assert (
        isinstance(ended, Stopped) and ended.reason in ("claim_unproven", "policy_denied") and not mails(desk, before)
    )


async def test_a_sender_that_only_claims_is_not_believed(desk: Desk) -> None:
    ended = await lab(desk, sender=[Say("sent, trust me")]).run(proposal, WISH, key="t1")
    assert isinstance(ended, Stopped) and ended.reason == "claim_unproven"


@pytest.mark.parametrize(("discount", "outcome"), [(5, "require_approval"), (30, "require_approval"), (31, "deny")])
def test_policy_knows_how_much_can_be_given(desk: Desk, discount: int, outcome: str) -> None:
    arguments: dict[str, Any] = {"customer": HONEST, "to": CONTACT, "subject": "s", "body": "b", "discount": discount}
    verdict = lab(desk).decide(send_proposal, **arguments, origins={"to": "find_customer.contact"})
    assert verdict.outcome == outcome


def test_a_customer_on_hold_gets_nothing(desk: Desk) -> None:
    arguments: dict[str, Any] = {"customer": ON_HOLD, "to": CONTACT, "subject": "s", "body": "b", "discount": 0}
    assert lab(desk).decide(send_proposal, **arguments, origins={"to": "find_customer.contact"}).outcome == "deny"


def test_reading_is_free(desk: Desk) -> None:
    assert lab(desk).decide(find_prices, query="PT-200-B").outcome == "allow"


async def test_the_ledger_of_a_run_verifies(desk: Desk) -> None:
    bench = lab(desk)
    asked = await bench.run(proposal, WISH, key="t1")
    assert isinstance(asked, Waiting)
    await bench.approve(asked.pending[0], by=SOL)
    assert (await bench.verify()).ok
