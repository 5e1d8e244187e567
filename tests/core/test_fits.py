"""What a person typed is refused where it cannot fit, with the place."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.core.fits import misfit
from flyball.core.signature import schema_for

ORDER = {"type": "object", "properties": {"n": {"type": "integer"}, "to": {"enum": ["a", "b"]}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        ({"n": 1, "to": "a", "more": 1}, ORDER, None),
        ({"n": "1"}, ORDER, "/n is no integer: '1'"),
        ({"n": True}, ORDER, "/n is no integer: True"),
        ({"n": 1, "to": "c"}, ORDER, "/to is none of ['a', 'b']: 'c'"),
        ({"to": "a"}, ORDER, "/n is missing"),
        ("x", ORDER, "it is no object: 'x'"),
        ([1, "2"], {"type": "array", "items": {"type": "number"}}, "/1 is no number: '2'"),
        ([1, 2.5], {"type": "array", "items": {"type": "number"}}, None),
        (None, {"anyOf": [{"type": "string"}, {"type": "null"}]}, None),
        (1, {"anyOf": [{"type": "string"}, {"type": "null"}]}, "it is no string: 1"),
        (object, {}, None),
        (1, {"type": "unheard-of"}, None),
    ],
)
def test_a_value_is_held_against_its_schema(value: Any, schema: Any, told: str | None) -> None:
    assert misfit(value, schema) == told


def test_nothing_is_no_text() -> None:
    assert misfit(None, schema_for(str)) == "it is no string: None"
