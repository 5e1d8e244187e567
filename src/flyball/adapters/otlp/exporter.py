"""An OTLP receiver behind `ports.exporter`: one POST of protobuf for each batch, within its time.

What an answer means is said by the specification of OTLP/HTTP ("OTLP/HTTP Response", "Failures"): 429, 502, 503 and 504
are asked again; 400 and 413 say that this batch is at fault. Whatever else is no success says that the address, the key
or the receiver is not what it should be, and so does a 200 from something that is no receiver: nothing is lost then, it
waits. Redirects are not followed, proxies of the environment are not used, nothing is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from flyball.adapters.otlp import encode
from flyball.adapters.otlp.presets import PRODUCTS
from flyball.core import attributes as name
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.meter import Meter
from flyball.core.span import Attributes, Span
from flyball.core.telemetry import SPANS_ONLY, ExportError, TelemetryConfig

MAX_ANSWER: Final = 65_536
MAX_WAIT_MS: Final = 600_000
_LATER: Final = frozenset({408, 429, 500, 502, 503, 504})
_REFUSED: Final = frozenset({400, 413, 422})


class OtlpExporter:
    """One configured receiver. `service` is what the spans are filed under as their service."""

    def __init__(
        self,
        config: TelemetryConfig,
        service: str,
        key: Secret | None = None,
        headers: Mapping[str, Secret] | None = None,
    ) -> None:
        """Checks the address; raises FlyballError `config_value`."""
        product = PRODUCTS[config.preset]
        base = (config.url or product.url).rstrip("/")
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            what = f"[telemetry.{config.name}] url is no address of a receiver"
            raise FlyballError("config_value", what, "/v1/traces is put behind it", 'Write url = "https://host".')
        self._config, self._base, self._key, self._extra = config, base, key, headers or {}
        self._product = product
        self._resource: Attributes = {name.SERVICE_NAME: service}
        if product.resource:
            self._resource = {**self._resource, product.resource: config.project or service}
        self._session: aiohttp.ClientSession | None = None

    @property
    def metered(self) -> bool:
        """Does it take metrics?"""
        return self._config.metrics and self._config.preset not in SPANS_ONLY

    async def spans(self, spans: Sequence[Span]) -> int:
        """Sends spans; how many of them were thrown away there."""
        return await self._post("/v1/traces", encode.traces(spans, self._resource))

    async def metrics(self, meter: Meter, now: int) -> None:
        """Sends every sum as it stands."""
        await self._post("/v1/metrics", encode.metrics(meter, self._resource, now))

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _headers(self) -> dict[str, str]:
        made = {"Content-Type": "application/x-protobuf", "User-Agent": "flyball", **self._product.always}
        if self._key is not None:
            made |= self._product.key(self._key.reveal())
        if self._config.project:
            made |= self._product.project(self._config.project)
        return made | {header: secret.reveal() for header, secret in self._extra.items()}

    async def _post(self, path: str, body: bytes) -> int:
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        times = aiohttp.ClientTimeout(total=self._config.timeout_ms / 1000)
        try:
            async with self._session.post(
                self._base + path, data=body, headers=self._headers(), timeout=times, allow_redirects=False
            ) as answer:  # fmt: skip
                content = await answer.content.read(MAX_ANSWER)
                return self._read(answer.status, answer.headers, content)
        except TimeoutError as late:
            raise ExportError("later", self._said("did not answer"), f"not in {self._config.timeout_ms} ms") from late
        except aiohttp.InvalidURL as bad:
            raise ExportError("unusable", self._said("cannot be asked"), "its url is no address") from bad
        except (aiohttp.ClientError, OSError) as broken:  # their texts name addresses, never headers
            raise ExportError("later", self._said("cannot be reached"), str(broken)[:300]) from broken

    def _read(self, status: int, headers: Mapping[str, str], content: bytes) -> int:
        if status == 200:
            return self._rejected(headers.get("Content-Type", ""), content)
        if status in _LATER:
            raise ExportError("later", self._said(f"answered {status}"), retry_after_ms=_wait(headers))
        if status in _REFUSED:
            raise ExportError("refused", self._said(f"answered {status} to this batch"))
        fix = "Look at url and key, and whether it takes OTLP over HTTP as protobuf."
        raise ExportError("unusable", self._said(f"answered {status}"), "nothing was accepted; it is kept", fix)

    def _rejected(self, kind: str, content: bytes) -> int:
        """How many spans a receiver says that it did not keep (`partial_success`); it must not be asked again."""
        try:
            if kind.startswith("application/json"):
                return msgspec.json.decode(content, type=_Response).partial.rejected
            if not content or kind.startswith("application/x-protobuf"):
                return encode.rejected(content)
        except (msgspec.DecodeError, ValueError):
            pass
        raise ExportError("unusable", self._said("is no receiver of OTLP"), "it answered 200 with something else",
                          "Look at url: /v1/traces is put behind it.")  # fmt: skip

    def _said(self, what: str) -> str:
        return f"[telemetry.{self._config.name}] {what}"


class _Partial(msgspec.Struct, rename={"rejected": "rejectedSpans"}):
    rejected: int = 0


class _Response(msgspec.Struct, rename={"partial": "partialSuccess"}):
    partial: _Partial = msgspec.field(default_factory=_Partial)


def _wait(headers: Mapping[str, str]) -> int:
    """What Retry-After asks for in seconds (RFC 9110, section 10.2.3); a date is waited for as any other failure is."""
    said = headers.get("Retry-After", "").strip()
    return min(int(said) * 1000, MAX_WAIT_MS) if said.isascii() and said.isdecimal() and len(said) < 9 else 0
