"""A real OTLP receiver on loopback, which reads what it is sent with OpenTelemetry's own messages, and misbehaves.

What it answers comes from `answers`, one for each request, then all is well again.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
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
    over: asyncio.Event = field(default_factory=asyncio.Event)

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
    return await _answered(answer, receiver)


async def _metrics(request: web.Request) -> web.Response:
    receiver, body = request.app[RECEIVER], await request.read()
    answer = _noted(request, receiver)
    sent = meters.ExportMetricsServiceRequest.FromString(body)
    for one in (m for r in sent.resource_metrics for s in r.scope_metrics for m in s.metrics):
        receiver.points[one.name] = one
    return await _answered(answer, receiver)


def _noted(request: web.Request, receiver: Receiver) -> Answer | None:
    receiver.asked += 1
    receiver.headers.append(dict(request.headers))
    receiver.paths.append(request.path)
    return receiver.answers.pop(0) if receiver.answers else None


async def _answered(answer: Answer | None, receiver: Receiver) -> web.Response:
    if answer is None:
        return web.Response(content_type="application/x-protobuf")
    if answer.hangs:
        await receiver.over.wait()
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
        receiver.over.set()
        await runner.cleanup()


@contextmanager
def otlp_thread() -> Iterator[Receiver]:
    """The same in a thread of its own, for command lines."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    found: list[Receiver] = []
    over = asyncio.Event()

    async def serve() -> None:
        async with otlp_server() as receiver:
            found.append(receiver)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait(10)
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
