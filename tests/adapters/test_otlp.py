"""OTLP by hand: what is encoded is what the official messages read, and each product gets the headers it wants."""

from __future__ import annotations

import base64
import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.adapters.otlp import encode
from flyball.adapters.otlp.exporter import OtlpExporter
from flyball.adapters.otlp.presets import PRODUCTS
from flyball.core.attributes import METRICS, SCHEMA_URL
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.meter import BOUNDS, Meter, Series
from flyball.core.span import Moment, Origin, Span
from flyball.core.telemetry import ExportError, TelemetryConfig
from tests.adapters.otlp_server import Answer, meters, otlp_server, told, traces

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
ONE = Span(trace=TRACE, id=SPAN, name="chat gpt", start=1_700_000_000_000_001, end=1_700_000_000_000_002)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES = st.one_of(
    TEXTS, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.tuples(TEXTS, TEXTS)
)


def read(*spans: Span, **resource: Any) -> Any:
    sent = traces.ExportTraceServiceRequest.FromString(encode.traces(spans, resource))
    return sent.resource_spans[0]


@given(st.dictionaries(TEXTS, VALUES, max_size=4), TEXTS, st.integers(0, 2**53))
def test_what_is_encoded_is_what_the_official_messages_read(attributes: dict[str, Any], name: str, micros: int) -> None:
    span = Span(trace=TRACE, id=SPAN, name=name, start=micros, end=micros + 1, attributes=attributes)
    [found] = read(span, service="desk").scope_spans[0].spans
    assert told(found.attributes) == {k: list(v) if isinstance(v, tuple) else v for k, v in attributes.items()}
    assert (found.name, found.start_time_unix_nano, found.end_time_unix_nano) == (
        name, micros * 1000, micros * 1000 + 1000,
    )  # fmt: skip
    assert (found.trace_id.hex(), found.span_id.hex(), found.parent_span_id) == (TRACE, SPAN, b"")


def test_everything_that_a_span_can_have_arrives() -> None:
    moment, link = Moment(name="parked", time=7, attributes={"a": ("x", "y")}), Origin("f" * 32, "e" * 16)
    full = Span(
        trace=TRACE, id=SPAN, name="x", start=1, end=2, parent="c" * 16, kind="client", status="error", error="boom",
        moments=(moment,), links=(link,),
    )  # fmt: skip
    whole = read(full, **{"service.name": "desk"})
    found = whole.scope_spans[0].spans[0]
    assert (found.parent_span_id.hex(), found.kind, found.status.code, found.status.message) == ("c" * 16, 3, 2, "boom")
    assert (found.events[0].name, found.events[0].time_unix_nano) == ("parked", 7000) and found.flags == 1
    assert told(found.events[0].attributes) == {"a": ["x", "y"]} and found.links[0].span_id.hex() == "e" * 16
    assert told(whole.resource.attributes) == {"service.name": "desk"}
    assert whole.schema_url == whole.scope_spans[0].schema_url == SCHEMA_URL


def test_text_that_has_no_place_in_utf8_still_leaves() -> None:
    assert read(Span(trace=TRACE, id=SPAN, name="a\ud800", start=1, end=2)).scope_spans[0].spans[0].name == "a?"


def test_sums_and_histograms_are_cumulative() -> None:
    buckets = (1,) + (0,) * len(BOUNDS)
    took = Series(metric="gen_ai.workflow.duration", labels=(("a", "b"),), sum=0.5, count=1, buckets=buckets)
    cost = Series(metric="flyball.cost", labels=(), sum=1.25, count=3)
    waits = Series(metric="flyball.waiting", labels=(), sum=0, count=2)
    sent = encode.metrics(Meter(since=5, series=(took, cost, waits)), {}, 9)
    request = meters.ExportMetricsServiceRequest.FromString(sent)
    found = {m.name: m for m in request.resource_metrics[0].scope_metrics[0].metrics}
    point = found["gen_ai.workflow.duration"].histogram.data_points[0]
    assert (point.count, point.sum, tuple(point.bucket_counts), tuple(point.explicit_bounds)) == (
        1,
        0.5,
        buckets,
        BOUNDS,
    )
    assert (point.start_time_unix_nano, point.time_unix_nano, told(point.attributes)) == (5000, 9000, {"a": "b"})
    assert found["gen_ai.workflow.duration"].histogram.aggregation_temporality == 2
    assert found["flyball.cost"].sum.is_monotonic and not found["flyball.waiting"].sum.is_monotonic
    assert {m.unit for m in found.values()} == {METRICS[name][0] for name in found}


# what is answered -----------------------------------------------------------------------------------------------------
@given(st.integers(0, 2**62), st.text(max_size=20))
def test_what_was_thrown_away_is_read(count: int, why: str) -> None:
    answer = traces.ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = count
    answer.partial_success.error_message = "".join(c for c in why if not 0xD800 <= ord(c) < 0xE000)
    assert encode.rejected(answer.SerializeToString()) == count


@given(st.binary(max_size=40))
def test_garbage_is_a_number_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert encode.rejected(data) >= 0


@pytest.mark.parametrize("data", [b"\x08\x01", b"\x0a\x05a", b"\x0b", b"\x80", b"\xff" * 11, b"\x02\x00"])
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        encode.rejected(data)


async def test_a_response_in_json_is_read_too() -> None:
    async with otlp_server() as receiver:
        exporter = OtlpExporter(TelemetryConfig(name="t", url=receiver.url), "desk")
        body = b'{"partialSuccess":{"rejectedSpans":1}}'
        receiver.answers = [Answer(body=body, kind="application/json"), Answer(body=b"{}", kind="application/json")]
        assert [await exporter.spans([ONE]), await exporter.spans([ONE])] == [1, 0]
        await exporter.close()


async def test_where_nobody_listens_it_is_later() -> None:
    exporter = OtlpExporter(TelemetryConfig(name="t", url="http://127.0.0.1:9"), "desk")
    with pytest.raises(ExportError) as bad:
        await exporter.spans([ONE])
    assert bad.value.kind == "later"
    await exporter.close()


# products -------------------------------------------------------------------------------------------------------------
WANTED: dict[str, dict[str, str]] = {
    "plain": {"Authorization": "Bearer k:s"},
    "phoenix": {"Authorization": "Bearer k:s"},
    "langsmith": {"x-api-key": "k:s", "Langsmith-Project": "desk"},
    "langfuse": {"Authorization": f"Basic {base64.b64encode(b'k:s').decode()}", "x-langfuse-ingestion-version": "4"},
    "braintrust": {"Authorization": "Bearer k:s", "x-bt-parent": "project_name:desk"},
    "portkey": {"x-portkey-api-key": "k:s"},
}


@pytest.mark.promise("api-telemetry-presets")
@pytest.mark.parametrize("preset", PRODUCTS)
async def test_each_product_gets_what_it_wants(preset: Any) -> None:
    async with otlp_server("/otel") as receiver:
        config = TelemetryConfig(name="t", preset=preset, url=receiver.url + "/", project="desk")
        extra = {"x-extra": Secret("env:X", "more")}
        exporter = OtlpExporter(config, "svc", Secret("env:K", "k:s"), extra)
        await exporter.spans([ONE])
        await exporter.close()
    [sent] = receiver.headers
    assert {**WANTED[preset], "x-extra": "more"}.items() <= sent.items() and receiver.paths == ["/otel/v1/traces"]
    project = {"openinference.project.name": "desk"} if preset == "phoenix" else {}
    assert receiver.resources == [{"service.name": "svc", **project}]
    assert exporter.metered is (preset == "plain")


def test_a_project_of_braintrust_can_be_named_by_its_id() -> None:
    assert PRODUCTS["braintrust"].project("project_id:1") == {"x-bt-parent": "project_id:1"}


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x/?a=b", "nowhere"])
def test_what_is_no_address_is_refused_before_anything_is_sent(url: str) -> None:
    with pytest.raises(FlyballError) as bad:
        OtlpExporter(TelemetryConfig(name="t", url=url), "desk")
    assert bad.value.code == "config_value"


async def test_no_error_repeats_a_key() -> None:
    async with otlp_server() as receiver:
        exporter = OtlpExporter(TelemetryConfig(name="t", url=receiver.url), "desk", Secret("env:K", "topsecret"))
        receiver.answers = [Answer(status=403, body=b"topsecret")]
        with pytest.raises(ExportError) as bad:
            await exporter.spans([ONE])
        assert "topsecret" not in str(bad.value) and bad.value.kind == "unusable"
        await exporter.close()
