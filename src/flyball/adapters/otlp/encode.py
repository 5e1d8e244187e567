"""OTLP as bytes: the protobuf messages of opentelemetry-proto 1.x that spans and metrics need, and no others.

Field numbers are those of `trace/v1/trace.proto`, `metrics/v1/metrics.proto`, `common/v1/common.proto` and their
collector services, which are stable and only grow. The encoding is that of protocol buffers: a tag (number and kind),
then a number (0), eight bytes (1), a length and so many bytes (2) or four bytes (5). Fields that hold
their default are left out.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final

from flyball.core.attributes import METRICS, SCHEMA_URL, SCOPE
from flyball.core.meter import BOUNDS, Meter, Series
from flyball.core.span import Attributes, Moment, Origin, Span, Value

_KINDS: Final = {"internal": 1, "client": 3}
_STATUS: Final = {"ok": 1, "error": 2}
_CUMULATIVE: Final = 2
_SAMPLED: Final = 1
_ONE: Final = tuple(bytes([n]) for n in range(0x80))


def traces(spans: Sequence[Span], resource: Attributes) -> bytes:
    """An ExportTraceServiceRequest."""
    scope = _bytes(1, _text(1, SCOPE)) + b"".join(_bytes(2, _span(span)) for span in spans) + _text(3, SCHEMA_URL)
    return _bytes(1, _bytes(1, _resource(resource)) + _bytes(2, scope) + _text(3, SCHEMA_URL))


def metrics(meter: Meter, resource: Attributes, now: int) -> bytes:
    """An ExportMetricsServiceRequest: every series as a cumulative sum or histogram at `now`, in microseconds."""
    by_name: dict[str, list[Series]] = {}
    for one in meter.series:
        by_name.setdefault(one.metric, []).append(one)
    made = b"".join(_bytes(2, _metric(name, series, meter.since, now)) for name, series in by_name.items())
    scope = _bytes(1, _text(1, SCOPE)) + made + _text(3, SCHEMA_URL)
    return _bytes(1, _bytes(1, _resource(resource)) + _bytes(2, scope) + _text(3, SCHEMA_URL))


def _resource(attributes: Attributes) -> bytes:
    return _attributes(1, attributes)


def _span(span: Span) -> bytes:
    status = (_text(2, span.error) if span.error else b"") + _varint(3, _STATUS[span.status])
    return b"".join((
        _bytes(1, bytes.fromhex(span.trace)), _bytes(2, bytes.fromhex(span.id)),
        _bytes(4, bytes.fromhex(span.parent)) if span.parent else b"",
        _text(5, span.name), _varint(6, _KINDS[span.kind]), _nanos(7, span.start), _nanos(8, span.end),
        _attributes(9, span.attributes), *(_bytes(11, _moment(one)) for one in span.moments),
        *(_bytes(13, _link(one)) for one in span.links), _bytes(15, status), _fixed32(16, _SAMPLED),
    ))  # fmt: skip


def _moment(moment: Moment) -> bytes:
    return _nanos(1, moment.time) + _text(2, moment.name) + _attributes(3, moment.attributes)


def _link(link: Origin) -> bytes:
    return _bytes(1, bytes.fromhex(link.trace)) + _bytes(2, bytes.fromhex(link.span))


def _metric(name: str, series: Iterable[Series], since: int, now: int) -> bytes:
    unit, told = METRICS[name]
    head = _text(1, name) + _text(2, told) + _text(3, unit)
    if name.endswith(".duration"):
        points = b"".join(_bytes(1, _histogram(one, since, now)) for one in series)
        return head + _bytes(9, points + _varint(2, _CUMULATIVE))
    points = b"".join(_bytes(1, _number(one, since, now)) for one in series)
    rises = b"" if name == "flyball.waiting" else _varint(3, 1)
    return head + _bytes(7, points + _varint(2, _CUMULATIVE) + rises)


def _number(one: Series, since: int, now: int) -> bytes:
    return _nanos(2, since) + _nanos(3, now) + _double(4, one.sum) + _attributes(7, dict(one.labels))


def _histogram(one: Series, since: int, now: int) -> bytes:
    buckets = b"".join(struct.pack("<Q", n) for n in one.buckets)
    bounds = b"".join(struct.pack("<d", bound) for bound in BOUNDS)
    return b"".join((
        _nanos(2, since), _nanos(3, now), _fixed64(4, one.count), _double(5, one.sum), _bytes(6, buckets),
        _bytes(7, bounds), _attributes(9, dict(one.labels)),
    ))  # fmt: skip


# common.proto --------------------------------------------------------------------------------------------------------
def _attributes(number: int, attributes: Mapping[str, Value]) -> bytes:
    return b"".join(_bytes(number, _key(key) + _bytes(2, _value(value))) for key, value in attributes.items())


@lru_cache(maxsize=256)  # of the same few names, in every span
def _key(key: str) -> bytes:
    return _text(1, key)


def _value(value: Value) -> bytes:
    # A value is a union: which member it is must be said, also where it holds its default.
    if isinstance(value, str):
        return _text(1, value)
    if isinstance(value, bool):
        return _tag(2, 0) + _number_bytes(int(value))
    if isinstance(value, int):
        return _tag(3, 0) + _number_bytes(value)
    if isinstance(value, float):
        return _double(4, value)
    return _bytes(5, b"".join(_bytes(1, _text(1, one)) for one in value))


# protocol buffers ----------------------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def _tag(number: int, kind: int) -> bytes:
    return _number_bytes(number << 3 | kind)


def _number_bytes(value: int) -> bytes:
    if 0 <= value <= 0x7F:
        return _ONE[value]
    rest, made = value & 0xFFFF_FFFF_FFFF_FFFF, bytearray()  # a negative one is its two's complement in 64 bits
    while rest > 0x7F:
        made.append(rest & 0x7F | 0x80)
        rest >>= 7
    made.append(rest)
    return bytes(made)


def _varint(number: int, value: int) -> bytes:
    return _tag(number, 0) + _number_bytes(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _tag(number, 2) + _number_bytes(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _bytes(number, value.encode(errors="replace"))  # a lone surrogate has no place in UTF-8


def _nanos(number: int, micros: int) -> bytes:
    return _fixed64(number, micros * 1_000)


def _fixed64(number: int, value: int) -> bytes:
    return _tag(number, 1) + struct.pack("<Q", value)


def _fixed32(number: int, value: int) -> bytes:
    return _tag(number, 5) + struct.pack("<I", value)


def _double(number: int, value: float) -> bytes:
    return _tag(number, 1) + struct.pack("<d", value)


# what is answered ----------------------------------------------------------------------------------------------------
def rejected(answer: bytes) -> int:
    """How many spans or points an Export...ServiceResponse says were not kept; raises ValueError for what is none."""
    return next((_first(partial) for number, partial in _fields(answer) if number == 1 and partial), 0)


def _first(partial: bytes | int) -> int:
    if isinstance(partial, int):
        raise ValueError("a number stands where partial_success belongs")
    return next((value for number, value in _fields(partial) if number == 1 and isinstance(value, int)), 0)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    at = 0
    while at < len(data):
        tag, at = _read_number(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            value, at = _read_number(data, at)
            yield number, value
            continue
        size = {1: 8, 5: 4}.get(kind)
        if kind == 2:
            size, at = _read_number(data, at)
        if size is None or not number or at + size > len(data):
            raise ValueError("these are no protocol buffers")
        yield number, data[at : at + size]
        at += size


def _read_number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends within a number")
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number has more than ten bytes")
