"""Spans: ids that come from where a thing stands, and the header that says where work hangs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.span import Origin, check_traceparent, read_traceparent, span_id, trace_id, traceparent

NAMES = st.text(max_size=20)
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@given(NAMES, NAMES, NAMES, st.integers(0, 9))
def test_ids_are_the_same_every_time_and_fit_the_wire(tenant: str, run: str, path: str, attempt: int) -> None:
    trace, span = trace_id(tenant, run), span_id(tenant, run, path, attempt)
    assert (trace, span) == (trace_id(tenant, run), span_id(tenant, run, path, attempt))
    assert re.fullmatch("[0-9a-f]{32}", trace) and re.fullmatch("[0-9a-f]{16}", span)
    assert read_traceparent(traceparent(trace, span)) == Origin(trace, span)


def test_every_place_has_an_id_of_its_own() -> None:
    places = [(t, r, p, a) for t in "ab" for r in "ab" for p in ("", "1", "1.1") for a in (0, 1, 2)]
    assert len({span_id(*place) for place in places}) == len(places)
    assert trace_id("a", "b") != trace_id("b", "a")


@pytest.mark.parametrize(
    "text",
    [
        "", "00", f"00-{TRACE}-{SPAN}", f"00-{TRACE.upper()}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"ff-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN}-1",
        f" 00-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}-01\n",
    ],
)  # fmt: skip
def test_a_header_that_says_nothing_is_none(text: str) -> None:
    assert read_traceparent(text) is None


def test_a_later_version_may_say_more() -> None:
    assert read_traceparent(f"cc-{TRACE}-{SPAN}-01-what-comes") == Origin(TRACE, SPAN)


def test_a_header_that_is_handed_in_is_checked() -> None:
    assert check_traceparent("") == "" and check_traceparent(f"00-{TRACE}-{SPAN}-00").endswith("-00")
    with pytest.raises(FlyballError) as bad:
        check_traceparent("nonsense")
    assert bad.value.code == "bad_traceparent" and "nonsense" not in str(bad.value)
