"""Anthropic's and Gemini's formats in whole runs, over real HTTP: answers that can be used, and answers that cannot."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flyball import Completed, Flyball, Limits, Stopped, agent
from flyball.app.plugs import adapter
from flyball.core.model import ModelConfig
from tests.bad_input.bank import KIM, PERMIT, Books, Hasty, in_memory, look, memory, pay

clerk = agent("clerk", instructions="Pay.", tools=[pay, look], limits=Limits(steps=12))
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "sig"}


class Anthropic:
    """What Anthropic says, and where it finds what it said before in what it is asked."""

    name, route = "anthropic", "/v1/messages"

    def text(self, said: str) -> Any:
        return self.reply([{"type": "text", "text": said}])

    def call(self, tool: str, args: Any, **more: Any) -> Any:
        use = {"type": "tool_use", "id": "toolu_1", "name": tool, "input": args}
        return self.reply([THOUGHT, use], stop_reason="tool_use", **more)

    def reply(self, content: list[Any], **more: Any) -> Any:
        usage = {"input_tokens": 9, "output_tokens": 5}
        return {"id": "m", "model": "other-9", "content": content, "stop_reason": "end_turn", "usage": usage, **more}

    def said(self, asked: Any) -> Any:
        return next(m["content"] for m in asked["messages"] if m["role"] == "assistant")

    def counted(self, tokens: int) -> Any:
        return self.call("pay", {"cents": 5}, usage={"input_tokens": tokens, "output_tokens": 1})


class Gemini:
    """What Gemini says, and where it finds what it said before in what it is asked."""

    name, route = "gemini", "/v1/models/{model}"

    def text(self, said: str) -> Any:
        return self.reply([{"text": said}])

    def call(self, tool: str, args: Any, **more: Any) -> Any:
        return self.reply([{"functionCall": {"name": tool, "args": args}, "thoughtSignature": "c2ln"}], **more)

    def reply(self, parts: list[Any], **more: Any) -> Any:
        usage = {"promptTokenCount": 9, "candidatesTokenCount": 5}
        candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
        return {"modelVersion": "other-9", "candidates": [candidate], "usageMetadata": usage, **more}

    def said(self, asked: Any) -> Any:
        return next(c["parts"] for c in asked["contents"] if c["role"] == "model")

    def counted(self, tokens: int) -> Any:
        return self.call("pay", {"cents": 5}, usageMetadata={"promptTokenCount": tokens})


Format = Anthropic | Gemini
FORMATS: list[Format] = [Anthropic(), Gemini()]
each = pytest.mark.parametrize("spoken", FORMATS, ids=lambda spoken: spoken.name)


@asynccontextmanager
async def desk(
    spoken: Format, folder: Path, kept: Books, replies: list[Any], asked: list[Any]
) -> AsyncIterator[Flyball]:
    """The bank with a model behind a real server, which gives these replies in order, the last one for ever."""
    left = list(replies)

    async def answer(request: web.Request) -> web.Response:
        asked.append(await request.json())
        reply = left.pop(0) if len(left) > 1 else left[0]
        status, reply = reply if isinstance(reply, tuple) else (200, reply)
        body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        return web.Response(status=status, body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post(spoken.route, answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    config = ModelConfig(name="default", adapter=spoken.name, model="test-1", base_url=url, price="scripted")
    ports = replace(memory(Hasty()), models={"default": adapter(f"model.{spoken.name}")(config, None)})
    try:
        async with in_memory(ports, folder, kept, PERMIT, sys.modules[__name__], models={"default": config}) as flyball:
            yield flyball
    finally:
        await runner.cleanup()


@each
async def test_a_call_runs_and_what_was_signed_goes_back(spoken: Format, tmp_path: Path) -> None:
    kept, asked = Books(), list[Any]()
    signed = spoken.call("look", {"n": 1})
    async with desk(spoken, tmp_path, kept, [signed, spoken.text("That is all.")], asked) as app:
        done = await app.run(clerk, "look", by=KIM)
        assert isinstance(done, Completed) and done.value == "That is all." and kept.calls == ["look"]
        assert (await app.ledger.verify()).ok
    parts = signed["content"] if spoken.name == "anthropic" else signed["candidates"][0]["content"]["parts"]
    assert spoken.said(asked[1]) == parts


@each
async def test_an_answer_that_cannot_be_used_runs_nothing_and_is_asked_for_again(
    spoken: Format, tmp_path: Path
) -> None:
    kept, asked = Books(), list[Any]()
    unusable = [spoken.call("pya", {}), spoken.call("pay", [5]), spoken.text(" ")]
    async with desk(spoken, tmp_path, kept, [*unusable, spoken.text("That is all.")], asked) as app:
        done = await app.run(clerk, "pay", by=KIM)
        assert isinstance(done, Completed) and done.value == "That is all." and not kept.calls
        assert (await app.ledger.verify()).ok


@each
async def test_what_passes_is_tried_again(spoken: Format, tmp_path: Path) -> None:
    kept, asked = Books(), list[Any]()
    passing = [(429, {"error": {"message": "slow down"}}), (500, b"oops"), b"half an ans"]
    async with desk(spoken, tmp_path, kept, [*passing, spoken.text("That is all.")], asked) as app:
        done = await app.run(clerk, "pay", by=KIM)
        assert isinstance(done, Completed) and len(asked) == 4 and not kept.calls


BROKEN = ("garbage", "nothing", "a huge body", "negative counts", "an empty answer")


@each
@pytest.mark.parametrize("broken", BROKEN)
async def test_what_is_no_answer_at_all_ends_the_run(spoken: Format, broken: str, tmp_path: Path) -> None:
    bodies = dict(zip(BROKEN, (b"<html>Bad</html>", b"", b" " * (9 << 20), spoken.counted(-4), {}), strict=True))
    kept = Books()
    async with desk(spoken, tmp_path, kept, [bodies[broken]], []) as app:
        ended = await app.run(clerk, "pay", by=KIM)
        assert isinstance(ended, Stopped) and not kept.calls and ended.reason in ("tool_failed", "reply_too_large")
        assert (await app.ledger.verify()).ok
