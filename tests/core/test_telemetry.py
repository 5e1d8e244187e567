"""What telemetry is configured with, and what an exporter says when it fails."""

from __future__ import annotations

import msgspec
import pytest

from flyball.core.meter import Meter, Series
from flyball.core.telemetry import SELECTOR, Cursor, ExportError, TelemetryConfig


@pytest.mark.parametrize("text", ["arguments", "arguments.cents", "result", "result.id_2", "messages", "error"])
def test_what_can_be_named(text: str) -> None:
    assert SELECTOR.fullmatch(text)


@pytest.mark.parametrize("text", ["", "Arguments", "arguments.", "arguments.a.b", "detail", "person", "result.*"])
def test_what_cannot(text: str) -> None:
    assert not SELECTOR.fullmatch(text)


def test_a_cursor_is_plain_data_and_comes_back() -> None:
    meter = Meter(since=3, series=(Series(metric="flyball.cost", labels=(("a", "b"),), sum=0.5, count=2),))
    cursor = Cursor(log="ab", next=7, sent=4, meter=meter)
    assert msgspec.json.decode(msgspec.json.encode(cursor), type=Cursor) == cursor


def test_an_exporter_takes_every_log_or_those_that_it_names() -> None:
    assert TelemetryConfig(name="t").takes("acme")
    assert [TelemetryConfig(name="t", tenants=("acme",)).takes(tenant) for tenant in ("acme", "other")] == [True, False]


def test_an_error_says_whether_to_ask_again() -> None:
    bad = ExportError("later", "it is away", retry_after_ms=5)
    assert (bad.code, bad.kind, bad.retry_after_ms) == ("export_later", "later", 5)
