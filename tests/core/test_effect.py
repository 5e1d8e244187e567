"""What a tool says it does to the world decides what may be tried again."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.effect import Action, Effect, Idempotency, Rate, Retry, may_retry, parse_rate, precondition_of
from flyball.core.errors import FlyballError

SECOND = timedelta(seconds=1)


@pytest.mark.promise("api-retries")
def test_waits_grow_up_to_the_most() -> None:
    retry = Retry(first=SECOND, factor=2.0, most=timedelta(seconds=5))
    assert [retry.wait(n).total_seconds() for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 5, 5]


@given(st.integers(1, 100_000), st.floats(0.5, 1e6))
def test_no_wait_is_longer_than_the_most_however_often_it_is_tried(attempt: int, factor: float) -> None:
    assert timedelta(0) <= Retry(first=SECOND, factor=factor, most=10 * SECOND).wait(attempt) <= 10 * SECOND


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(count=10, seconds=1)),
        ("100/minute", Rate(count=100, seconds=60)),
        ("5/2s", Rate(count=5, seconds=2)),
        (" 1 / 3 hour ", Rate(count=1, seconds=10800)),
        ("7/d", Rate(count=7, seconds=86400)),
    ],
)
def test_a_rate_reads_count_per_time(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "10", "0/s", "-1/s", "ten/s", "1/fortnight", "²/s", "5/0s", "5/00s", "1/2.5s"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(FlyballError, match='write "10/s"') as caught:
        parse_rate(text)
    assert caught.value.code == "bad_rate"


@pytest.mark.promise("journal-nothing-unknown-is-retried")
@pytest.mark.parametrize("effect", ["read", "reversible", "irreversible"])
@pytest.mark.parametrize("idempotency", ["key", "probe", "none"])
@pytest.mark.parametrize("certain", [True, False])
def test_only_a_read_a_key_or_certainty_allow_another_try(
    effect: Effect, idempotency: Idempotency, certain: bool
) -> None:
    action = Action(name="a", effect=effect, idempotency=idempotency)
    assert may_retry(action, certain=certain) == (certain or effect == "read" or idempotency == "key")


@pytest.mark.promise("journal-reads-skip-only-the-fsync")
@pytest.mark.parametrize(
    ("effect", "egress", "pure"), [("read", False, True), ("read", True, False), ("reversible", False, False)]
)
def test_a_read_that_leaks_is_not_pure(effect: Effect, egress: bool, pure: bool) -> None:
    action = Action(name="a", effect=effect, egress=egress)
    assert action.pure_read is pure and action.group == effect


def test_an_action_that_says_nothing_is_the_most_dangerous_kind() -> None:
    action = Action(name="a")
    assert (action.effect, action.egress, action.idempotency) == ("irreversible", True, "none")


@pytest.mark.promise("gate-precondition-is-a-read")
def test_the_precondition_of_an_action_is_a_read_that_leaks_nothing_and_is_made_once() -> None:
    send = Action(
        name="send", risk="high", cost=5, rate=parse_rate("1/s"), critical=frozenset({"to"}), credentials=("smtp",),
        isolation="process", idempotency="key",
    )  # fmt: skip
    read = precondition_of(send)
    assert (read.name, read.pure_read, read.risk, read.cost, read.rate) == ("send.requires", True, "low", 0, None)
    assert (read.credentials, read.isolation, read.critical) == (send.credentials, send.isolation, send.critical)
    assert read.retry.attempts == 1 and read.precondition and not send.precondition
