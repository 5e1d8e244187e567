"""What the child process does, in this one: only texts that are known not to crash the parser."""

from __future__ import annotations

import cedarpy
import pytest

from flyball.adapters.policy_cedar.check import MAX_BRACKETS, check, statements
from flyball.adapters.policy_cedar.evaluate import evaluate
from flyball.core.policy import Uid

PERMIT = "permit (principal, action, resource);"


def test_policies_are_split_outside_strings_comments_and_brackets() -> None:
    text = f'// a;\n@id("x;\\"") {PERMIT} // b;\n\n{PERMIT}\n// end'
    assert [(s.line, s.depth) for s in statements(text)] == [(2, 1), (4, 1), (5, 0)][:2]


def test_what_is_left_open_is_a_statement_too() -> None:
    assert [s.text for s in statements(PERMIT + " permit (")] == [PERMIT, "permit ("]
    assert [s.text for s in statements('permit "')] == ['permit "']


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "permit (principal, action, resource) when { " + "(" * MAX_BRACKETS + "true" + ")" * MAX_BRACKETS + " };",
            "nested",
        ),
        ("permit (principal, action, resource) when { " + " && ".join(["true"] * 100) + " };", "nested too deeply"),
        ("permit (principal, action, resource) when { " + " && ".join(["true"] * 1000) + " };", "nested too deeply"),
        ("permit (principal, action, resource) when { !!!!!!!!true };", "syntax"),
        ("permit (principal == ?principal, action, resource);", "templates"),
    ],
)
def test_what_cannot_be_taken_is_a_fault(text: str, said: str) -> None:
    found = check({"a": text}, "")
    assert said in found["faults"][0]["what"] and found["faults"][0]["line"] == 1


@pytest.mark.parametrize(
    "schema",
    ['entity A; action "a" appliesTo { principal: [A], resource: [A] };', '{"": {"entityTypes": {}, "actions": {}}}'],
)
def test_policies_are_validated_under_a_schema_of_either_form(schema: str) -> None:
    found = check({"a": '@id("x") permit (principal is B, action, resource);'}, schema)
    assert found["policies"][0]["est"]["effect"] == "permit" and found["faults"][0]["id"] == "x"


def test_files_are_read_in_the_order_of_their_names() -> None:
    assert [p["file"] for p in check({"b": PERMIT, "a": PERMIT}, "")["policies"]] == ["a", "b"]


def test_whatever_the_engine_raises_is_an_answer() -> None:
    policies, entities = cedarpy.PolicySet.from_str(PERMIT), cedarpy.Entities.from_json_str("[]")
    schema = cedarpy.Schema.from_str('entity A; action "a" appliesTo { principal: [A], resource: [A] };')
    who = (Uid("A", "x"), Uid("Action", "a"), Uid("A", "x"))
    assert evaluate(policies, schema, entities, who, "{}").allow
    for principal, context in (
        (Uid("no type", "x"), "{}"),
        (Uid("B", "x"), "{}"),
        (Uid("A", "x"), "{"),
        (Uid("A", "x"), '{"a":1}'),
    ):
        answer = evaluate(policies, schema, entities, (principal, *who[1:]), context)
        assert not answer.allow and answer.errors[0].startswith("request_invalid")
