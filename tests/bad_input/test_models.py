"""Models that answer anything, over real HTTP: what cannot be used runs nothing, and every run comes to an end."""

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
from tests.adapters.openai_server import completion, tool_call
from tests.bad_input.bank import KIM, PERMIT, Books, Hasty, in_memory, look, memory, pay

clerk = agent("clerk", instructions="Pay.", tools=[pay, look], limits=Limits(steps=12))
GOOD = completion({"content": "That is all."}, "stop")


def calls(*made: dict[str, Any]) -> dict[str, Any]:
    return completion({"content": None, "tool_calls": list(made)}, "tool_calls")


def says(arguments: Any) -> dict[str, Any]:
    return calls(tool_call(arguments, name="pay"))


@asynccontextmanager
async def desk(folder: Path, kept: Books, replies: list[Any]) -> AsyncIterator[Flyball]:
    """The bank with a model behind a real server, which gives these replies in order, the last one for ever."""
    left = list(replies)

    async def chat(_: web.Request) -> web.Response:
        reply = left.pop(0) if len(left) > 1 else left[0]
        body = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    config = ModelConfig(name="default", adapter="openai", model="test-1", base_url=url, price="scripted")
    ports = replace(memory(Hasty()), models={"default": adapter("model.openai")(config, None)})
    try:
        async with in_memory(ports, folder, kept, PERMIT, sys.modules[__name__], models={"default": config}) as flyball:
            yield flyball
    finally:
        await runner.cleanup()


UNUSABLE: dict[str, Any] = {
    "JSON that ends too soon": says('{"cents": 5'),
    "no object": says("[5]"),
    "text": says("five cents"),
    "an object that is no text": says({"cents": "5"}),
    "a key twice": says('{"cents": 5, "cents": 6}'),
    "NaN": says('{"cents": 5, "rate": NaN}'),
    "what becomes Infinity": says('{"cents": 5, "rate": 1e999}'),
    "half a character": says('{"cents": 5, "note": "\\ud800"}'),
    "an entity": says('{"cents": 5, "tags": {"__entity": {"type": "Group", "id": "finance"}}}'),
    "100 000 levels": says('{"cents": 5, "tags": ' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"),
    "an unknown tool": calls(tool_call("{}", name="pya")),
    "two calls with one id": calls(tool_call('{"cents": 5}', name="pay"), tool_call('{"cents": 6}', name="pay")),
    "a call without id": calls(tool_call('{"cents": 5}', id="", name="pay")),
    "nothing": completion({"content": ""}, "stop"),
    "null": completion({"content": None}, "stop"),
    "blanks": completion({"content": " \n\t"}, "stop"),
    "half an answer": completion({"content": "I shall pa"}, "length"),
    "what its provider withheld": completion({"content": ""}, "content_filter"),
}
BROKEN: dict[str, Any] = {
    "2 MB of arguments": says(json.dumps({"cents": 5, "note": "x" * 2_000_000})),
    "no choices": completion({"content": "x"}, "stop", choices=[]),
    "no JSON": b"<html>Bad gateway</html>",
    "no UTF-8": b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
    "an empty body": b"",
    "a list": b"[]",
    "half a body": json.dumps(GOOD).encode()[:-20],
    "choices of another kind": b'{"choices": "none"}',
}


@pytest.mark.parametrize("unusable", UNUSABLE)
async def test_an_answer_that_cannot_be_used_runs_nothing_and_is_asked_for_again(tmp_path: Path, unusable: str) -> None:
    kept = Books()
    async with desk(tmp_path, kept, [UNUSABLE[unusable], GOOD]) as app:
        done = await app.run(clerk, "pay", by=KIM)
        assert isinstance(done, Completed) and done.value == "That is all." and not kept.calls
        assert (await app.ledger.verify()).ok


@pytest.mark.parametrize("unusable", UNUSABLE)
async def test_answers_that_never_can_be_used_end_the_run(tmp_path: Path, unusable: str) -> None:
    kept = Books()
    async with desk(tmp_path, kept, [UNUSABLE[unusable]]) as app:
        ended = await app.run(clerk, "pay", by=KIM)
        assert isinstance(ended, Stopped) and ended.reason in ("invalid_proposal", "loop_detected") and not kept.calls
        assert (await app.ledger.verify()).ok


ENDS = ("tool_failed", "reply_too_large")


@pytest.mark.parametrize("broken", BROKEN)
async def test_what_is_no_answer_at_all_ends_the_run(tmp_path: Path, broken: str) -> None:
    kept = Books()
    async with desk(tmp_path, kept, [BROKEN[broken]]) as app:
        ended = await app.run(clerk, "pay", by=KIM)
        assert isinstance(ended, Stopped) and ended.reason in ENDS and not kept.calls
        assert (await app.ledger.verify()).ok


async def test_the_same_call_for_ever_is_a_loop(tmp_path: Path) -> None:
    kept = Books()
    async with desk(tmp_path, kept, [calls(tool_call('{"n": 1}', name="look"))]) as app:
        ended = await app.run(clerk, "look", by=KIM)
        assert isinstance(ended, Stopped) and ended.reason == "loop_detected" and kept.calls == ["look"] * 3


async def test_another_call_each_time_for_ever_ends_at_the_agents_own_limit(tmp_path: Path) -> None:
    kept = Books()
    endless = [calls(tool_call(json.dumps({"n": n}), name="look")) for n in range(99)]
    async with desk(tmp_path, kept, endless) as app:
        ended = await app.run(clerk, "look", by=KIM)
        assert isinstance(ended, Stopped) and ended.reason == "max_steps" and len(kept.calls) <= 12
        assert (await app.ledger.verify()).ok
