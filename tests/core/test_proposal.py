"""A proposal is a frozen record; where attempts differ, each is made as its own variant says."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from flyball.core.budget import Amounts
from flyball.core.effect import Action
from flyball.core.identity import Authority, Principal
from flyball.core.origin import Origins
from flyball.core.policy import Node, Uid
from flyball.core.policy_context import Facts
from flyball.core.proposal import Inputs, Performer, Place, Proposal, Variant, at_attempt

PLACE = Place(tenant="acme", run="r-1", path="3", fence=None, release="", subjects=(), subject="user:kim")


def proposal(performer: Performer, **more: Any) -> Proposal:
    return Proposal(
        place=PLACE, action=Action(name="ask"), performer=performer,
        authority=Authority(principal=Principal("user:kim")), arguments={}, origins=Origins(), **more,
    )  # fmt: skip


def variant(attempt: int) -> Variant:
    model = Uid("Model", f"m-{attempt}")
    return Variant(
        resource=model, entities=(Node(uid=model),), reserved=Amounts(tokens=attempt) if attempt < 3 else None
    )


def test_what_taints_a_run_is_its_own_and_that_of_the_run_it_acts_in() -> None:
    assert PLACE.taints == ("taint:r-1",)
    assert replace(PLACE, within="r-9").taints == ("taint:r-1", "taint:r-9")


def test_without_variants_every_attempt_is_the_same() -> None:
    one = proposal(Performer(perform=print), attempt=2)
    assert at_attempt(one) is one


@pytest.mark.parametrize(("attempt", "reserved"), [(1, Amounts(tokens=1)), (2, Amounts(tokens=2)), (3, None)])
def test_an_attempt_has_the_resource_and_reservation_of_its_variant(attempt: int, reserved: Amounts | None) -> None:
    made = at_attempt(proposal(Performer(perform=print, variant=variant), attempt=attempt))
    assert made.resource == Uid("Model", f"m-{attempt}") and made.entities == (Node(uid=made.resource),)
    assert made.performer.reserved == reserved
    assert at_attempt(made) == made


def test_a_proposal_cannot_be_changed_and_shares_no_mutable_default() -> None:
    one, other = proposal(Performer(perform=print)), proposal(Performer(perform=print))
    with pytest.raises(AttributeError):
        one.attempt = 2  # type: ignore[misc]
    assert one.extra is not other.extra and one.labels is not other.labels
    assert replace(one, attempt=2).attempt == 2


def test_what_a_decision_read_is_recorded_and_read_back() -> None:
    inputs = Inputs(
        action="pay", links=(Uid("User", "kim"),), resource=Uid("Tool", "pay"),
        entities=(Node(uid=Uid("Tool", "pay")),), origins={"to": "request"},
        facts=Facts(did=("look",), now=5), approvals={"project": ("finance",)},
    )  # fmt: skip
    assert msgspec.json.decode(msgspec.json.encode(inputs), type=Inputs) == inputs
