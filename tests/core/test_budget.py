"""Budget arithmetic: integers, never negative, never past a limit."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.budget import (
    DIMENSIONS,
    NO_LIMIT,
    TENANT,
    UNLIMITED,
    ZERO,
    Amounts,
    Limit,
    costless,
    dated,
    exceeded,
    left,
    micro_dollars,
    minus,
    of_agent,
    plus,
    tightest,
)
from flyball.core.errors import FlyballError

SOME = st.integers(0, 2**40)
AMOUNTS = st.builds(Amounts, **dict.fromkeys(DIMENSIONS, SOME))
LIMITS = st.builds(Limit, **{d: st.just(NO_LIMIT) | SOME for d in DIMENSIONS})


def test_dimensions_are_named_in_the_order_of_the_fields() -> None:
    assert Amounts.__struct_fields__ == Limit.__struct_fields__ == DIMENSIONS


@given(AMOUNTS, AMOUNTS)
def test_what_is_added_can_be_taken_away(a: Amounts, b: Amounts) -> None:
    assert minus(plus(a, b), b) == a
    assert plus(a, b) == plus(b, a)


@given(AMOUNTS, AMOUNTS)
def test_a_difference_is_never_negative(a: Amounts, b: Amounts) -> None:
    assert all(getattr(minus(a, b), d) >= 0 for d in DIMENSIONS)


@given(LIMITS, AMOUNTS, AMOUNTS)
def test_what_is_granted_stays_within_every_wanted_limit(limit: Limit, used: Amounts, wanted: Amounts) -> None:
    if exceeded(limit, used, wanted) is None:
        total = plus(used, wanted)
        for d in DIMENSIONS:
            most = getattr(limit, d)
            assert most == NO_LIMIT or getattr(wanted, d) == 0 or getattr(total, d) <= most


@given(LIMITS, AMOUNTS)
def test_exactly_what_is_left_can_still_be_had(limit: Limit, used: Amounts) -> None:
    rest = left(limit, used)
    wanted = Amounts(**{d: max(0, getattr(rest, d)) for d in DIMENSIONS})
    assert exceeded(limit, used, wanted) is None


def test_the_first_dimension_that_is_passed_is_named() -> None:
    assert exceeded(Limit(calls=1, usd=5), Amounts(calls=1), Amounts(calls=1, usd=9)) == "calls"
    assert exceeded(Limit(calls=1, usd=5), Amounts(calls=1), Amounts(usd=6)) == "usd"


def test_a_dimension_that_is_not_wanted_never_refuses() -> None:
    assert exceeded(Limit(usd=5), Amounts(usd=9), Amounts(calls=1)) is None


def test_without_a_limit_everything_is_granted() -> None:
    assert exceeded(UNLIMITED, ZERO, Amounts(usd=2**60)) is None


@given(LIMITS, LIMITS, AMOUNTS, AMOUNTS)
def test_the_tightest_limit_refuses_what_either_refuses(a: Limit, b: Limit, used: Amounts, wanted: Amounts) -> None:
    either = exceeded(a, used, wanted) is not None or exceeded(b, used, wanted) is not None
    assert (exceeded(tightest(a, b), used, wanted) is not None) == either


@pytest.mark.parametrize(("written", "micros"), [("0.05", 50_000), (1, 10**6), (Decimal("2.5"), 2_500_000), ("0", 0)])
def test_dollars_become_whole_micro_dollars(written: str | Decimal | int, micros: int) -> None:
    assert micro_dollars(written) == micros


@pytest.mark.promise("gate-budgets-are-a-tree", "api-money-is-no-float")
@pytest.mark.parametrize("written", [0.05, True])
def test_money_in_floats_is_refused(written: float) -> None:
    with pytest.raises(FlyballError) as caught:
        micro_dollars(written)  # type: ignore[arg-type]  # what a person may pass anyway
    assert caught.value.code == "float_money"


TINY = "0.1" + "0" * 40 + "1"


@pytest.mark.parametrize(
    "written", ["five", "", "0.0000001", TINY, "-1", "NaN", "sNaN", "Infinity", "1e400000", "9223372036855"]
)
def test_what_is_no_amount_is_refused(written: str) -> None:
    with pytest.raises(FlyballError) as caught:
        micro_dollars(written)
    assert caught.value.code == "bad_money"


def test_a_tenant_s_node_is_that_of_the_day_and_others_have_none() -> None:
    day = 86_400_000_000
    assert [dated(TENANT, now) for now in (0, day - 1, day)] == ["tenant/0", "tenant/0", "tenant/1"]
    assert dated("run/r-1", day) == "run/r-1"


def test_an_agent_s_node_over_all_runs_is_that_of_the_day_and_its_node_in_a_run_is_not() -> None:
    day = 86_400_000_000
    assert [dated(of_agent("writer"), now) for now in (0, day)] == ["agents/writer/0", "agents/writer/1"]
    assert dated("agent/r-1/1", day) == "agent/r-1/1"


def test_caps_alone_limit_nothing_that_an_action_costs() -> None:
    assert costless(UNLIMITED) and costless(Limit(open_approvals=1, asks=1, denials=1))
    assert not costless(Limit(usd=0)) and not costless(Limit(ms=1, denials=1))
