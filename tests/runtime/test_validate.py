"""Validate: policy sees the parsed arguments as data, and the tool gets them as its types."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from flyball import Call, Critical, Executed, tool
from flyball.testing import Lab

GOT: list[Any] = []


@dataclass(frozen=True)
class Line:
    sku: str
    pieces: int = 1


@tool(effect="irreversible")
async def order(call: Call, due: Critical[date], lines: list[Line], note: str = "none") -> None:
    """Order something."""
    GOT[:] = [due, lines, note]


POLICY = """
@id("all") permit (principal, action, resource);
@id("seen") forbid (principal, action == Action::"order", resource) unless { context.input.note == "none" };
"""


@pytest.mark.promise("gate-tool-gets-the-parsed-form")
async def test_a_tool_gets_the_parsed_form_of_what_policy_saw() -> None:
    async with Lab(policies=POLICY, project=[sys.modules[__name__]]) as bench:
        told = await bench.act(order, {"due": "2026-03-01", "lines": [{"sku": "a"}]}, call_id="1")
        assert isinstance(told, Executed) and [date(2026, 3, 1), [Line("a")], "none"] == GOT
        (intent,) = [r for r in bench.records() if r.kind == "intent" and r.facts["action"] == "order"]
        assert intent.private is not None
        assert intent.private["args"] == {"due": "2026-03-01", "lines": [{"sku": "a", "pieces": 1}], "note": "none"}
