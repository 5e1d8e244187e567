"""Meter: what spans come to in numbers, kept as sums since the log began, so that sending them twice changes nothing.

A meter is plain data (`msgspec.to_builtins`): it is kept beside the cursor of whoever exports it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from flyball.core import attributes as name
from flyball.core.span import Span

# Upper bounds in seconds, those that OpenTelemetry's conventions advise for operations of models, and on to a week for
# runs that wait for people.
BOUNDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 600.0, 3_600.0,
                 86_400.0, 604_800.0)  # fmt: skip
# What a series may be told apart by: few values each, none of one run or person.
_BY: Final = (
    name.TENANT, name.OPERATION, name.PROVIDER, name.REQUEST_MODEL, name.RESPONSE_MODEL, name.TOOL_NAME,
    name.AGENT_NAME, name.WORKFLOW_NAME, name.ERROR_TYPE,
)  # fmt: skip
_TOKENS: Final = (("input", name.INPUT_TOKENS), ("output", name.OUTPUT_TOKENS))
_DURATIONS: Final[Mapping[str, str]] = {operation: metric for operation, _, metric in name.OPERATIONS.values()}
MOST_SERIES: Final = 2_000

Labels = tuple[tuple[str, str], ...]


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One metric under one set of labels: a sum, and for durations how many fell under each bound."""

    metric: str
    labels: Labels
    sum: float = 0
    count: int = 0
    buckets: tuple[int, ...] = ()


class Meter(msgspec.Struct, frozen=True, kw_only=True):
    """Every series, and the time of the first record that any of them counts, in microseconds since 1970."""

    since: int = 0
    series: tuple[Series, ...] = ()


def measured(meter: Meter, tenant: str, spans: Iterable[Span], waiting: Mapping[str, int], now: int) -> Meter:
    """The meter with these spans in it, and with so many more things waiting, by kind. `now` is the time of the last
    record that was folded. A label that would make more than MOST_SERIES series is not counted apart."""
    known = {(one.metric, one.labels): one for one in meter.series}
    for span in spans:
        for metric, labels, value in _points(span):
            _add(known, metric, labels, value)
    for kind, more in waiting.items():
        _add(known, "flyball.waiting", ((name.TENANT, tenant), (name.WAIT_KIND, kind)), more)
    return Meter(since=meter.since or now, series=tuple(known.values()))


def _points(span: Span) -> Iterable[tuple[str, Labels, float]]:
    told = span.attributes
    labels = tuple((key, str(told[key])) for key in _BY if key in told)
    if name.ATTEMPT in told:
        verdict = ((key, str(told[key])) for key in (name.TENANT, name.ACTION, name.DECISION, name.REASON))
        yield "flyball.decisions", tuple(verdict), 1
    if name.COST in told:
        yield "flyball.cost", labels, float(str(told[name.COST]))
    for side, key in _TOKENS:
        if key in told:
            spent = (*labels, (name.TOKEN_MODALITY, "text"))
            yield f"gen_ai.client.inference.usage.{side}_tokens", spent, int(str(told[key]))
    metric = _DURATIONS.get(str(told.get(name.OPERATION)))
    if metric and told.get(name.DECISION) != "deny":
        yield metric, labels, (span.end - span.start) / 1_000_000


def _add(known: dict[tuple[str, Labels], Series], metric: str, labels: Labels, value: float) -> None:
    if (metric, labels) not in known and len(known) >= MOST_SERIES:
        labels = ()
    one = known.get((metric, labels)) or Series(metric=metric, labels=labels)
    buckets = one.buckets
    if metric.endswith(".duration"):
        full = list(buckets or (0,) * (len(BOUNDS) + 1))
        full[bisect_left(BOUNDS, value)] += 1
        buckets = tuple(full)
    known[metric, labels] = Series(
        metric=metric, labels=labels, sum=one.sum + value, count=one.count + 1, buckets=buckets
    )
