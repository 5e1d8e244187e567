"""A source is an inert value; what could not be governed or measured is refused where it is declared."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from flyball.core.call import Call
from flyball.core.errors import FlyballError
from flyball.core.source import Passage, highest, source


@source(tokens=100, max_age=timedelta(hours=1), sensitivity="confidential", trusted=True, required=False)
async def prices(call: Call, product: str) -> Sequence[Passage]:
    """What things cost."""
    return [Passage(product, "p/1")]


def test_a_source_is_a_read_that_leaves_nothing_outside() -> None:
    assert prices.name == "prices" and repr(prices) == "<source prices confidential>"
    action = prices.action
    assert (action.kind, action.effect, action.egress, action.pure_read) == ("context", "read", False, True)
    assert action.description == "What things cost." and list(action.input_schema["properties"]) == ["product"]


@pytest.mark.parametrize(
    "settings",
    [{"tokens": 0}, {"tokens": True}, {"tokens": 1.5}, {"tokens": 9, "max_age": timedelta(0)},
     {"tokens": 9, "sensitivity": "secret"}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(FlyballError) as refused:
        source(**settings)
    assert refused.value.code == "bad_source" and refused.value.fix


def test_a_source_is_asynchronous_and_asked_with_one_value() -> None:
    def sync(call: Call, x: str) -> Sequence[Passage]:
        return []

    async def two(call: Call, x: str, y: str) -> Sequence[Passage]:
        return []

    wrong: list[Any] = [sync, two]
    for function in wrong:
        with pytest.raises(FlyballError) as refused:
            source(tokens=1)(function)
        assert refused.value.code == "bad_source"


def test_data_is_as_sensitive_as_its_most_sensitive_part() -> None:
    assert highest([]) == "public"
    assert highest(["internal", "restricted", "confidential"]) == "restricted"
