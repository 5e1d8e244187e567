from __future__ import annotations

from collections.abc import Callable

import pytest

from flyball.adapters.policy_cedar.engine import CedarEngine
from flyball.testing.conformance.policy import CHECKS, Subject

PUSH = 'principal, action == Action::"push", resource'
SUBJECT = Subject(
    make=CedarEngine,
    policies=f"""
        @id("all") permit (principal, action, resource);
        @id("no-huge") forbid ({PUSH}) when {{ context.input.amount > 1000 }};""",
    asking=f"""
        @id("ask-finance") @require_approval("finance") forbid ({PUSH})
        when {{ context.input.amount > 100 }} unless {{ context.approvals.contains("finance") }};""",
    shadowed=f'@id("not-yet") @shadow forbid ({PUSH});',
    overflowing=f'@id("overflows") forbid ({PUSH}) when {{ context.input.amount * 9223372036854775807 > 4 }};',
    broken={
        '@id("a") permit (principal, action, resource': "syntax",
        '@id("a") @id("a") permit (principal, action, resource);': "duplicate",
        '@id("all") permit (principal, action, resource);': "stands twice",
        "permit (principal, action, resource);": "no @id",
        f'@id("a") forbid ({PUSH}) when {{ context.input.amont > 1 }};': "Did you mean amount?",
        f'@id("a") forbid ({PUSH}) when {{ context.input.amount > "1" }};': "Long",
        f'@id("a") @require_aproval("finance") forbid ({PUSH});': "Did you mean @require_approval?",
    },
)


@pytest.mark.promise("gate-forbid-wins", case="a_forbid_wins")
@pytest.mark.promise("gate-trap-skipped-error", case="a_policy_that_fails_denies")
@pytest.mark.promise("gate-cure-lifts-its-own-forbid", case="an_approval_lifts_its_own_forbid")
@pytest.mark.promise("gate-forbid-wins", case="an_approval_lifts_no_plain_forbid")
@pytest.mark.promise("gate-default-deny", case="denies_by_default")
@pytest.mark.promise(
    "gate-unique-policy-ids",
    "gate-unknown-annotations-refused",
    case="every_fault_is_found_and_placed",
)
@pytest.mark.promise("gate-unrelated-change-voids-nothing", case="fingerprints_change_with_their_policy_alone")
@pytest.mark.promise("gate-shadow", case="shadow_is_shown_and_not_enforced")
@pytest.mark.promise("gate-law-order", case="the_digest_does_not_depend_on_files")
@pytest.mark.promise("gate-any-error-denies", case="what_cannot_be_evaluated_denies")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_a_policy_engine(check: Callable[[Subject], None]) -> None:
    check(SUBJECT)
