"""An embedding model behind HTTP: any endpoint that speaks OpenAI's embeddings.

https://platform.openai.com/docs/api-reference/embeddings. Nothing is tried again here: without a vector a memory is
found by its words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import aiohttp
import msgspec

from flyball.core.call import Secret
from flyball.core.config import EmbeddingConfig
from flyball.core.errors import FlyballError

MAX_REPLY: Final = 64 * 1_048_576
MOST_TEXTS: Final = 128
SECONDS: Final = 20.0


class _One(msgspec.Struct):
    index: int
    embedding: list[float]


class _Reply(msgspec.Struct):
    data: list[_One]


class OpenAIEmbedding:
    """One configured endpoint. `key` is None where it asks for none."""

    def __init__(self, config: EmbeddingConfig, key: Secret | None = None) -> None:
        self._config, self._key = config, key
        self._session: aiohttp.ClientSession | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self._config.model

    @property
    def floor(self) -> float:
        """The configured floor."""
        return self._config.floor

    async def embed(self, texts: Sequence[str], /) -> list[tuple[float, ...]]:
        """A vector for each text; raises FlyballError `embedding_failed`."""
        found: list[tuple[float, ...]] = []
        for first in range(0, len(texts), MOST_TEXTS):
            found += await self._some(texts[first : first + MOST_TEXTS])
        return found

    async def _some(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        body = msgspec.json.encode({"model": self._config.model, "input": list(texts), "encoding_format": "float"})
        headers = {"Content-Type": "application/json", "User-Agent": "flyball"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        url = f"{self._config.base_url.rstrip('/')}/embeddings"
        try:
            async with self._opened().post(url, data=body, headers=headers, allow_redirects=False) as answer:
                content = await answer.content.read(MAX_REPLY)
                if answer.status != 200:
                    raise _failed(f"the endpoint answered {answer.status}")
            return _vectors(content, len(texts))
        except (aiohttp.ClientError, TimeoutError) as bad:
            raise _failed(type(bad).__name__) from bad

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=SECONDS)
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout)
        return self._session

    async def close(self) -> None:
        """Closes the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def _vectors(content: bytes, count: int) -> list[tuple[float, ...]]:
    try:
        told = sorted(msgspec.json.decode(content, type=_Reply).data, key=lambda one: one.index)
    except msgspec.DecodeError as bad:
        raise _failed("its reply is none") from bad
    vectors = [tuple(one.embedding) for one in told]
    if [one.index for one in told] != list(range(count)) or len({len(v) for v in vectors}) != 1 or not vectors[0]:
        raise _failed("it gave other vectors than were asked for")
    return vectors


def _failed(why: str) -> FlyballError:
    fix = "Look at [memory.embedding] in flyball.toml; until then memories are found by their words."
    return FlyballError("embedding_failed", "texts could not be embedded", why, fix)
