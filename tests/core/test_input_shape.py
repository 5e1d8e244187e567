from __future__ import annotations

from typing import Any

import pytest

from flyball.core.effect import Action, precondition_of
from flyball.core.input_shape import Shape, action_word, derived_names, input_shape, seen, shape_findings

TEXT, WHOLE, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def tool(properties: dict[str, Any], **more: Any) -> Action:
    required = more.pop("required", list(properties))
    return Action(
        name=more.pop("name", "do"),
        input_schema={"type": "object", "properties": properties, "required": required},
        **more,
    )


def shape(schema: Any, **more: Any) -> Shape:
    return input_shape(tool({"x": schema}, **more)).record.fields["x"]


def findings(*actions: Action) -> str:
    return "\n".join(map(str, shape_findings(actions)))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (TEXT, "text"),
        (WHOLE, "whole"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "flag"),
        ({"enum": ["a", "b"]}, "text"),
        ({"enum": [1, 2]}, "whole"),
        ({"const": True}, "flag"),
        ({"enum": ["a", 1]}, "opaque"),
        ({"enum": []}, "opaque"),
        ({"const": 1.5}, "opaque"),
        ({"type": "string", "format": "decimal"}, "number"),
        ({"type": "array", "items": TEXT}, "many"),
        ({"type": "array", "prefixItems": [TEXT, TEXT]}, "many"),
        ({"type": "array", "prefixItems": [TEXT, WHOLE]}, "opaque"),
        ({"type": "array"}, "opaque"),
        ({"type": "object", "properties": {"a": TEXT}}, "record"),
        ({"type": "object", "properties": {}}, "record"),
        ({"type": "object"}, "opaque"),
        ({"type": "object", "additionalProperties": WHOLE}, "opaque"),
        ({"type": "object", "properties": {"a": TEXT}, "additionalProperties": True}, "opaque"),
        ({"anyOf": [TEXT, WHOLE]}, "opaque"),
        ({"anyOf": [WHOLE, {"type": "number"}]}, "number"),
        ({"oneOf": [TEXT, TEXT]}, "text"),
        ({"type": ["string", "integer"]}, "opaque"),
        ({"anyOf": [NULL]}, "opaque"),
        ({}, "opaque"),
        (True, "opaque"),
        ({"type": "strange"}, "opaque"),
        ({"type": 3}, "opaque"),
    ],
)
def test_each_schema_has_one_shape(schema: Any, kind: str) -> None:
    assert shape(schema).kind == kind


@pytest.mark.parametrize(
    "schema",
    [{"anyOf": [TEXT, NULL]}, {"type": ["string", "null"]}, {"enum": ["a", None]}, {"anyOf": [{"enum": ["a", None]}]}],
)
def test_what_may_be_null_is_optional(schema: Any) -> None:
    found = shape(schema)
    assert found.kind == "text" and found.optional


def test_what_is_not_required_is_optional_unless_it_has_a_default() -> None:
    fields = input_shape(tool({"a": TEXT, "b": {**TEXT, "default": "x"}, "c": TEXT}, required=["a"])).record.fields
    assert [fields[n].optional for n in "abc"] == [False, False, True]


def test_what_is_nested_too_deeply_is_opaque() -> None:
    schema: dict[str, Any] = TEXT
    for _ in range(10):
        schema = {"type": "object", "properties": {"a": schema}}
    assert shape(schema).opaque_at("x") == ("x" + "/a" * 8,)


@pytest.mark.promise("gate-opaque-arguments")
def test_places_that_policy_cannot_see_are_named() -> None:
    inner = {"type": "object", "properties": {"a": TEXT, "b": {}}}
    assert shape({"type": "array", "items": inner}).opaque_at("x") == ("x/*/b",)
    assert shape(inner).opaque_at() == ("b",) and shape(TEXT).opaque_at("x") == ()


@pytest.mark.promise("gate-every-action-has-an-input")
def test_actions_that_are_no_tools_have_an_empty_input() -> None:
    agent = tool({"x": TEXT}, kind="agent", name="clerk", refs={"x": "Customer"})
    found = input_shape(agent)
    assert (found.action, found.ref, found.record.fields) == ("agent", None, {})
    assert action_word(tool({}, kind="policy")) == "activate" and action_word(tool({})) == "do"


def test_the_argument_that_names_the_resource_is_kept() -> None:
    found = input_shape(tool({"x": TEXT}, refs={"x": "Customer"}))
    assert (found.ref, found.entity) == ("x", "Customer")


@pytest.mark.parametrize(
    ("name", "schema", "derived", "strict"),
    [
        ("to", TEXT, "addresses", False),
        ("to", {"type": "array", "items": TEXT}, "addresses", False),
        ("billing_email", TEXT, "addresses", False),
        ("url", TEXT, "url", False),
        ("Shop_URL", TEXT, "url", False),
        ("x", {**TEXT, "format": "email"}, "addresses", True),
        ("x", {**TEXT, "format": "uri"}, "url", True),
        ("x", {"type": "array", "items": {**TEXT, "format": "email"}}, "addresses", True),
        ("x", TEXT, None, False),
        ("to", WHOLE, None, False),
        ("x", {"anyOf": [TEXT, NULL]}, None, False),
    ],
)
def test_who_is_addressed_is_derived(name: str, schema: Any, derived: str | None, strict: bool) -> None:
    found = input_shape(tool({name: schema}, critical=frozenset({name}))).record.fields[name]
    assert (found.derived, found.strict) == (derived, strict)


def test_only_critical_arguments_are_taken_by_their_name() -> None:
    assert input_shape(tool({"to": TEXT})).record.fields["to"].derived is None


def test_derived_names_are_those_in_the_context() -> None:
    assert derived_names("to", Shape(kind="text", derived="addresses")) == ("to_addresses", "to_domains")
    assert derived_names("u", Shape(kind="text", derived="url")) == ("u_domains",)
    assert derived_names("x", Shape(kind="text")) == ()


def test_what_is_wrong_with_the_arguments_of_a_tool_is_not_said_again_of_its_precondition() -> None:
    action = tool({"a": {}}, critical=frozenset({"a"}))
    assert findings(action, precondition_of(action)) == findings(action) != ""


def test_tools_that_can_be_governed_have_no_findings() -> None:
    assert findings(tool({"to": TEXT}, critical=frozenset({"to"})), Action(name="clerk", kind="agent")) == ""


@pytest.mark.promise("gate-argument-names-are-checked")
@pytest.mark.parametrize(
    ("action", "what"),
    [
        (tool({"a": {}}, critical=frozenset({"a"})), "critical argument a"),
        (
            tool(
                {"a": {"type": "array", "items": {"type": "object", "properties": {"b": {}}}}},
                critical=frozenset({"a"}),
            ),
            "a/*/b",
        ),
        (tool({"to": TEXT, "to_domains": TEXT}, critical=frozenset({"to"})), "Rename to_domains"),
        (tool({"__x": TEXT}), "begins with __"),
        (tool({"a": TEXT, "b": TEXT}, refs={"a": "X", "b": "Y"}), "a and b each name a resource"),
        (tool({}, name="Model"), "already means"),
    ],
)
def test_what_cannot_be_governed_is_found(action: Action, what: str) -> None:
    assert what in findings(action)


def test_names_that_read_alike_are_found() -> None:
    assert "the tools do and Do read as one name" in findings(tool({}), tool({}, name="Do"))


def test_of_a_model_call_policy_sees_who_asks_and_the_labels_of_what_is_shown() -> None:
    model = Action(name="model", kind="model", effect="read")
    assert set(input_shape(model).record.fields) == {"agent", "role", "sensitivity", "sources"}
    assert seen(model, {"sensitivity": "restricted", "digest": "x"}) == {
        "agent": "", "role": "", "sensitivity": "restricted", "sources": [],
    }  # fmt: skip


def test_of_all_but_tools_and_models_policy_sees_no_arguments() -> None:
    assert seen(Action(name="t"), {"a": 1}) == {"a": 1}
    assert seen(Action(name="notes", kind="context"), {"a": 1}) == {}
    assert input_shape(Action(name="notes", kind="context")).record.fields == {}
