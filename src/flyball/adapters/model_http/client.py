"""A model behind HTTP: sends one request, waits within its time, reads a bounded reply, says what went wrong.

What is sent and how a reply is read is the `Wire`'s. A stream that ends before its answer does is no reply.

One session per adapter, opened with the first request and closed in order. Nothing is tried again here, redirects are
not followed, proxies of the environment are not used, nothing is logged.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from flyball.adapters.model_http.sse import Events
from flyball.adapters.model_http.wire import Gathering, Response, Wire, failed_inside, garbage, read_reply
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig, ModelError, ModelReply, ModelRequest, OnDelta

MAX_REPLY: Final = 8 * 1_048_576
_HEADERS: Final = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "flyball"}


class HttpModel:
    """One configured endpoint that speaks `wire`. `key` is None where the endpoint asks for none."""

    def __init__(
        self, config: ModelConfig, wire: Wire, key: Secret | None = None, *, max_reply: int = MAX_REPLY
    ) -> None:
        """Checks the address; raises FlyballError `bad_base_url`. `max_reply` bounds a reply in bytes."""
        self._base = (config.base_url or wire.base).rstrip("/")
        host_of(config.name, self._base)
        self._config = config
        self._wire = wire
        self._key = key
        self._max_reply = max_reply
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    @property
    def scripted(self) -> bool:
        """A model answers."""
        return False

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> ModelReply:
        """The reply of the provider; raises ModelError."""
        if self._closed:
            raise ModelError("unavailable", f"model {self._config.name} is closed", sent=False, retryable=False)
        key = self._key.reveal() if self._key else ""
        async with self._asked(request, key, stream=on_delta is not None) as answer:
            if on_delta is not None and answer.status == 200 and answer.content_type == "text/event-stream":
                gathered = await self._gathered(answer, on_delta, key)
                return self._wire.reply(gathered.body(), request, key)
            return read_reply(self._wire, _response(answer, await self._bounded(answer)), request, key)

    async def close(self) -> None:
        """Refuses later requests, then closes the connections."""
        self._closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @asynccontextmanager
    async def _asked(self, request: ModelRequest, key: str, *, stream: bool) -> AsyncIterator[aiohttp.ClientResponse]:
        body, path = self._wire.body(request, stream=stream), self._wire.path(request.model, stream=stream)
        # Set by the trace once the headers are on the wire: from then on the prompt may have left.
        trace, most = SimpleNamespace(sent=False), self._config.timeout_ms
        total = min(most, request.deadline_ms) if request.deadline_ms > 0 else most
        times = aiohttp.ClientTimeout(total=total / 1000, sock_connect=self._config.connect_ms / 1000)
        headers = {**_HEADERS, **self._wire.headers(key)}
        if request.traceparent:
            headers["traceparent"] = request.traceparent
        try:
            async with self._opened().post(
                URL(self._base + path, encoded=True), data=body, headers=headers,
                timeout=times, allow_redirects=False, trace_request_ctx=trace,
            ) as answer:  # fmt: skip
                yield answer
        except TimeoutError as late:
            raise self._late(late, total, trace.sent) from late
        except aiohttp.ClientError as broken:
            raise self._broken(broken, trace.sent) from broken

    async def _gathered(self, answer: aiohttp.ClientResponse, on_delta: OnDelta, key: str) -> Gathering:
        """A stream, put together and told piece by piece; raises ModelError where it breaks off or says so itself."""
        events, gathered, size, begun = Events(), self._wire.gathering(), 0, False
        async for chunk in answer.content.iter_any():
            size += len(chunk)
            if size > self._max_reply:
                raise self._too_large(answer)
            for data in events.feed(chunk):
                if (said := self._wire.error(data)) is not None:
                    raise failed_inside(_response(answer, data), said, key, begun=begun)
                begun = True
                if text := gathered.take(data):
                    on_delta(text)
            if gathered.over:
                break
        if not gathered.whole:
            raise garbage("the stream ended before the answer did")
        return gathered

    async def _bounded(self, answer: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_chunked(65_536):
            content += chunk
            if len(content) > self._max_reply:
                raise self._too_large(answer)
        return bytes(content)

    def _too_large(self, answer: aiohttp.ClientResponse) -> ModelError:
        # The rest stays unread, so the connection cannot be used again.
        answer.close()
        why = f"it has more than {self._max_reply} bytes"
        return ModelError("reply_too_large", "the model's reply cannot be used", why, sent=True)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_mark_sent)
            # How many calls are under way is for `at_once` to say: what waits for a connection would lose its time.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar(), trace_configs=[tracing]
            )
        return self._session

    def _late(self, late: TimeoutError, total: int, sent: bool) -> ModelError:
        connecting = isinstance(late, aiohttp.ConnectionTimeoutError)
        why = f"no connection within {self._config.connect_ms} ms" if connecting else f"no reply within {total} ms"
        return ModelError("timeout", f"model {self._config.name} took too long", why, sent=sent)

    def _broken(self, broken: aiohttp.ClientError, sent: bool) -> ModelError:
        # Their texts name addresses, never headers.
        what = f"model {self._config.name} cannot be reached"
        untrusted = isinstance(broken, (aiohttp.ClientSSLError, aiohttp.InvalidURL))
        why = f"the connection broke: {type(broken).__name__}" if sent else str(broken)[:300]
        return ModelError("unavailable", what, why, sent=sent, retryable=not untrusted)


def _response(answer: aiohttp.ClientResponse, body: bytes) -> Response:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Response(status=answer.status, headers=headers, body=body, now=time.time())


async def _mark_sent(_: object, context: SimpleNamespace, __: object) -> None:
    context.trace_request_ctx.sent = True


def host_of(name: str, base: str) -> str:
    """The host of an address; raises FlyballError `bad_base_url`, which does not quote it."""
    try:
        parts = urlsplit(base)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    extra = parts.username or parts.password or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or extra:
        # The address is not quoted: it may hold a password.
        raise FlyballError(
            "bad_base_url", f"base_url of model {name} is not an address",
            "it needs http:// or https:// and a host, and holds no user, password, query or fragment",
            'Write base_url = "https://api.openai.com/v1"',
        )  # fmt: skip
    return parts.hostname
