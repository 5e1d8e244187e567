"""Signals are named, in a range, and exact from then on."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.signals import FURTHEST, Scale, amount, number, units

KNOWN = {"quality": Scale(), "degrees": Scale(least=-40, most=120.5)}


@given(st.floats(-FURTHEST, FURTHEST))
def test_a_value_is_kept_to_four_places_and_no_reader_of_json_loses_it(value: float) -> None:
    kept = number(units(value))
    assert abs(kept - Decimal(repr(value))) <= Decimal("0.00005")
    assert abs(units(value)) < 2**53 and units(float(kept)) == units(value)


def test_both_ends_of_a_range_are_in_it() -> None:
    assert [amount(KNOWN, "degrees", end) for end in (-40, 120.5)] == [-400_000, 1_205_000]
    assert [amount(KNOWN, "quality", end) for end in (0, 1)] == [0, 10_000]


@pytest.mark.parametrize("value", [1.0001, -0.1, float("nan"), float("inf"), True, "0.5", None])
def test_what_is_no_number_of_the_range_is_refused(value: float) -> None:
    with pytest.raises(FlyballError, match="quality cannot be") as refused:
        amount(KNOWN, "quality", value)
    assert refused.value.code == "bad_signal"


def test_a_name_that_nobody_declared_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(FlyballError, match="Did you mean quality") as refused:
        amount(KNOWN, "qualty", 0.5)
    assert refused.value.code == "unknown_signal"
    with pytest.raises(FlyballError, match=r"Write \[signals.mood\] into flyball.toml"):
        amount({}, "mood", 0.5)
