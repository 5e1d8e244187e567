"""A real OTLP receiver on loopback, which reads what it is sent with OpenTelemetry's own messages, and misbehaves.

What it answers comes from `answers`, one for each request, then all is well again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

traces = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
meters = pytest.importorskip("opentelemetry.proto.collector.metrics.v1.metrics_service_pb2")


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    kind: str = "application/x-protobuf"
    headers: Mapping[str, str] = field(default_factory=dict)
    hangs: bool = False


@dataclass
class Receiver:
    """Where it listens, what it keeps (spans by id, once each), how often it was asked, and what it answers next."""

    url: str = ""
    spans: dict[str, Any] = field(default_factory=dict)
    points: dict[str, Any] = field(default_factory=dict)
    resources: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    asked: int = 0
    received: int = 0
    answers: list[Answer] = field(default_factory=list)
    poison: str = ""

    def names(self) -> list[str]:
        return sorted(span.name for span in self.spans.values())

    def tree(self) -> dict[str, str]:
        """The name of every span, and that of the one above it."""
        found = {}
        for span in self.spans.values():
            above = self.spans.get(span.parent_span_id.hex())
            found[span.name] = above.name if above is not None else ""
        return found

    def named(self, name: str) -> Any:
        [span] = [s for s in self.spans.values() if s.name == name]
        return span


def told(attributes: Any) -> dict[str, Any]:
    """Attributes as plain data."""
    return {a.key: _plain(a.value) for a in attributes}


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_plain(v) for v in value.array_value.values] if kind == "array_value" else getattr(value, kind)


RECEIVER = web.AppKey("receiver", Receiver)


async def _traces(request: web.Request) -> web.Response:
    receiver, body = request.app[RECEIVER], await request.read()
    answer = _noted(request, receiver)
    sent = traces.ExportTraceServiceRequest.FromString(body)
    spans = [s for r in sent.resource_spans for scope in r.scope_spans for s in scope.spans]
    receiver.received += len(spans)
    if answer is None and receiver.poison and any(s.name == receiver.poison for s in spans):
        answer = Answer(status=400)
    if answer is None or answer.status == 200:
        receiver.resources += [told(r.resource.attributes) for r in sent.resource_spans]
        receiver.spans |= {s.span_id.hex(): s for s in spans} if answer is None else {}
    return await _answered(answer)


async def _metrics(request: web.Request) -> web.Response:
    receiver, body = request.app[RECEIVER], await request.read()
    answer = _noted(request, receiver)
    sent = meters.ExportMetricsServiceRequest.FromString(body)
    for one in (m for r in sent.resource_metrics for s in r.scope_metrics for m in s.metrics):
        receiver.points[one.name] = one
    return await _answered(answer)


def _noted(request: web.Request, receiver: Receiver) -> Answer | None:
    receiver.asked += 1
    receiver.headers.append(dict(request.headers))
    receiver.paths.append(request.path)
    return receiver.answers.pop(0) if receiver.answers else None


async def _answered(answer: Answer | None) -> web.Response:
    if answer is None:
        return web.Response(content_type="application/x-protobuf")
    if answer.hangs:
        await asyncio.sleep(30)
    return web.Response(status=answer.status, body=answer.body, content_type=answer.kind, headers=answer.headers)


@asynccontextmanager
async def otlp_server(prefix: str = "") -> AsyncIterator[Receiver]:
    """Takes OTLP over HTTP on a free port of 127.0.0.1 until the context ends."""
    receiver, app = Receiver(), web.Application(client_max_size=64 * 1_048_576)
    app[RECEIVER] = receiver
    app.router.add_post(f"{prefix}/v1/traces", _traces)
    app.router.add_post(f"{prefix}/v1/metrics", _metrics)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server: Any = site._server
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}{prefix}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
