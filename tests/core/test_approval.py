"""Who may approve what: distinct people for distinct cures, nobody of the chain, and exactly what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.approval import (
    approvals,
    cure_for,
    cure_name,
    cure_names,
    filled,
    leaf_cure,
    member,
    objection,
    over,
    people,
    shown_group,
    slots,
    unmet,
)
from flyball.core.decision import Decision
from flyball.core.identity import Authority, Principal
from flyball.core.policy import Cure, Layer

KIM, FAY, NOOR = (
    Principal(f"user:{name}", groups=frozenset(groups))
    for name, groups in (("kim", {"support"}), ("fay", {"finance"}), ("noor", {"finance", "sales"}))
)
ASKED = Authority(principal=KIM)


def signed(by: str, cure: str) -> Mapping[str, str]:
    return {"by": by, "cure": cure}


def cure(group: str, count: int = 1, layer: Layer = "project") -> Cure:
    return Cure(policy="p", layer=layer, group=group, people=count)


COVERED = st.dictionaries(st.sampled_from(["tool", "args", "expires"]), st.integers(0, 3) | st.sampled_from(["a", "b"]))


@pytest.mark.parametrize(
    ("cure", "written"),
    [
        ("project/finance", "project/finance"), ("platform/finance:2", "platform/finance:2"),
        ("project/user:kim", "project/user:p-user:kim"),
    ],
)  # fmt: skip
def test_a_leaf_names_groups_and_no_person(cure: str, written: str) -> None:
    assert leaf_cure(cure, lambda person: f"p-{person}") == written


@pytest.mark.promise("gate-approver-signs-what-runs")
@given(COVERED, COVERED)
def test_two_actions_have_one_digest_only_where_everything_covered_is_equal(a: dict, b: dict) -> None:
    assert (over(a) == over(b)) == (a == b)
    assert over(a) == over(dict(reversed(a.items())))


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("project/finance", ("project", "finance", 1)),
        ("platform/finance:2", ("platform", "finance", 2)),
        ("project/user:kim", ("project", "user:kim", 1)),
        ("project/user:42", ("project", "user:42", 1)),
        ("project/user:²", ("project", "user:²", 1)),
        ("project/finance:0", ("project", "finance:0", 1)),
        ("project/:2", ("project", ":2", 1)),
    ],
)
def test_a_cure_names_a_layer_a_group_or_person_and_how_many(name: str, read: tuple[str, str, int]) -> None:
    assert people(name) == read


@given(
    st.sampled_from(["project", "tenant", "platform"]), st.sampled_from(["finance", "b.c", "x-1"]), st.integers(1, 9)
)
def test_what_a_policy_asks_for_is_read_back_from_its_name(layer: Layer, group: str, count: int) -> None:
    assert people(cure_name(cure(group, count, layer))) == (layer, group, count)


def test_a_decision_names_each_needed_approval_once() -> None:
    cures = (cure("sales"), cure("finance", 2), cure("sales"))
    assert cure_names(Decision(outcome="allow", arguments={}, cures=cures)) == ("project/finance:2", "project/sales")


@pytest.mark.parametrize(
    ("name", "shown"),
    [("project/finance", "finance"), ("project/finance:2", "finance:2"), ("platform/board", "platform/board"),
     ("project/user:kim", "user:kim")],
)  # fmt: skip
def test_people_read_their_own_groups_by_bare_name(name: str, shown: str) -> None:
    assert shown_group(name) == shown


@pytest.mark.promise("gate-distinct-cures-distinct-people")
def test_a_cure_is_met_by_as_many_different_people_as_it_asks_for() -> None:
    two = "project/finance:2"
    assert unmet([two], [signed("fay", two), signed("fay", two)]) == (two,)
    assert unmet([two], [signed("fay", two), signed("noor", two)]) == ()
    assert unmet([two], [signed("fay", two), signed("noor", "project/finance")]) == (two,)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["project/x", "project/y:2"])), max_size=6))
def test_more_signatures_never_make_a_met_cure_unmet(given_: list[tuple[str, str]]) -> None:
    cures, rows = ("project/x", "project/y:2"), [signed(*g) for g in given_]
    open_ = [set(unmet(cures, rows[:n])) for n in range(len(rows) + 1)]
    assert all(later <= earlier for earlier, later in pairwise(open_))


@pytest.mark.promise("gate-groups-belong-to-layers")
def test_approvals_reach_policy_by_layer() -> None:
    named = ["project/sales", "project/finance:2", "platform/board"]
    assert approvals(named) == {"project": ("finance:2", "sales"), "platform": ("board",)}


def test_a_member_is_in_the_group_or_named_by_it() -> None:
    assert member(FAY, "finance") and member(FAY, "user:fay")
    assert not member(FAY, "sales") and not member(FAY, "user:noor") and not member(FAY, "fay")


@pytest.mark.promise("gate-approver-is-nobody-in-the-chain", "gate-agents-never-approve")
@pytest.mark.parametrize(
    ("approver", "why"),
    [
        (Principal("service:bot"), "no person"),
        (Principal("user:fay", agent="clerk"), "no person"),
        (Principal("user:fay", assurance="os"), "may start runs, not approve"),
        (Principal("user:fay", tenant="other"), "another tenant"),
        (KIM, "asked, so user:kim cannot approve"),
    ],
)
def test_who_may_never_approve_is_told_why(approver: Principal, why: str) -> None:
    assert why in (objection(approver, ASKED, "p-1", frozenset()) or "")


def test_nobody_approves_for_whom_a_service_acted() -> None:
    asked = Authority(principal=Principal("service:desk", on_behalf_of="user:fay"))
    assert "user:fay asked" in (objection(FAY, asked, "p-1", frozenset()) or "")


def test_an_editor_does_not_approve_and_a_stranger_to_the_proposal_may() -> None:
    assert "edited this proposal" in (objection(FAY, ASKED, "p-1", frozenset({"p-1"})) or "")
    assert objection(FAY, ASKED, "p-1", frozenset({"p-2"})) is None


@pytest.mark.promise("gate-credential-owners")
def test_who_owns_a_credential_that_is_used_does_not_approve() -> None:
    assert "owns a credential" in (objection(FAY, ASKED, "p-1", frozenset(), ["p-1"]) or "")
    assert objection(FAY, ASKED, "p-1", frozenset(), ["p-2"]) is None


def test_one_person_signs_for_one_cure_only() -> None:
    cures = ("project/finance", "project/sales")
    assert cure_for(NOOR, cures, (), "noor") == "project/finance"
    assert cure_for(NOOR, cures, [signed("fay", "project/finance")], "noor") == "project/sales"
    assert cure_for(NOOR, cures, [signed("noor", "project/finance")], "noor") is None
    assert cure_for(KIM, cures, (), "kim") is None


def test_a_person_in_two_groups_signs_where_nobody_else_can() -> None:
    cures, others = ("project/finance", "project/sales"), {"user:fay": {"finance"}}
    assert cure_for(NOOR, cures, (), "noor", others) == "project/sales"
    assert cure_for(NOOR, cures, (), "noor", {"user:sam": {"sales"}}) == "project/finance"
    assert cure_for(NOOR, cures, (), "noor", others, ["project/sales"]) == "project/finance"


def test_every_signature_that_is_still_needed_has_a_slot() -> None:
    cures = ("project/finance:2", "project/sales")
    assert slots(cures) == ("finance", "finance", "sales")
    assert slots(cures, [signed("fay", "project/finance:2")]) == ("finance", "sales")


GROUPS = st.frozensets(st.sampled_from(["a", "b", "c"]))


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=4), st.dictionaries(st.sampled_from("wxyz"), GROUPS))
def test_as_many_signatures_are_filled_as_there_are_people_for_them(
    needed: list[str], by: dict[str, frozenset[str]]
) -> None:
    padded = [*by, *(["nobody"] * len(needed))]
    ways = permutations(padded, len(needed))
    best = max(sum(slot in by.get(p, ()) for slot, p in zip(needed, way, strict=True)) for way in ways)
    assert filled(needed, by) == best


@pytest.mark.promise("gate-distinct-cures-distinct-people")
@given(st.lists(st.sampled_from([KIM, FAY, NOOR]), max_size=6))
def test_whoever_signs_in_whatever_order_distinct_cures_get_distinct_people(order: list[Principal]) -> None:
    cures, rows = ("project/finance", "project/sales", "project/finance:2"), list[Mapping[str, str]]()
    for person in order:
        wanted = cure_for(person, cures, rows, person.id)
        rows += [signed(person.id, wanted)] if wanted else []
    assert len({r["by"] for r in rows}) == len(rows)
