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


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_a_policy_engine(check: Callable[[Subject], None]) -> None:
    check(SUBJECT)
