from __future__ import annotations

import pytest

from tests.adapters.policy_cedar.desk import asking, compiled, refused, with_approvals

SEND = 'principal, action == Action::"send", resource'
LIFT = 'unless { context.approvals.contains("finance") }'


@pytest.mark.promise("api-errors-say-what-why-fix")
def test_the_message_is_the_one_that_was_promised() -> None:
    policy = f"""// a comment; with a semicolon
@id("discount-over-10") @require_approval("finance")
forbid ({SEND}) when {{ context.input.discont > 10 }} {LIFT};"""
    assert [str(f) for f in refused(policy)] == [
        (
            "desk.cedar:2 discount-over-10: context.input.discont does not exist on send (to, subject, body, discount)."
            " Did you mean discount?"
        )
    ]


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("context.inputs.to == 1", "context.inputs does not exist"),
        ('principal.tenat == "x"', "tenat"),
        ("context.input.discount > 1.5", "syntax"),
        ("context.input.to > 5", "Long"),
        ('resource in Custmer::"a"', "Did you mean Customer?"),
        ("context.budget.left.dollars > 1", "context.budget.left.dollars does not exist"),
        ("context.history.paid > 1", "context.history.paid does not exist on send (it has none)"),
    ],
)
def test_a_wrong_condition_says_what_and_where(condition: str, said: str) -> None:
    found = refused(f'@id("x") forbid ({SEND}) when {{ {condition} }};')
    assert any(said in str(f) for f in found), found


@pytest.mark.promise("gate-unknown-annotations-refused")
@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (
            '@id("x") forbid (principal, action == Action::"sent", resource);',
            "there is no action sent. Did you mean send?",
        ),
        ('@id("x") forbid (principal in Grup::"a", action == Action::"send", resource);', "Did you mean Group?"),
        ('@id("x") forbid (principal, action == Action::"send", resource is Customer);', "no action can ever match"),
        (f'@id("x y") forbid ({SEND});', "'x y' is no id"),
        (f'@id("x") @reason forbid ({SEND});', "@reason has no value"),
        (f'@id("x") @odd("y") forbid ({SEND});', "Known are @id"),
        (f'@id("x") @modify("add:/a") forbid ({SEND});', "Write drop:/p"),
        (f'@id("x") @require_approval("a b") forbid ({SEND});', "names no group"),
        (f'@id("x") forbid ({SEND}) when {{ context.input.tags.contains("a") }};', "context.input.tags does not exist"),
        (
            '@id("x") forbid (principal, action == Action::"save", resource) when { context.input.tags.isEmpty() };',
            "may be absent",
        ),
    ],
)
def test_a_wrong_policy_says_what_and_where(policy: str, said: str) -> None:
    found = refused(policy)
    assert any(said in str(f) for f in found), found


def test_an_argument_that_may_be_absent_says_how_to_ask() -> None:
    found = refused(
        '@id("x") forbid (principal, action == Action::"save", resource) when { context.input.person.ssn == "1" };'
    )
    assert found[0].fix == "Ask first: context.input.person has ssn && ..."


def test_all_findings_come_at_once_in_the_order_of_lines() -> None:
    found = refused(*(f'@id("x{n}") forbid ({SEND}) when {{ context.input.no{n} == 1 }};' for n in range(12)))
    assert [f.where for f in found] == [f"desk.cedar:{n + 1} x{n}" for n in range(12)]


def test_a_policy_wrong_for_many_actions_is_not_repeated_for_each() -> None:
    found = refused('@id("x") forbid (principal, action, resource) when { context.input.to == "a" };')
    assert len(found) == 4 and "more of the kind" in found[3].what and "on look" in found[0].what


def test_known_annotations_are_kept() -> None:
    bundle = compiled(
        f'@id("a") @reason("limit") @description("why") @notify("ops") forbid ({SEND}) when {{ context.run.tainted }};'
    ).bundle
    assert bundle.reasons == {"a": "limit"} and "a" in bundle.fingerprints


def test_an_action_group_and_a_text_with_brackets_are_read() -> None:
    policy = (
        f'@id("a") @require_approval("finance") forbid ({SEND}) when {{ context.input.subject == "(;//\\"" }} {LIFT};'
    )
    assert compiled(policy).bundle.cures["a"].group == "finance"


@pytest.mark.promise("gate-built-in-permits")
def test_built_in_permits_are_in_every_bundle_and_forbids_still_apply() -> None:
    assert [i for i in compiled().bundle.ids if i.startswith("flyball.")] == [
        "flyball.activate",
        "flyball.approve",
        "flyball.forget",
        "flyball.forget-as-admin",
        "flyball.start",
    ]


@pytest.mark.promise("gate-context-is-complete")
def test_facts_around_the_proposal_can_be_asked() -> None:
    policy = f"""@id("a") @require_approval("finance") forbid ({SEND})
    when {{ context.origin.to == "unknown" || context.run.did.contains("look") || context.time.hour > 20 }} {LIFT};"""
    bundle = compiled(policy)
    assert bundle.evaluate(asking("send", origin={"to": "request"})).allow
    assert not bundle.evaluate(asking("send")).allow
    assert not bundle.evaluate(asking("send", origin={"to": "request"}, did=("look",))).allow
    assert bundle.evaluate(with_approvals(asking("send"), "finance")).allow
