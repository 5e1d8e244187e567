"""How an attempt ended, and what its caller is told: a doubtful result is never told as a success."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flyball.core.budget import DIMENSIONS, Amounts
from flyball.core.decision import Decision
from flyball.core.effect import Action, ActionKind, Effect, Key
from flyball.core.guard import Edit
from flyball.core.identity import Authority, Principal
from flyball.core.origin import Origins
from flyball.core.outcome import (
    Ended,
    Past,
    about,
    amounts_data,
    amounts_of,
    business_claim,
    call_key,
    chain_data,
    given_back,
    outcome_event,
    own_amounts,
    taints,
    told,
)
from flyball.core.policy import Uid
from flyball.core.policy_context import Facts
from flyball.core.proposal import Inputs, Performer, Place, Proposal, Ruled
from flyball.core.record import Opened
from flyball.core.result import Executed, Failed

KIM = Authority(principal=Principal("user:kim", tenant="acme"))
PARTS = st.sampled_from(["a", "ab", "b", "1", "1.2"])


def place(tenant: str = "acme", run: str = "r-1", path: str = "3", log: str = "l") -> Place:
    return Place(
        tenant=tenant, run=run, path=path, fence=None, release="", subjects=("user:kim",), subject="user:kim", log=log
    )


def proposal(at: Place, *, authority: Authority = KIM, attempt: int = 1, **action: Any) -> Proposal:
    return Proposal(
        place=at, action=Action(name="pay", **action), performer=Performer(perform=print), authority=authority,
        arguments={}, origins=Origins(), attempt=attempt,
    )  # fmt: skip


def opened(kind: str, attempt: int = 1, **facts: Any) -> Opened:
    return Opened(index=0, kind=kind, run="r", path="1", attempt=attempt, time=0, facts=facts, commits={}, private={})


PLACES = st.tuples(PARTS, PARTS, PARTS, PARTS)


@pytest.mark.promise("journal-stable-keys")
@given(PLACES, PLACES, st.integers(1, 5), st.integers(1, 5))
def test_a_key_is_one_for_all_attempts_of_a_step_and_new_everywhere_else(a: Any, b: Any, one: int, other: int) -> None:
    keys = call_key(proposal(place(*a), attempt=one)), call_key(proposal(place(*b), attempt=other))
    assert (keys[0] == keys[1]) == (a == b)


def test_an_executed_attempt_gives_its_value() -> None:
    assert told(Ended(status="executed", value=5, action="r/1/1/outcome")) == Executed(5, "r/1/1/outcome")


@pytest.mark.promise("api-results-are-closed")
@pytest.mark.parametrize(
    ("ended", "reason"),
    [
        (Ended(status="executed", value=5, result_invalid=True, code="x"), "result_invalid"),
        (Ended(status="executed", result_invalid=True, code="reply_too_large"), "reply_too_large"),
        (Ended(status="failed", code="timeout", message="slow"), "timeout"),
        (Ended(status="failed"), "tool_failed"),
        (Ended(status="unknown"), "tool_failed"),
    ],
)
def test_every_other_end_is_a_failure_with_a_reason(ended: Ended, reason: str) -> None:
    failed = told(ended)
    assert isinstance(failed, Failed) and failed.reason == reason and failed.message == ended.message


@pytest.mark.promise("journal-t2-cannot-fail-for-its-content")
def test_an_outcome_keeps_result_and_message_private_and_facts_small() -> None:
    ended = Ended(status="executed", data={"id": "o-1"}, message="it does not fit", usage=Amounts(calls=1), code="c")
    event = outcome_event(place(), 2, ended, final=True)
    assert event.private == {"result": {"id": "o-1"}, "error": "it does not fit"}
    assert (event.kind, event.run, event.path, event.attempt) == ("outcome", "r-1", "3", 2)
    assert event.facts == {"status": "executed", "code": "c", "usage": {"calls": 1}, "final": True, "certain": False,
                           "result_invalid": False}  # fmt: skip


def test_what_guards_said_is_a_fact_and_what_they_changed_is_private() -> None:
    edits = ((Edit(passage=0, start=0, end=1),),)
    event = outcome_event(place(), 1, Ended(status="failed", guards=({"guard": "pii"},), edits=edits), final=True)
    assert event.facts["guards"] == [{"guard": "pii"}] and event.private == {"edits": edits}


def test_a_failure_has_no_result() -> None:
    assert outcome_event(place(), 1, Ended(status="failed", data=5), final=False).private == {}


@pytest.mark.parametrize(
    ("kind", "effect", "attempt", "inside", "amounts"),
    [
        ("tool", "irreversible", 1, False, Amounts(steps=1, calls=1, effects=1, usd=7)),
        ("tool", "irreversible", 2, False, Amounts(calls=1, effects=1, usd=7)),
        ("tool", "read", 1, False, Amounts(steps=1, calls=1, usd=7)),
        ("tool", "read", 1, True, Amounts(calls=1, usd=7)),
        ("model", "read", 1, True, Amounts(steps=1, usd=7)),
        ("agent", "read", 1, False, Amounts(usd=7)),
    ],
)
def test_an_attempt_counts_as_what_it_is(
    kind: ActionKind, effect: Effect, attempt: int, inside: bool, amounts: Amounts
) -> None:
    chain = KIM.through("clerk", "planner") if inside else KIM
    counted = proposal(place(), authority=chain, attempt=attempt, kind=kind, effect=effect, cost=7)
    assert own_amounts(counted) == amounts


@given(st.builds(Amounts, **dict.fromkeys(DIMENSIONS, st.integers(0, 9))))
def test_amounts_are_read_back_and_zeros_take_no_room(amounts: Amounts) -> None:
    data = amounts_data(amounts)
    assert amounts_of(data) == amounts and 0 not in data.values()


def test_the_chain_is_written_with_tenant_and_issuer_before_the_person() -> None:
    assert chain_data(KIM.through("clerk", "planner")) == ["acme", "host", "user:kim", "clerk"]


@pytest.mark.promise("gate-approver-signs-what-runs")
def test_an_approval_covers_origins_resource_and_chain() -> None:
    inputs = Inputs(
        action="pay", links=(), resource=Uid("Order", "o-1"), entities=(), origins={"to": "request"}, facts=Facts(now=9)
    )
    ruled = Ruled(
        proposal=proposal(place()), decision=Decision(outcome="allow", arguments={}), inputs=inputs, bundles=(),
        fingerprints={}, epochs={},
    )  # fmt: skip
    assert about(ruled) == {
        "origins": {"to": "request"}, "resource": {"type": "Order", "id": "o-1"}, "chain": ["acme", "host", "user:kim"],
    }  # fmt: skip


def test_a_step_that_nobody_took_has_no_past() -> None:
    assert (Past().last("intent"), Past().open_intent(), Past().attempts) == (None, None, 0)


def test_an_intent_without_an_outcome_of_its_attempt_is_open() -> None:
    past = Past(records=(opened("intent"), opened("outcome"), opened("intent", 2)))
    assert past.open_intent() == opened("intent", 2) == past.last("intent")
    assert (past.attempts, past.last("outcome")) == (2, opened("outcome"))


def test_an_outcome_closes_its_intent() -> None:
    assert Past(records=(opened("intent", 2), opened("outcome", 2))).open_intent() is None


@pytest.mark.parametrize(
    ("ends", "doubt"),
    [
        ([], 0),
        (["failed", "not_started"], 0),
        (["unknown"], 1),
        (["failed", "interrupted"], 2),
        (["unknown", "failed"], 1),
        (["unknown", "interrupted"], 2),
        (["unknown", "executed"], 0),
    ],
)
def test_a_doubt_stands_until_an_attempt_certainly_happened(ends: list[str], doubt: int) -> None:
    records = [r for n, end in enumerate(ends, 1) for r in (opened("intent", n), opened("outcome", n, status=end))]
    assert Past(records=tuple(records)).doubt() == doubt


@pytest.mark.promise("journal-late-settles-unknown")
@pytest.mark.parametrize(
    ("ends", "late", "settled"),
    [("unknown", "executed", True), ("unknown", "failed", False), ("executed", "executed", False)],
)
def test_late_evidence_settles_only_what_nobody_knew(ends: str, late: str, settled: bool) -> None:
    evidence = opened("late", status=late)
    past = Past(records=(opened("intent"), opened("outcome", status=ends), evidence))
    assert (past.late() == evidence) == settled


@pytest.mark.parametrize(
    ("status", "final", "over"),
    [("executed", True, True), ("executed", False, False), ("unknown", True, False), ("failed", True, False)],
)
def test_a_step_is_over_where_it_was_certainly_carried_out(status: str, final: bool, over: bool) -> None:
    assert Past(records=(opened("intent"), opened("outcome", status=status, final=final))).over() is over


@pytest.mark.parametrize("records", [(), (opened("intent"),)])
def test_a_step_without_an_outcome_is_not_over(records: tuple[Opened, ...]) -> None:
    assert not Past(records=records).over()


def test_what_a_tool_returned_untrusted_taints_its_run() -> None:
    read = Ended(status="executed", code="untrusted")
    assert taints(proposal(place(), kind="tool"), read) and not taints(proposal(place(), kind="model"), read)
    assert not taints(proposal(place()), Ended(status="executed"))


def test_a_business_key_is_claimed_by_a_keyed_digest_of_its_value() -> None:
    claim = business_claim(proposal(place(), key=Key(business="order")), lambda text: f"<{len(text)}>")
    assert claim is not None and claim.key.startswith("<") and claim.owner == "r-1/3"
    assert business_claim(proposal(place()), str) is None


@pytest.mark.parametrize(
    ("status", "certain", "free"),
    [("failed", True, 1), ("failed", False, 0), ("unknown", False, 0), ("executed", True, 0)],
)
def test_a_business_key_is_given_back_only_where_nothing_certainly_happened(
    status: str, certain: bool, free: int
) -> None:
    ended = Ended(status=status, certain=certain)
    assert len(given_back(proposal(place(), key=Key(business="order")), ended, str, final=True)) == free
    assert given_back(proposal(place()), ended, str, final=True) == ()


def step(*kinds: tuple[str, dict[str, Any]]) -> Past:
    """A step's records in order; `asked` and `resolution` are about attempt 1."""
    return Past(records=tuple(replace(opened(kind, **facts), index=n) for n, (kind, facts) in enumerate(kinds)))


INTENT = ("intent", {"effect": "irreversible"})
HAPPENED = ("late", {"status": "executed"})
QUESTION = ("asked", {"covers": {"after": "failed"}})


def ends(status: str, final: bool = True) -> tuple[str, dict[str, Any]]:
    return "outcome", {"status": status, "final": final}


def says(status: str) -> tuple[str, dict[str, Any]]:
    return "resolution", {"status": status, "intent": "r/1/1/intent"}


@pytest.mark.promise("journal-executed-after-failed-asks", "journal-told-is-immutable")
@pytest.mark.parametrize(
    ("records", "word"),
    [
        ([INTENT], None),
        ([INTENT, ends("executed")], 1),
        ([INTENT, ends("unknown")], None),
        ([INTENT, ends("unknown"), HAPPENED, says("executed")], 2),
        ([INTENT, ends("unknown"), says("failed"), HAPPENED], 2),
        ([INTENT, ends("failed"), HAPPENED, QUESTION], 1),
        ([INTENT, ends("failed"), HAPPENED, QUESTION, says("executed")], 1),
        ([INTENT, ends("failed", False), HAPPENED, QUESTION, says("executed")], 4),
        ([INTENT, ends("failed", False), HAPPENED, QUESTION, says("failed")], None),
        ([INTENT, ends("failed", False), ("decision", {"outcome": "deny"})], 2),
    ],
)
def test_whose_word_counts(records: list[tuple[str, dict[str, Any]]], word: int | None) -> None:
    found = step(*records).word()
    assert (None if found is None else found.index) == word


def test_what_contradicts_the_log_is_open_until_a_person_has_said() -> None:
    asked = (INTENT, ends("failed"), HAPPENED, QUESTION)
    assert [r.kind for r in step(*asked).contradicted()] == ["asked"]
    assert not step(*asked, says("failed")).contradicted()
    assert [r.kind for r in step(*asked, says("executed")).counted()] == ["outcome", "resolution"]


def test_what_settles_a_doubt_counts_as_having_happened() -> None:
    assert [r.kind for r in step(INTENT, ends("unknown"), HAPPENED).counted()] == ["outcome", "late"]


def test_nobody_doubts_a_read() -> None:
    assert step(("intent", {"effect": "read"}), ends("unknown"), HAPPENED).doubt() == 0


def test_the_models_that_failed_were_tried_and_whom_a_crash_cut_short_was_not() -> None:
    asked = [opened("intent", n, route={"chosen": name}) for n, name in enumerate(("a", "b", "c"), 1)]
    plain = [opened("intent", 4), opened("outcome", 4, status="failed")]
    ended = [opened("outcome", n, status=status) for n, status in enumerate(("failed", "interrupted"), 1)]
    assert Past(records=(*asked, *ended, *plain)).tried() == ("a",) and Past().tried() == ()
