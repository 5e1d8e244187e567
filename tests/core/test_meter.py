"""The meter: sums that only grow, whoever counts and however often it stops in between."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyball.core import attributes as name
from flyball.core.meter import BOUNDS, MOST_SERIES, Meter, Series, measured
from flyball.core.span import Span


def span(seconds: float = 1.0, **attributes: object) -> Span:
    told = {getattr(name, key): value for key, value in attributes.items()}
    return Span(trace="", id="", name="", start=0, end=int(seconds * 1_000_000), attributes=told)  # type: ignore[arg-type]


CALL = {"ATTEMPT": 1, "TENANT": "acme", "OPERATION": "execute_tool", "TOOL_NAME": "pay", "ACTION": "pay",
        "DECISION": "allow", "REASON": "permitted", "STATUS": "executed"}  # fmt: skip
CHAT = {**CALL, "OPERATION": "chat", "REQUEST_MODEL": "m", "INPUT_TOKENS": 11, "OUTPUT_TOKENS": 7, "COST": 0.25}


def of(meter: Meter, metric: str) -> list[Series]:
    return [one for one in meter.series if one.metric == metric]


def test_a_duration_falls_under_its_bound() -> None:
    meter = measured(Meter(), "acme", [span(0.01, **CALL), span(0.3, **CALL), span(1e7, **CALL)], {}, 5)
    [one] = of(meter, "gen_ai.execute_tool.duration")
    assert (one.count, one.buckets[0], one.buckets[BOUNDS.index(0.32)], one.buckets[-1]) == (3, 1, 1, 1)
    assert len(one.buckets) == len(BOUNDS) + 1 and meter.since == 5


def test_tokens_and_cost_add_up() -> None:
    meter = measured(measured(Meter(), "acme", [span(**CHAT)], {}, 5), "acme", [span(**CHAT)], {}, 9)
    sums = {one.metric: one.sum for one in meter.series}
    assert sums["gen_ai.client.inference.usage.input_tokens"] == 22 and sums["flyball.cost"] == 0.5
    assert sums["gen_ai.client.inference.usage.output_tokens"] == 14 and meter.since == 5


def test_a_denial_is_a_decision_and_no_duration() -> None:
    meter = measured(Meter(), "acme", [span(**{**CALL, "DECISION": "deny", "REASON": "policy_denied"})], {}, 5)
    [one] = meter.series
    assert one.metric == "flyball.decisions" and (name.REASON, "policy_denied") in one.labels


def test_what_waits_goes_up_and_down() -> None:
    meter = measured(measured(Meter(), "acme", [], {"approval": 3}, 5), "acme", [], {"approval": -2}, 6)
    [one] = of(meter, "flyball.waiting")
    assert one.sum == 1 and one.labels == ((name.TENANT, "acme"), (name.WAIT_KIND, "approval"))


def test_no_label_is_of_one_run_or_person() -> None:
    told = {"RUN": "r-1", "PRINCIPAL": "p", "PATH": "2", "RECORD": "r-1/2/1/intent", "APPROVAL": "x"}
    meter = measured(Meter(), "acme", [span(**CHAT, **told)], {}, 5)
    assert not {key for one in meter.series for key, _ in one.labels} & {name.RUN, name.PRINCIPAL, name.RECORD}


def test_names_without_end_make_no_series_without_end() -> None:
    spans = [span(**{**CALL, "TOOL_NAME": f"t{n}", "ACTION": f"t{n}"}) for n in range(MOST_SERIES)]
    meter = measured(Meter(), "acme", spans, {}, 5)
    assert len(meter.series) <= MOST_SERIES + 2
    assert sum(one.count for one in meter.series) == 2 * MOST_SERIES


@given(st.lists(st.floats(0, 1000), max_size=20), st.integers(0, 20))
def test_it_comes_to_the_same_wherever_it_was_cut(times: list[float], cut: int) -> None:
    spans = [span(t, **CALL) for t in times]
    whole = measured(Meter(since=1), "acme", spans, {}, 5)
    parts = measured(measured(Meter(since=1), "acme", spans[:cut], {}, 5), "acme", spans[cut:], {}, 5)
    assert [(o.metric, o.count, o.buckets) for o in parts.series] == [
        (o.metric, o.count, o.buckets) for o in whole.series
    ]
