from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from flyball.adapters.model_http.gemini import GeminiWire
from flyball.adapters.model_http.models import GeminiModel
from flyball.core.call import Secret
from flyball.core.model import Message, ModelConfig, ModelError, ModelReply, ModelRequest, ToolCall, ToolSpec, Usage
from flyball.core.prices import bound_tokens
from flyball.testing.conformance.model import CHECKS, Subject
from tests.adapters.openai_server import Endpoint, model_server

KEY = "AIza-very-secret-1234567890"
SEARCH = ToolSpec(name="search", description="Looks up.", schema={"type": "object", "properties": {"q": {}}})
USER = Message(role="user", text="Hi")
COUNTS = {"promptTokenCount": 11, "candidatesTokenCount": 4, "thoughtsTokenCount": 3, "cachedContentTokenCount": 2}
UNSIGNED = {"thoughtSignature": "skip_thought_signature_validator"}


def answer(*parts: dict[str, Any], stop: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate = {"index": 0, "content": {"role": "model", "parts": list(parts)}, "finishReason": stop}
    return {
        "responseId": "r1", "modelVersion": "test-1-001", "candidates": [candidate], "usageMetadata": COUNTS, **more
    }  # fmt: skip


def call(args: Any = None, **more: Any) -> dict[str, Any]:
    return {"functionCall": {"name": "search", "args": {"q": "x"} if args is None else args, **more}}


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    routes = [f"/v1beta/models/{{model:[^:/]+}}:{name}" for name in ("generateContent", "streamGenerateContent")]
    async with model_server(routes[0], answer({"text": "Hello."}), answer(call()), routes[1]) as served:
        served.url += "/v1beta"
        yield served


def model(endpoint: Endpoint, **changes: Any) -> GeminiModel:
    most = {"max_reply": changes.pop("max_reply")} if "max_reply" in changes else {}
    config = ModelConfig(**{"name": "default", "base_url": endpoint.url, "timeout_ms": 5000, **changes})
    return GeminiModel(config, Secret("env:K", KEY), **most)


def ask(name: str, *messages: Message, **more: Any) -> ModelRequest:
    return ModelRequest(**{"model": name, "messages": messages or (USER,), "tools": (SEARCH,), **more})


async def asked(endpoint: Endpoint, request: ModelRequest, **changes: Any) -> ModelReply:
    port = model(endpoint, **changes)
    try:
        return await port.complete(request)
    finally:
        await port.close()


async def answered(endpoint: Endpoint, body: Any, status: int = 200, **headers: str) -> ModelReply:
    endpoint.body, endpoint.status = body, status
    endpoint.reply_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asked(endpoint, ask("custom"))


async def failed(endpoint: Endpoint, body: Any, status: int = 200, **headers: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await answered(endpoint, body, status, **headers)
    assert KEY not in str(caught.value) + repr(caught.value)
    return caught.value


def error(status: str, said: str = "no", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": 400, "message": said, "status": status, "details": list(details)}}


@pytest.mark.asyncio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_conforms(check: Any, endpoint: Endpoint) -> None:
    endpoint.status = 500
    await check(
        Subject(
            open=lambda: model(endpoint), text=ask("text"), answer="Hello.", call=ask("call"), failing=ask("custom"),
            slow=ask("slow", deadline_ms=100),
        )
    )  # fmt: skip


# what is sent ------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_request_is_written_in_the_format(endpoint: Endpoint) -> None:
    calls = (ToolCall(id="c1", name="search", arguments='{"q":"é"}'), ToolCall(id="flyball-r1-1", name="search"))
    messages = (
        Message(role="system", text="Be brief."), Message(role="user", text="Hi"),
        Message(role="assistant", text="Looking.", calls=calls, name="writer"),
        Message(role="tool", text="found", call_id="c1", name="search"),
        Message(role="tool", text="none", call_id="flyball-r1-1", name="search"),
    )  # fmt: skip
    await asked(endpoint, ask("text", *messages, temperature_milli=200))
    assert endpoint.asked[0] == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [{"text": "Looking."}, {**call({"q": "é"}, id="c1"), **UNSIGNED}, call({})]},
            {"role": "user", "parts": [
                {"functionResponse": {"id": "c1", "name": "search", "response": {"output": "found"}}},
                {"functionResponse": {"name": "search", "response": {"output": "none"}}}]},
        ],
        "tools": [{"functionDeclarations": [{
            "name": "search", "description": "Looks up.",
            "parametersJsonSchema": {"type": "object", "properties": {"q": {}}}}]}],
        "generationConfig": {"maxOutputTokens": 4096, "temperature": 0.2},
    }  # fmt: skip


@pytest.mark.asyncio
async def test_what_is_not_asked_for_is_not_sent(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=(), max_tokens=9))
    wanted = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 9}}
    assert endpoint.asked[0] == wanted


@pytest.mark.asyncio
async def test_a_name_stands_in_the_address_and_cannot_leave_its_place(endpoint: Endpoint) -> None:
    with pytest.raises(ModelError) as caught:
        await asked(endpoint, ask("../../other?key=x:generateContent#"))
    assert caught.value.data["status"] == 404 and endpoint.asked == []
    assert GeminiWire().path("../a?b#c", stream=False) == "/models/..%2Fa%3Fb%23c:generateContent"


@pytest.mark.asyncio
async def test_an_answers_schema_is_sent_where_there_are_no_tools(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=(), output_schema={"type": "object"}))
    await asked(endpoint, ask("text", output_schema={"type": "object"}))
    form = {"responseMimeType": "application/json", "responseJsonSchema": {"type": "object"}}
    assert endpoint.asked[0]["generationConfig"] == {"maxOutputTokens": 4096, **form}
    assert endpoint.asked[1]["generationConfig"] == {"maxOutputTokens": 4096}


@pytest.mark.asyncio
async def test_a_tool_without_arguments_has_an_object_schema(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=(ToolSpec(name="now"),)))
    declared = endpoint.asked[0]["tools"][0]["functionDeclarations"][0]
    assert declared["parametersJsonSchema"] == {"type": "object", "properties": {}}


@pytest.mark.asyncio
async def test_a_turn_of_nothing_is_not_sent_empty(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", Message(role="user", text="")))
    assert endpoint.asked[0]["contents"] == [{"role": "user", "parts": [{"text": "(empty)"}]}]


@pytest.mark.asyncio
async def test_the_key_goes_into_its_header_only(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await asked(endpoint, ask("text"))
    sent = {name.lower(): value for name, value in endpoint.headers[0].items()}
    assert sent["x-goog-api-key"] == KEY and "authorization" not in sent
    assert KEY not in str(endpoint.asked) and KEY not in caplog.text


@pytest.mark.asyncio
async def test_without_a_key_none_is_sent(endpoint: Endpoint) -> None:
    port = GeminiModel(ModelConfig(name="local", base_url=endpoint.url))
    assert (await port.complete(ask("text"))).text == "Hello."
    await port.close()
    assert "x-goog-api-key" not in {name.lower() for name in endpoint.headers[0]}


@pytest.mark.asyncio
@pytest.mark.parametrize("more", [{"max_tokens": 0}, {"messages": (Message(role="user", text="\ud800"),)}])
async def test_a_request_that_cannot_be_written_is_not_sent(endpoint: Endpoint, more: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        await asked(endpoint, ask("text", **more))
    assert (caught.value.kind, caught.value.sent, endpoint.asked) == ("bad_request", False, [])


# what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_reply_is_read_with_its_usage_and_the_version_that_answered(endpoint: Endpoint) -> None:
    # What was thought is output, and it is paid as output.
    usage = Usage(input=11, output=7, cached=2)
    assert await asked(endpoint, ask("text")) == ModelReply(
        text="Hello.", usage=usage, model="test-1-001", provider_id="r1"
    )


@pytest.mark.asyncio
async def test_the_arguments_of_calls_stay_as_the_model_wrote_them(endpoint: Endpoint) -> None:
    raw = json.dumps(answer({"text": "I look."}, call(), call({}, id="g2"), {"functionCall": {"name": "now"}}))
    reply = await answered(endpoint, raw.replace('{"q": "x"}', '{"q": 1.50,"q":2}').encode())
    ids = ["flyball-r1-0", "g2", "flyball-r1-2"]
    assert [c.id for c in reply.calls] == ids and [c.name for c in reply.calls] == ["search", "search", "now"]
    assert [c.arguments for c in reply.calls] == ['{"q": 1.50,"q":2}', "{}", "{}"]
    assert (reply.text, reply.stop) == ("I look.", "tool")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "stop"),
    [("STOP", "end"), ("MAX_TOKENS", "length"), ("SAFETY", "filter"), ("RECITATION", "filter"), (None, "other"),
     ("MALFORMED_FUNCTION_CALL", "other"), ("NEW", "other")],
)  # fmt: skip
async def test_each_ending_is_named(endpoint: Endpoint, said: str | None, stop: str) -> None:
    assert (await answered(endpoint, answer({"text": "x"}, stop=said))).stop == stop


@pytest.mark.asyncio
async def test_calls_of_an_answer_that_was_withheld_are_withheld(endpoint: Endpoint) -> None:
    assert (await answered(endpoint, answer(call(), stop="SAFETY"))).stop == "filter"


@pytest.mark.asyncio
async def test_a_blocked_prompt_is_withheld(endpoint: Endpoint) -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    reply = await answered(endpoint, body)
    assert (reply.text, reply.stop, reply.usage) == ("", "filter", Usage(input=5))


@pytest.mark.asyncio
async def test_a_candidate_without_content_is_an_empty_answer(endpoint: Endpoint) -> None:
    reply = await answered(endpoint, answer(candidates=[{"finishReason": "MAX_TOKENS"}]))
    assert (reply.text, reply.stop) == ("", "length")


@pytest.mark.asyncio
async def test_what_was_signed_goes_back_unchanged_and_thoughts_are_no_text(endpoint: Endpoint) -> None:
    parts: list[dict[str, Any]] = [
        {"text": "Hm.", "thought": True},
        {"text": "I look."},
        {**call(), "thoughtSignature": "c2ln"},
        call(),
    ]
    reply = await answered(endpoint, answer(*parts))
    said = Message(role="assistant", text=reply.text, calls=reply.calls, echo=reply.echo)
    await asked(endpoint, ask("custom", USER, said))
    assert reply.text == "I look." and endpoint.asked[1]["contents"][1]["parts"] == parts


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "first"), [("text", {**call({}), **UNSIGNED}), ("gemini-2.5-pro", call({}))])
async def test_another_models_signature_is_not_shown(endpoint: Endpoint, name: str, first: Any) -> None:
    endpoint.body = answer({"text": "x"})
    echo = '{"by":"gemini","model":"other","parts":[{"text":"secret"}]}'
    made = (ToolCall(id="flyball-1", name="search"), ToolCall(id="flyball-2", name="search"))
    await asked(endpoint, ask(name, USER, Message(role="assistant", calls=made, echo=echo)))
    assert endpoint.asked[0]["contents"][1]["parts"] == [first, call({})]


@pytest.mark.asyncio
async def test_without_calls_nothing_is_kept(endpoint: Endpoint) -> None:
    assert not (await answered(endpoint, answer({"text": "x", "thoughtSignature": "c2ln"}))).echo


@pytest.mark.asyncio
@pytest.mark.parametrize("counts", [None, {}, {"candidatesTokenCount": 5}])
async def test_without_a_count_the_most_is_charged_and_marked(endpoint: Endpoint, counts: Any) -> None:
    endpoint.body = answer({"text": "x"}, usageMetadata=counts)
    reply = await asked(endpoint, ask("custom", max_tokens=50))
    assert reply.usage == Usage(input=bound_tokens(ask("custom")), output=50, estimated=True)


@pytest.mark.asyncio
async def test_a_count_that_is_left_out_is_none(endpoint: Endpoint) -> None:
    body = answer(stop="MAX_TOKENS", usageMetadata={"promptTokenCount": 9, "toolUsePromptTokenCount": 2})
    assert (await answered(endpoint, body)).usage == Usage(input=11)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "changed",
    [{"promptTokenCount": -1, "toolUsePromptTokenCount": 9}, {"candidatesTokenCount": -1}, {"thoughtsTokenCount": -1},
     {"cachedContentTokenCount": -1}, {"cachedContentTokenCount": 12}, {"promptTokenCount": 1.5},
     {"candidatesTokenCount": True}, {"promptTokenCount": 10**15}],
)  # fmt: skip
async def test_counts_that_cannot_be_are_a_bad_reply(endpoint: Endpoint, changed: dict[str, Any]) -> None:
    caught = await failed(endpoint, answer({"text": "x"}, usageMetadata={**COUNTS, **changed}))
    assert caught.kind == "bad_reply" and caught.may_cost


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"<html>busy</html>", b"\xff\xfe", b"[]", b"null", b"{}", b'{"candidates":[]}',
        b'{"candidates":{}}', b'{"candidates":[5]}', b'{"candidates":[{"content":{"parts":[5]}}]}',
        b'{"candidates":[{"content":{"parts":[{"text":5}]}}]}', b'{"x":' * 100_000,
        b'{"candidates":[{"content":{"parts":[{"functionCall":{}}]}}]}', b'{"promptFeedback":{}}',
        json.dumps(answer({"text": "x"})).encode()[:-20], b'{"candidates":[{"content":{"parts":[{"text":"\xff"}]}}]}',
        b'{"candidates":[{"content":{"parts":[{"functionCall":{"name":"a","args":{"a":"\xff"}}}]}}]}',
    ],
)  # fmt: skip
async def test_garbage_is_a_bad_reply_whose_cost_is_not_nothing(endpoint: Endpoint, body: bytes) -> None:
    caught = await failed(endpoint, body)
    assert (caught.kind, caught.sent, caught.may_cost, caught.retryable) == ("bad_reply", True, True, True)


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "kind"), [("flood", "reply_too_large"), ("cut", "unavailable")])
async def test_a_reply_without_end_or_cut_short_is_no_reply(endpoint: Endpoint, name: str, kind: str) -> None:
    with pytest.raises(ModelError) as caught:
        await asked(endpoint, ask(name), max_reply=1 << 20)
    assert caught.value.kind == kind and caught.value.may_cost


# what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "said", "kind", "retryable"),
    [
        (400, "INVALID_ARGUMENT", "bad_request", False), (403, "PERMISSION_DENIED", "auth", False),
        (404, "NOT_FOUND", "bad_request", False), (429, "RESOURCE_EXHAUSTED", "rate_limited", True),
        (500, "INTERNAL", "unavailable", True), (503, "UNAVAILABLE", "unavailable", True),
        (504, "DEADLINE_EXCEEDED", "timeout", True),
    ],
)  # fmt: skip
async def test_each_status_has_its_kind(endpoint: Endpoint, status: int, said: str, kind: str, retryable: bool) -> None:
    caught = await failed(endpoint, error(said, f"no\nway {KEY}"), status)
    assert (caught.kind, caught.retryable, caught.sent, caught.why) == (kind, retryable, True, "no way <key>")
    assert caught.data == {"status": status, "code": said} and len(endpoint.asked) == 1


@pytest.mark.asyncio
@pytest.mark.parametrize(("delay", "wait"), [("22s", 22_000), ("0.5s", 500), ("soon", None), (5, None)])
async def test_a_limit_says_in_its_details_when_to_come_back(endpoint: Endpoint, delay: Any, wait: int | None) -> None:
    details = ({"@type": "type.googleapis.com/google.rpc.Help"}, {"retryDelay": delay})
    caught = await failed(endpoint, error("RESOURCE_EXHAUSTED", "quota", *details), 429)
    assert caught.retry_after_ms == wait


@pytest.mark.asyncio
async def test_the_header_says_it_before_the_details(endpoint: Endpoint) -> None:
    body = error("RESOURCE_EXHAUSTED", "quota", {"retryDelay": "22s"})
    assert (await failed(endpoint, body, 429, Retry_After="7")).retry_after_ms == 7000


@pytest.mark.asyncio
async def test_a_key_that_is_none_is_said_so_though_the_status_is_400(endpoint: Endpoint) -> None:
    caught = await failed(endpoint, error("INVALID_ARGUMENT", "API key not valid", {"reason": "API_KEY_INVALID"}), 400)
    assert (caught.kind, caught.retryable) == ("auth", False) and "key" in caught.fix


@pytest.mark.asyncio
async def test_an_error_inside_a_reply_is_an_error(endpoint: Endpoint) -> None:
    caught = await failed(endpoint, error("UNAVAILABLE", "busy"))
    assert (caught.kind, caught.why, caught.may_cost) == ("unavailable", "busy", True)


@pytest.mark.asyncio
@pytest.mark.parametrize("body", [b"busy", b'{"error":"busy"}', b'{"error":{"message":5,"details":"x"}}'])
async def test_what_an_error_says_may_be_anything(endpoint: Endpoint, body: bytes) -> None:
    assert (await failed(endpoint, body, 503)).kind == "unavailable"


def test_without_an_address_the_provider_itself_is_asked() -> None:
    assert GeminiModel(ModelConfig(name="default"))._base == "https://generativelanguage.googleapis.com/v1beta"
