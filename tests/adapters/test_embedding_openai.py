"""The embedding model behind HTTP, against an endpoint that speaks OpenAI's embeddings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from flyball.adapters.embedding_openai import MOST_TEXTS, OpenAIEmbedding
from flyball.core.call import Secret
from flyball.core.config import EmbeddingConfig
from flyball.core.errors import FlyballError

Answer = Callable[[Any], Any]
ASKED: list[tuple[str, Any]] = []


@asynccontextmanager
async def embedding(answer: Answer) -> AsyncIterator[OpenAIEmbedding]:
    """A model whose endpoint answers so; what it was asked is in ASKED."""
    ASKED.clear()

    async def handle(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        ASKED.append((request.headers.get("Authorization", ""), body))
        told = answer(body)
        return told if isinstance(told, web.StreamResponse) else web.json_response(told)

    app = web.Application()
    app.router.add_post("/v1/embeddings", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    model = OpenAIEmbedding(EmbeddingConfig(model="e-1", base_url=f"http://127.0.0.1:{port}/v1/"), Secret("k", "s3"))
    try:
        yield model
    finally:
        await model.close()
        await runner.cleanup()


def vectors(body: Any) -> dict[str, Any]:
    told = [{"index": n, "embedding": [float(len(text)), 1.0]} for n, text in enumerate(body["input"])]
    return {"data": told[::-1], "model": "e-1"}


async def test_each_text_gets_its_vector_whatever_order_they_come_in() -> None:
    async with embedding(vectors) as model:
        assert await model.embed(["a", "bcd"]) == [(1.0, 1.0), (3.0, 1.0)]
    [(key, body)] = ASKED
    assert key == "Bearer s3" and body == {"model": "e-1", "input": ["a", "bcd"], "encoding_format": "float"}


async def test_many_texts_are_asked_for_in_portions() -> None:
    async with embedding(vectors) as model:
        assert len(await model.embed(["a"] * (MOST_TEXTS + 1))) == MOST_TEXTS + 1
    assert [len(body["input"]) for _, body in ASKED] == [MOST_TEXTS, 1]


@pytest.mark.parametrize(
    "answer",
    [
        lambda _: web.Response(status=429), lambda _: web.Response(text="<html>"), lambda _: {"data": []},
        lambda _: {"data": [{"index": 0, "embedding": []}]}, lambda _: {"data": [{"index": 1, "embedding": [1.0]}]},
        lambda _: {"data": [{"index": 0, "embedding": ["x"]}]}, lambda _: {"error": "no"},
    ],
)  # fmt: skip
async def test_what_are_no_vectors_is_said(answer: Answer) -> None:
    async with embedding(answer) as model:
        with pytest.raises(FlyballError) as failed:
            await model.embed(["a"])
    assert failed.value.code == "embedding_failed" and "s3" not in str(failed.value)


async def test_an_endpoint_that_is_not_there_is_said() -> None:
    model = OpenAIEmbedding(EmbeddingConfig(model="e-1", base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(FlyballError):
        await model.embed(["a"])
    await model.close()
