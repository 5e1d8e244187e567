"""The names that leave: one list, of three vocabularies, each under its own prefix."""

from __future__ import annotations

import re
from pathlib import Path

from flyball.core import attributes
from flyball.core.attributes import ATTRIBUTES, METRICS, OPERATIONS, SCHEMA_URL

SOURCE = Path(attributes.__file__).parents[1]


def test_every_name_belongs_to_a_vocabulary() -> None:
    prefixes = ("gen_ai.", "flyball.", "openinference.", "error.type", "service.name", "input.value", "output.value")
    assert [name for name in (*ATTRIBUTES, *METRICS) if not name.startswith(prefixes)] == []
    assert SCHEMA_URL not in ATTRIBUTES and len(ATTRIBUTES) > 40


def test_no_other_module_writes_such_a_name() -> None:
    wanted = re.compile(r'"(gen_ai|openinference|input\.value|output\.value)[a-z_.]*"')
    found = [p.name for p in SOURCE.rglob("*.py") if wanted.search(p.read_text("utf-8"))]
    assert found == ["attributes.py"]


def test_every_operation_is_of_a_kind_that_tools_know_and_measured_where_there_is_a_metric() -> None:
    assert {kind for _, kind, _ in OPERATIONS.values()} == {"TOOL", "LLM", "AGENT", "CHAIN", "RETRIEVER"}
    assert {metric for _, _, metric in OPERATIONS.values()} - {""} <= set(METRICS)
