"""A service that judges text: one POST of JSON, one bounded answer. Whatever else happens is an error of the guard.

Nothing is tried again, redirects are not followed, proxies of the environment are not used. The station holds the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.guard import GuardConfig

MAX_ANSWER: Final = 1_048_576


class Service:
    """One address that is asked. `key` is sent as a bearer token; None where it asks for none."""

    def __init__(self, config: GuardConfig, address: str, key: Secret | None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FlyballError("config_value", f"[guards.{config.name}] url is no address", fix='Write "https://host".')
        self._name, self._address, self._key = config.name, address, key
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, body: Mapping[str, Any]) -> Any:
        """Its answer as plain data; raises FlyballError `guard_answer` for what is none, or what aiohttp raises."""
        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        data = msgspec.json.encode(body)
        async with self._session.post(self._address, data=data, headers=headers, allow_redirects=False) as answer:
            content = await answer.content.read(MAX_ANSWER + 1)
            while len(content) <= MAX_ANSWER and (more := await answer.content.read(MAX_ANSWER)):
                content += more
            if answer.status != 200 or len(content) > MAX_ANSWER:
                raise FlyballError("guard_answer", f"guard {self._name} answered {answer.status}, {len(content)} bytes")
        return msgspec.json.decode(content)

    async def close(self) -> None:
        """Closes its connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()
