"""A real HTTP server on loopback that answers as a provider does, and misbehaves when told to.

What it does is chosen by the model's name in the request; what it was asked is kept for the tests to look at.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 3}}


@dataclass
class Endpoint:
    """Where the server listens, what it was asked, and what it answers for models named `text`, `call` and `custom`."""

    text: dict[str, Any]
    call: dict[str, Any]

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    connections: set[object] = field(default_factory=set)
    status: int = 200
    reply_headers: dict[str, str] = field(default_factory=dict)
    body: bytes | dict[str, Any] = b""
    # What streams instead, event by event, for the same names; `chunk` bytes at a time.
    streams: dict[str, list[Any]] = field(default_factory=dict)
    chunk: int = 1 << 16


ENDPOINT = web.AppKey("endpoint", Endpoint)


def completion(message: dict[str, Any], finish: str | None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return {"id": "cmpl-1", "model": "test-1-2026-01-01", "choices": [choice], "usage": USAGE, **more}


def tool_call(arguments: object = '{"q":"x"}', id: str | None = "call_1", name: str = "search") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


@asynccontextmanager
async def openai_server() -> AsyncIterator[Endpoint]:
    """Speaks OpenAI's chat completions on a free port of 127.0.0.1 until the context ends."""
    text = completion({"content": "Hello."}, "stop")
    call = completion({"content": None, "tool_calls": [tool_call()]}, "tool_calls")
    async with model_server("/v1/chat/completions", text, call) as endpoint:
        endpoint.url += "/v1"
        yield endpoint


@asynccontextmanager
async def model_server(
    route: str, text: dict[str, Any], call: dict[str, Any], stream_route: str = ""
) -> AsyncIterator[Endpoint]:
    """Serves on a free port of 127.0.0.1 until the context ends. The model is named in the route or in the body, and
    so is whether the answer streams."""
    endpoint = Endpoint(text, call)
    app = web.Application(client_max_size=1 << 26)
    app[ENDPOINT] = endpoint
    app.router.add_post(route, _chat)
    if stream_route:
        app.router.add_post(stream_route, _chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield endpoint
    finally:
        await runner.cleanup()


async def _chat(request: web.Request) -> web.StreamResponse:
    endpoint = request.app[ENDPOINT]
    asked = await request.json()
    endpoint.asked.append(asked)
    endpoint.headers.append(dict(request.headers))
    endpoint.connections.add(request.transport)
    name = request.match_info.get("model") or asked["model"]
    if (asked.get("stream") or "alt" in request.query) and name in endpoint.streams and endpoint.status == 200:
        events = endpoint.streams[name]
        several = bool(events) and isinstance(events[0], list)  # answers, one after the other
        return await _stream(request, events.pop(0) if several else events, endpoint.chunk)
    match name:
        case "text":
            return web.json_response(endpoint.text)
        case "call":
            return web.json_response(endpoint.call)
        case "slow":
            await asyncio.sleep(30)
        case "reset":
            # An abort sends RST: the prompt was read, no answer comes.
            assert request.transport is not None
            request.transport.abort()
        case "cut":
            return await _cut(request)
        case "drip":
            return await _endless(request, gap=0.05)
        case "flood":
            return await _endless(request, gap=0.0)
        case "bomb":
            packed = gzip.compress(b" " * (16 << 20))
            return web.Response(body=packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})
    content = endpoint.body if isinstance(endpoint.body, bytes) else json.dumps(endpoint.body).encode()
    return web.Response(status=endpoint.status, body=content, headers=endpoint.reply_headers)


def sse(events: list[Any]) -> bytes:
    """Events as they are written: what is no bytes as JSON, with a comment and another field beside it."""
    data = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return b": hello\n\n" + b"".join(b"event: x\ndata: " + each + b"\n\n" for each in data)


async def _stream(request: web.Request, events: list[Any], chunk: int) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
    await response.prepare(request)
    body = sse(events)
    for at in range(0, len(body), chunk):
        await response.write(body[at : at + chunk])
    return response


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"id":"cmpl-1","choices":[')
    assert request.transport is not None
    request.transport.close()
    return response


async def _endless(request: web.Request, gap: float) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" " * 65_536)
        await asyncio.sleep(gap)
