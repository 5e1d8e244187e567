from __future__ import annotations

import pickle

import pytest

from flyball.core.modify import parse_modifier
from flyball.core.policy import Bundle, Cure, Finding, PolicyError


@pytest.mark.parametrize(("people", "approval"), [(1, "finance"), (2, "finance:2")])
def test_a_cure_says_what_approvals_must_contain(people: int, approval: str) -> None:
    assert Cure(policy="p", layer="project", group="finance", people=people).approval == approval


def test_a_modifier_needs_no_approval() -> None:
    assert Cure(policy="p", layer="project", modifier=parse_modifier("drop:/a")).approval == ""


def test_a_refusal_says_every_finding_on_a_line_and_survives_pickling() -> None:
    found = (Finding(where="a:1 x", what="it is wrong", fix="Right it."), Finding(where="b", what="so is this"))
    error = pickle.loads(pickle.dumps(PolicyError(found)))
    assert error.findings == found and error.code == "policy_refused"
    assert str(error) == "a:1 x: it is wrong. Right it.\nb: so is this."


@pytest.mark.promise("gate-shadow")
@pytest.mark.parametrize(
    ("shadow", "enforced"), [(frozenset(), True), (frozenset("a"), True), (frozenset("ab"), False)]
)
def test_a_bundle_wholly_in_shadow_abstains(shadow: frozenset[str], enforced: bool) -> None:
    bundle = Bundle(layer="project", name="n", digest="", content=b"", ids=("a", "b"), cures={}, shadow=shadow)
    assert bundle.enforced is enforced
