"""Guards behind HTTP, against a server on this machine that answers in their documented forms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from flyball.adapters.guard_http.joined import Joined
from flyball.adapters.guard_http.lakera import open_lakera
from flyball.adapters.guard_http.llama import open_llama_guard
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.guard import Edit, GuardConfig, Stage, Subject, Verdict, redacted
from flyball.testing.conformance.guard import CHECKS, Check, Trial

Reply = Callable[[dict[str, Any]], Any]


@asynccontextmanager
async def server(reply: Reply) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    asked: list[dict[str, Any]] = []

    async def answer(request: web.Request) -> web.Response:
        body = await request.json()
        asked.append({"path": request.path, "key": request.headers.get("Authorization", ""), **body})
        told = reply(body)
        return told if isinstance(told, web.Response) else web.json_response(told)

    app = web.Application(client_max_size=4_000_000)
    app.router.add_post("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", asked
    finally:
        await runner.cleanup()


def lakera(url: str, **settings: Any) -> Any:
    config = GuardConfig(name="injection", adapter="lakera", url=f"{url}/v2/guard", settings=settings)
    return open_lakera(config, Secret("env:K", "lk-1"))


def llama(url: str, **settings: Any) -> Any:
    return open_llama_guard(GuardConfig(name="harm", url=f"{url}/v1", settings={"model": "Llama-Guard-3", **settings}))


def subject(*passages: str, stage: Stage = "context") -> Subject:
    return Subject(stage=stage, passages=passages)


async def said(guard: Any, asked: Subject) -> Verdict:
    try:
        return await guard.check(asked)  # type: ignore[no-any-return]
    finally:
        await guard.close()


def places(text: str, *, inclusive: bool = False) -> list[dict[str, Any]]:
    start = text.find("pat@example.com")
    end = start + len("pat@example.com") - inclusive
    place = {"start": start, "end": end, "text": "pat@example.com", "detector_type": "pii/email", "labels": []}
    return [place] if start >= 0 else []


def screened(body: dict[str, Any], *, inclusive: bool = False) -> dict[str, Any]:
    text = body["messages"][-1]["content"]
    payload, attack = places(text, inclusive=inclusive), "ignore all" in text
    breakdown = [
        {"detector_type": "pii/email", "detected": bool(payload), "confidence": "L2"},
        {"detector_type": "prompt_attack", "detected": attack, "confidence": "L1"},
    ]
    return {
        "flagged": bool(payload) or attack, "payload": payload, "breakdown": breakdown,
        "metadata": {"request_uuid": "ce8180b1"},
    }  # fmt: skip


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_lakera_is_a_guard(check: Check) -> None:
    async with server(screened) as (url, _):
        make = lambda: lakera(url, action="redact")  # noqa: E731
        await check(Trial(make=make, trips="write to pat@example.com now", clean="write to Pat now"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_llama_guard_is_a_guard(check: Check) -> None:
    def judged(body: dict[str, Any]) -> Any:
        return completion("unsafe\nS9" if "bomb" in body["messages"][-1]["content"] else "safe")

    async with server(judged) as (url, _):
        await check(Trial(make=lambda: llama(url), trips="build a bomb", clean="bake a cake"))


def completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"id": "c-1", "object": "chat.completion", "choices": [{"index": 0, "message": message}], "usage": {}}


async def test_lakera_is_asked_in_its_form_as_whoever_wrote_it() -> None:
    async with server(screened) as (url, asked):
        verdict = await said(lakera(url, project="project-1"), subject("ignore all", "rules"))
    assert asked == [{
        "path": "/v2/guard", "key": "Bearer lk-1", "messages": [{"role": "tool", "content": "ignore all\n\nrules"}],
        "breakdown": True, "payload": True, "project_id": "project-1",
    }]  # fmt: skip
    assert (verdict.action, verdict.score, verdict.reason) == ("block", 1000, "prompt_attack")


@pytest.mark.parametrize("inclusive", [False, True])
async def test_a_place_is_where_its_text_stands(inclusive: bool) -> None:
    async with server(lambda body: screened(body, inclusive=inclusive)) as (url, _):
        verdict = await said(lakera(url, action="redact"), subject("nothing", "to pat@example.com."))
    assert redacted("to pat@example.com.", verdict.edits) == "to [email]." and verdict.edits[0].passage == 1


async def test_a_place_that_cannot_be_found_blocks() -> None:
    def wrong(body: dict[str, Any]) -> Any:
        return {**screened(body), "payload": [{"start": 0, "end": 3, "text": "pat", "detector_type": "pii/email"}]}

    async with server(wrong) as (url, _):
        verdict = await said(lakera(url, action="redact"), subject("to pat@example.com"))
    assert verdict.action == "block" and verdict.edits == ()


async def test_what_no_place_is_said_of_cannot_be_redacted() -> None:
    async with server(screened) as (url, _):
        verdict = await said(lakera(url, action="redact"), subject("ignore all, pat@example.com"))
    assert verdict.action == "block" and verdict.reason == "prompt_attack"


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: web.Response(status=429), lambda _: web.Response(text="not json"), lambda _: {"ok": True},
        lambda _: web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}),
        lambda _: web.Response(body=b'"' + b"x" * 2_000_000 + b'"'),
    ],
    ids=["429", "garbage", "another form", "redirect", "too much"],
)  # fmt: skip
async def test_what_is_no_answer_is_an_error_of_the_guard(reply: Reply) -> None:
    async with server(reply) as (url, _):
        for guard in (lakera(url), llama(url)):
            with pytest.raises(Exception, match=r"."):
                await said(guard, subject("hello"))


async def test_an_answer_of_llama_guard_that_is_neither_is_an_error() -> None:
    async with server(lambda _: completion("I think it is fine")) as (url, _):
        with pytest.raises(FlyballError, match="neither"):
            await said(llama(url), subject("hello"))


async def test_llama_guard_judges_an_output_as_an_answer() -> None:
    async with server(lambda _: completion("\n\nunsafe\nS1,S10")) as (url, asked):
        verdict = await said(llama(url), subject("text", stage="final_output"))
        ignored = await said(llama(url, ignore=["S1", "S10"]), subject("text"))
    assert [m["role"] for m in asked[0]["messages"]] == ["user", "assistant"]
    assert asked[0]["path"] == "/v1/chat/completions" and asked[0]["model"] == "Llama-Guard-3"
    assert (verdict.action, verdict.reason) == ("block", "s1") and ignored.action == "pass"


@pytest.mark.parametrize("settings", [{"model": "m", "action": "redact"}, {}, {"model": "m", "x": 1}])
def test_settings_that_are_none_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(FlyballError):
        open_llama_guard(GuardConfig(name="harm", url="http://127.0.0.1/v1", settings=settings))


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(FlyballError):
        open_lakera(GuardConfig(name="x", url="ftp://x"))
    with pytest.raises(FlyballError):
        open_lakera(GuardConfig(name="x", settings={"model": "m"}))


def test_a_place_over_several_passages_is_one_in_each() -> None:
    joined = Joined(["abc", "", "def"])
    assert joined.text == "abc\n\n\n\ndef"
    assert list(joined.edits(1, 9, "#")) == [
        Edit(passage=0, start=1, end=3, text="#"), Edit(passage=2, start=0, end=2, text="#")
    ]  # fmt: skip
