"""Limits as people write them mean the integers that budgets count."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.budget import DIMENSIONS, NO_LIMIT, UNLIMITED, Limit
from flyball.core.errors import FlyballError
from flyball.core.limits import Limits, counted, written

# What is stored is capped by the configuration, and written in no `Limits`.
WRITTEN = [d for d in DIMENSIONS if d != "stored"]
COUNTED = st.builds(Limit, **{d: st.just(NO_LIMIT) | st.integers(0, 2**40) for d in WRITTEN})


@given(COUNTED)
def test_what_is_written_out_is_counted_as_before(limit: Limit) -> None:
    assert counted(written(limit)) == limit


def test_no_limits_are_no_limit() -> None:
    assert counted(None) == counted(Limits()) == UNLIMITED
    assert written(UNLIMITED) == Limits()


def test_seconds_and_dollars_become_milliseconds_and_micro_dollars() -> None:
    limit = counted(Limits(steps=8, seconds=1.001, tokens=9, usd="0.20", calls=0, effects=1))
    assert limit == Limit(steps=8, ms=1001, tokens=9, usd=200_000, calls=0, effects=1)
    assert counted(Limits(usd=Decimal("0.05"))).usd == 50_000
    assert counted(Limits(open_approvals=3, asks=2, denials=0)) == Limit(open_approvals=3, asks=2, denials=0)


NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.promise("api-wrong-words-fail-early", "api-money-is-no-float")
@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"usd": 0.05}, "float_money"),
        ({"usd": "a lot"}, "bad_money"),
        ({"steps": -1}, "bad_limit"),
        ({"steps": 2.5}, "bad_limit"),
        ({"calls": True}, "bad_limit"),
        ({"denials": -1}, "bad_limit"),
        ({"open_approvals": 1.5}, "bad_limit"),
        ({"seconds": -0.1}, "bad_limit"),
        ({"seconds": True}, "bad_limit"),
        ({"seconds": NAN}, "bad_limit"),
        ({"seconds": INFINITY}, "bad_limit"),
    ],
)
def test_what_is_no_limit_is_refused_where_it_is_written(limits: dict[str, Any], code: str) -> None:
    with pytest.raises(FlyballError) as caught:
        Limits(**limits)
    assert caught.value.code == code
