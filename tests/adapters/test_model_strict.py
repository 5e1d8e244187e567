from __future__ import annotations

from typing import Any

import pytest

from flyball.adapters.model_http.strict import MAX_OPTIONAL, MAX_UNIONS, narrowed

TEXT = {"type": "string"}


def thing(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


def test_every_object_holds_what_it_names_and_no_more() -> None:
    made = narrowed(
        thing(line={**thing(n={"type": "integer"}), "title": "Line"}, tags={"type": "array", "items": TEXT})
    )
    assert made is not None and made["additionalProperties"] is False
    assert made["properties"]["line"] == {
        **thing(n={"type": "integer"}),
        "title": "Line",
        "additionalProperties": False,
    }
    assert made["properties"]["tags"] == {"type": "array", "items": TEXT}


def test_bounds_are_left_out_because_the_answer_is_checked_anyway() -> None:
    bounded = {"type": "string", "minLength": 2, "maxLength": 9, "pattern": "a", "format": "hex", "description": "d"}
    made = narrowed(thing(a=bounded, b={"type": "number", "exclusiveMinimum": 0}, c={**TEXT, "format": "date"}))
    assert made is not None
    assert made["properties"] == {"a": {**TEXT, "description": "d"}, "b": {"type": "number"},
                                  "c": {**TEXT, "format": "date"}}  # fmt: skip


@pytest.mark.parametrize(("least", "kept"), [(1, {"minItems": 1}), (2, {})])
def test_a_list_may_be_asked_not_to_be_empty(least: int, kept: dict[str, int]) -> None:
    assert narrowed({"type": "array", "items": TEXT, "minItems": least}) == {"type": "array", "items": TEXT, **kept}


def test_choices_stay() -> None:
    either = {"oneOf": [TEXT, {"type": "null"}], "default": None}
    made = narrowed(thing(a={"enum": ["x", None, 1]}, b={"const": "k", "type": "string"}, c=either))
    assert made is not None
    assert made["properties"] == {"a": {"enum": ["x", None, 1]}, "b": {"const": "k"},
                                  "c": {"anyOf": [TEXT, {"type": "null"}], "default": None}}  # fmt: skip


def test_references_are_written_out() -> None:
    schema = {**thing(a={"$ref": "#/$defs/A"}, b={"$ref": "#/$defs/A"}), "$defs": {"A": thing(n=TEXT)}}
    made = narrowed(schema)
    assert made is not None and made["properties"]["a"] == made["properties"]["b"] == narrowed(thing(n=TEXT))
    assert "$defs" not in made


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": TEXT}, {"type": "object"}, {}, {"type": ["string", "null"]},
        {"type": "array"}, {"type": "array", "prefixItems": [TEXT], "items": TEXT}, thing(a=True), thing(a={}),
        {"enum": [{"a": 1}]}, {"$ref": "#/$defs/Gone"}, {"$ref": "https://elsewhere.example/schema"},
        {"$ref": "#/$defs/A", "$defs": {"A": thing(a={"$ref": "#/$defs/A"})}},
        {**thing(a=TEXT), "additionalProperties": True},
    ],
)  # fmt: skip
def test_what_the_form_cannot_say_gives_no_schema(schema: dict[str, Any]) -> None:
    assert narrowed(schema) is None


def test_no_schema_stays_none() -> None:
    assert narrowed(None) is None


def test_a_schema_beyond_the_providers_limits_is_not_sent() -> None:
    optional = {"type": "object", "properties": {f"p{n}": TEXT for n in range(MAX_OPTIONAL)}}
    unions = thing(**{f"p{n}": {"anyOf": [TEXT, {"type": "null"}]} for n in range(MAX_UNIONS)})
    assert narrowed(optional) is not None and narrowed(unions) is not None
    optional["properties"]["more"] = TEXT  # type: ignore[index]
    assert narrowed(optional) is None and narrowed(thing(a=unions, b={"anyOf": [TEXT]})) is None
