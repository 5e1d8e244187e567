from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from flyball.core.approval import over
from flyball.core.credential import SigningKey, sign_approval
from flyball.core.record import Event
from flyball.verify.approvals import COMMITTED, SLACK_US, Approvals
from flyball.verify.leaf import Leaf
from tests.verify.leaves import at, found, of
from tests.verify.ledger import ANNA, ANNA_AS, BOB, BUNDLE, KIM, Ledger, approving, asking, key_created, lifted, started

MALLORY = SigningKey(name="mallory", seed=b"m" * 32)
ASKED = asking(Ledger(), "2")
TWICE = asking(Ledger(), "2", cures=("project/finance:2",))
BOTH = asking(Ledger(), "2", cures=("project/finance", "project/legal"))


def ran(asked: Event = ASKED, path: str = "2", *, attempt: int = 1, time: int | None = None, **more: Any) -> Leaf:
    covers = asked.facts["covers"]
    return of(lifted(asked, path, attempt, **more), {name: covers[name] for name in COMMITTED}, time)


def more(facts: dict[str, Any]) -> Any:
    return facts


def host(asked: Event, by: str, n: int = 1, cure: str = "project/finance") -> Event:
    return approving(asked, by, cure, n, assurance="host", key="", sig="")


def changed(asked: Event, **covers: Any) -> Event:
    told = {**asked.facts["covers"], **covers}
    return msgspec.structs.replace(asked, facts={**asked.facts, "covers": told, "over": over(told)})


def problems(*records: Event | Leaf) -> str:
    approvals = Approvals()
    for record in (started("r-1"), key_created(), *records):
        leaf = record if isinstance(record, Leaf) else of(record)
        if leaf.kind in approvals.kinds:
            approvals.see(leaf)
    return " | ".join(found(approvals.checks()).get("approvals", ()))


@pytest.mark.promise("gate-approval-covers-all-attempts")
def test_what_was_approved_may_run_with_all_its_attempts() -> None:
    assert problems(ASKED, approving(ASKED), ran(), ran(attempt=2)) == ""


@pytest.mark.promise("gate-approvals-are-signed")
def test_an_approval_nobody_signed_does_not_count() -> None:
    for forged in ({"sig": ""}, {"sig": sign_approval(MALLORY, ASKED.facts["over"])}, {"key": ""}, {"key": MALLORY.id}):
        assert "does not count" in problems(ASKED, approving(ASKED, **more(forged)), ran())


@pytest.mark.promise("gate-credential-owners")
def test_an_approval_by_whom_the_question_names_as_an_owner_does_not_count() -> None:
    given = approving(ASKED)
    owned, other = (
        msgspec.structs.replace(ASKED, facts={**ASKED.facts, "owners": [owner]})
        for owner in (given.facts["by"], "p-other")
    )
    assert "whose credential it uses" in problems(owned, given, ran(owned))
    assert problems(other, given, ran(other)) == ""


@pytest.mark.promise("gate-approvals-are-signed")
def test_a_signature_over_something_else_does_not_count() -> None:
    other = changed(ASKED, action="pay")
    assert "does not hold" in problems(ASKED, approving(ASKED, sig=sign_approval(ANNA, other.facts["over"])), ran())


def test_without_an_approval_nothing_counts() -> None:
    assert "0 people, 1 are needed" in problems(ASKED, ran())


def test_an_approval_after_the_fact_does_not_count() -> None:
    assert "0 people, 1 are needed" in problems(ASKED, ran(), approving(ASKED))


def test_an_approval_is_used_at_one_step() -> None:
    assert "path is not what was asked" in problems(ASKED, approving(ASKED), ran(), ran(path="3"))


@pytest.mark.promise("gate-approver-signs-what-runs")
@pytest.mark.parametrize("name", ["action", "schema"])
def test_another_action_is_not_what_was_approved(name: str) -> None:
    assert f"{name} is not what was asked" in problems(ASKED, approving(ASKED), ran(ASKED, **more({name: "other"})))


@pytest.mark.promise("gate-approver-signs-what-runs")
@pytest.mark.parametrize("name", COMMITTED)
def test_other_contents_are_not_what_was_approved(name: str) -> None:
    leaf = ran()
    other = replace(leaf, commit={**leaf.commit, name: "00" * 32})
    assert f"the commitment of {name}" in problems(ASKED, approving(ASKED), other)


@pytest.mark.promise("gate-approver-signs-what-runs")
def test_another_run_or_tenant_is_not_what_was_approved() -> None:
    leaf = ran()
    assert "run is not what was asked" in problems(ASKED, approving(ASKED), replace(leaf, run="r-9"))
    assert "tenant is not what was asked" in problems(ASKED, approving(ASKED), replace(leaf, tenant="other"))


def test_an_edited_question_is_noticed() -> None:
    covers = {**ASKED.facts["covers"], "action": "pay"}
    edited = msgspec.structs.replace(ASKED, facts={**ASKED.facts, "covers": covers})
    assert "not what its digest says" in problems(edited)


def test_an_approval_over_another_digest_is_no_approval() -> None:
    assert "over something else" in problems(ASKED, approving(ASKED, over="00" * 32), ran())


def test_an_intent_over_another_digest_is_noticed() -> None:
    used = {"pending": ASKED.facts["pending"], "over": "00" * 32}
    leaf = ran()
    assert "the digest is of something else" in problems(
        ASKED, approving(ASKED), replace(leaf, facts={**leaf.facts, "approval": used})
    )


def test_two_people_are_two_different_people() -> None:
    key_two = SigningKey(name="bob", seed=b"b" * 32)
    second = approving(
        TWICE, BOB, "project/finance:2", 2, key=key_two.id, sig=sign_approval(key_two, TWICE.facts["over"])
    )
    first = approving(TWICE, cure="project/finance:2")
    assert problems(TWICE, key_created(key_two), first, second, ran(TWICE)) == ""
    again = approving(TWICE, cure="project/finance:2", n=2)
    assert "1 person, 2 are needed" in problems(TWICE, first, again, ran(TWICE))


def test_one_person_does_not_count_for_two_groups() -> None:
    told = problems(BOTH, host(BOTH, BOB), host(BOTH, BOB, 2, "project/legal"), ran(BOTH))
    assert "has approved for another group" in told
    assert "project/legal has 0 people" in told


def test_two_groups_are_two_approvals() -> None:
    assert problems(BOTH, host(BOTH, BOB), host(BOTH, ANNA_AS, 2, "project/legal"), ran(BOTH)) == ""


def test_a_group_nobody_asked_for_does_not_count() -> None:
    assert "was not asked for" in problems(ASKED, host(ASKED, BOB, 1, "project/legal"))


def test_a_key_counts_for_its_own_groups() -> None:
    assert "is not of the group legal" in problems(BOTH, approving(BOTH, cure="project/legal"))


def test_a_group_that_names_a_person_is_not_in_the_key() -> None:
    named = changed(ASKED, cures=["project/user:anna"])
    assert problems(named, approving(named, cure="project/user:anna"), ran(named)) == ""


def test_whoever_asked_or_edited_does_not_approve() -> None:
    assert "asked for the run" in problems(ASKED, host(ASKED, KIM))
    edit = at("edited", "2!1", {"pending": ASKED.facts["pending"], "over": ASKED.facts["over"], "by": BOB})
    again = msgspec.structs.replace(ASKED, path="2#2", facts={**ASKED.facts, "pending": "r-1/2#2"})
    assert "edited the proposal" in problems(ASKED, edit, again, host(again, BOB))


def test_nobody_is_no_approver() -> None:
    assert "names nobody" in problems(ASKED, host(ASKED, ""))


@pytest.mark.parametrize("assurance", ["os", "", "model", None])
def test_only_a_host_or_a_key_vouches(assurance: Any) -> None:
    assert "may not approve" in problems(ASKED, approving(ASKED, assurance=assurance))


@pytest.mark.parametrize("kind", ["rejected", "expired", "voided", "edited"])
def test_what_was_settled_lifts_nothing(kind: str) -> None:
    settled = at(kind, "2!9", {"pending": ASKED.facts["pending"], "over": ASKED.facts["over"], "by": BOB})
    assert "was settled by" in problems(ASKED, approving(ASKED), settled, ran())
    assert "was settled by" in problems(ASKED, settled, approving(ASKED))


def test_an_expired_question_lifts_nothing() -> None:
    timed = asking(Ledger(), "2", expires=10_000)
    last = 10_000 + SLACK_US
    assert problems(timed, approving(timed), ran(timed, time=last), ran(timed, attempt=2, time=2 * last)) == ""
    assert "had expired" in problems(timed, approving(timed), ran(timed, time=last + 1))


def test_a_revoked_key_counts_no_more() -> None:
    revoked = at("key_revoked", ANNA.id, {"key": ANNA.id}, run="-")
    assert problems(ASKED, approving(ASKED), revoked, ran()) == ""
    assert "no valid key" in problems(ASKED, revoked, approving(ASKED))
    assert "is not there" in problems(revoked, revoked)


@pytest.mark.parametrize("facts", [{"public": "AA=="}, {"public": "!"}, {"key": "00" * 16}, {"public": 5}])
def test_a_key_that_is_none_is_noticed(facts: dict[str, Any]) -> None:
    made = key_created(MALLORY)
    assert "creates no key" in problems(msgspec.structs.replace(made, facts={**made.facts, **facts}))


def test_an_answer_to_nothing_is_noticed() -> None:
    for kind in ("approved", "rejected", "answered", "edited", "expired", "voided"):
        assert "nobody asked" in problems(at(kind, "2!1", {"pending": "none", "over": ""}))


def test_a_question_has_a_name_of_its_own() -> None:
    assert "empty or taken" in problems(ASKED, ASKED)
    assert "empty or taken" in problems(at("asked", "2#1", {"kind": "approval"}))


def test_a_question_without_a_digest_may_be_answered() -> None:
    asked = at("asked", "2", {"pending": "q", "kind": "question"})
    assert problems(asked, at("answered", "2!1", {"pending": "q", "by": BOB})) == ""


def test_an_intent_under_no_question_is_noticed() -> None:
    assert "nobody asked for" in problems(ran())
    assert "names none" in problems(at("intent", "2", {"outcome": "require_approval"}))
    assert "nobody asked for" in problems(at("intent", "2", {"approval": "yes"}))


def test_nothing_runs_at_a_step_past_its_question() -> None:
    plain = at("intent", "2", {"outcome": "allow", "bundles": [BUNDLE]})
    assert "ran without the approval" in problems(ASKED, plain)
    about = {"pending": ASKED.facts["pending"], "over": ASKED.facts["over"], "by": BOB}
    assert "ran without the approval" in problems(ASKED, at("rejected", "2!1", about), plain)
    assert problems(ASKED, at("voided", "2!1", about), plain) == ""


def test_other_policies_may_let_a_step_run_past_its_question() -> None:
    assert problems(ASKED, at("intent", "2", {"outcome": "allow", "bundles": ["other"]})) == ""


def test_a_question_that_needs_nobody_lifts_nothing() -> None:
    empty = changed(ASKED, cures=[])
    assert "names no approval" in problems(empty, ran(empty))


def test_a_report_tells_signed_from_vouched() -> None:
    approvals = Approvals()
    for record in (started("r-1"), key_created(), TWICE, approving(TWICE, cure="project/finance:2"),
                   host(TWICE, BOB, 2, "project/finance:2")):  # fmt: skip
        approvals.see(of(record))
    (check,) = approvals.checks()
    assert "2 approvals (1 signed by a person's key, 1 vouched for" in check.detail
