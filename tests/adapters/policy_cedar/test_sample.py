"""Samples: made up from a schema, and taken by the tool that the schema is of."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from msgspec import Meta

from flyball import Call, tool
from flyball.adapters.policy_cedar.sample import sample
from flyball.core.signature import from_json


@tool(effect="read")
async def bounded(
    call: Call, least: Annotated[int, Meta(ge=5, multiple_of=5)], between: Annotated[int, Meta(gt=5, lt=9)],
    most: Annotated[int, Meta(le=0)], above: Annotated[float, Meta(gt=0.5)], word: Annotated[str, Meta(min_length=3)],
    pair: Annotated[list[int], Meta(min_length=2)], some: Annotated[dict[str, int], Meta(min_length=1)],
) -> int:  # fmt: skip
    """Numbers and texts with bounds."""
    return 1


@tool(effect="read")
async def shaped(
    call: Call, day: date, long: timedelta, id: UUID, raw: bytes, exact: Decimal, one: Literal["a", "b"],
    both: tuple[int, str], maybe: int | None, yes: bool,
) -> int:  # fmt: skip
    """Texts that are more than texts."""
    return 1


@pytest.mark.promise("api-policy-drafts")
@pytest.mark.parametrize("signature", [bounded.signature, shaped.signature], ids=["bounded", "shaped"])
def test_a_sample_is_taken_by_its_tool(signature: Any) -> None:
    made = {name: sample(inner) for name, inner in signature.input_schema["properties"].items()}
    assert from_json(made, signature.arguments) is not None


def test_a_sample_is_one_where_nothing_is_said() -> None:
    assert [sample({"type": kind}) for kind in ("integer", "number", "string", "boolean", "array", "object")] == [
        1, 1, "x", False, ["x"], {},
    ]  # fmt: skip
