from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import pytest_asyncio

from flyball.adapters.model_http.models import OpenAIModel, limit_field
from flyball.adapters.model_http.wire import MAX_WAIT_MS, retry_after_ms
from flyball.core.call import Secret
from flyball.core.errors import FlyballError
from flyball.core.model import Message, ModelConfig, ModelError, ModelReply, ModelRequest, ToolCall, ToolSpec, Usage
from flyball.core.prices import bound_tokens
from flyball.testing.conformance.model import CHECKS, Subject
from tests.adapters.openai_server import Endpoint, completion, openai_server, tool_call

KEY = "sk-very-secret-1234567890"
SEARCH = ToolSpec(name="search", description="Looks up.", schema={"type": "object", "properties": {"q": {}}})


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with openai_server() as served:
        yield served


def model(endpoint: Endpoint, **changes: Any) -> OpenAIModel:
    most = {"max_reply": changes.pop("max_reply")} if "max_reply" in changes else {}
    config = ModelConfig(**{"name": "default", "base_url": endpoint.url, "timeout_ms": 5000, **changes})
    return OpenAIModel(config, Secret("env:K", KEY), **most)


def ask(name: str, **more: Any) -> ModelRequest:
    return ModelRequest(**{"model": name, "messages": (Message(role="user", text="Hi"),), "tools": (SEARCH,), **more})


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


async def broken(endpoint: Endpoint, name: str, **changes: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await asked(endpoint, ask(name, **changes.pop("request", {})), **changes)
    return caught.value


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
    call = ToolCall(id="c1", name="search", arguments='{"q":"é"}')
    messages = (
        Message(role="system", text="Be brief."),
        Message(role="assistant", calls=(call,), name="writer"),
        Message(role="tool", text="found", call_id="c1", name="search"),
    )
    await asked(endpoint, ask("text", messages=messages, output_schema={"type": "object"}, temperature_milli=200))
    assert endpoint.asked[0] == {
        "model": "text",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q":"é"}'}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "found"},
        ],
        "tools": [{"type": "function", "function": {
            "name": "search", "description": "Looks up.", "parameters": {"type": "object", "properties": {"q": {}}}}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "output", "schema": {"type": "object"}}},
        "temperature": 0.2,
        "max_tokens": 4096,
    }  # fmt: skip


@pytest.mark.asyncio
async def test_what_is_not_asked_for_is_not_sent(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=(), max_tokens=9), limit_field="max_completion_tokens")
    assert set(endpoint.asked[0]) == {"model", "messages", "max_completion_tokens"}


@pytest.mark.asyncio
async def test_a_tool_without_arguments_has_an_object_schema(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=(ToolSpec(name="now"),)))
    assert endpoint.asked[0]["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize(
    ("base_url", "field"),
    [
        ("", "max_completion_tokens"),
        ("https://eu.api.openai.com/v1", "max_completion_tokens"),
        ("https://desk.openai.azure.com/openai/v1", "max_completion_tokens"),
        ("https://notopenai.com/v1", "max_tokens"),
        ("http://127.0.0.1:11434/v1", "max_tokens"),
    ],
)
def test_the_limit_has_the_name_that_the_host_knows(base_url: str, field: str) -> None:
    assert limit_field(ModelConfig(name="default", base_url=base_url)) == field


@pytest.mark.asyncio
async def test_the_key_goes_into_the_header_only(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await asked(endpoint, ask("text"))
    assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert KEY not in str(endpoint.asked) and KEY not in caplog.text


@pytest.mark.asyncio
async def test_without_a_key_no_authorization_is_sent(endpoint: Endpoint) -> None:
    port = OpenAIModel(ModelConfig(name="local", base_url=endpoint.url))
    assert (await port.complete(ask("text"))).text == "Hello."
    await port.close()
    assert "Authorization" not in endpoint.headers[0]


@pytest.mark.asyncio
@pytest.mark.parametrize("more", [{"max_tokens": 0}, {"messages": (Message(role="user", text="\ud800"),)}])
async def test_a_request_that_cannot_be_written_is_not_sent(endpoint: Endpoint, more: dict[str, Any]) -> None:
    error = await broken(endpoint, "text", request=more)
    assert (error.kind, error.sent, error.retryable, endpoint.asked) == ("bad_request", False, False, [])


@pytest.mark.parametrize(
    "base_url",
    ["api.openai.com/v1", "ftp://x/v1", "https://", "https://user:sk-1@host/v1", "https://h/v1?key=sk-1", "http://[::1",
     "http://h:99999/v1"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_quoted(base_url: str) -> None:
    with pytest.raises(FlyballError) as caught:
        OpenAIModel(ModelConfig(name="default", base_url=base_url))
    assert caught.value.code == "bad_base_url" and "sk-1" not in str(caught.value)


# what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_reply_in_text_is_read_with_its_usage_and_version(endpoint: Endpoint) -> None:
    assert await asked(endpoint, ask("text")) == ModelReply(
        text="Hello.", usage=Usage(input=11, output=7, cached=3), model="test-1-2026-01-01", provider_id="cmpl-1"
    )


@pytest.mark.asyncio
async def test_the_arguments_of_a_call_stay_as_the_model_wrote_them(endpoint: Endpoint) -> None:
    broken_json = '{"q": "half'
    calls = [tool_call(broken_json), tool_call("", id="c2"), tool_call(None, id="c3")]
    reply = await answered(endpoint, completion({"content": None, "tool_calls": calls}, "tool_calls"))
    assert [c.arguments for c in reply.calls] == [broken_json, "", ""]
    assert (reply.stop, reply.calls[0].id, reply.calls[0].name) == ("tool", "call_1", "search")


@pytest.mark.asyncio
async def test_arguments_written_as_an_object_become_its_text(endpoint: Endpoint) -> None:
    reply = await answered(endpoint, completion({"content": "", "tool_calls": [tool_call({"q": "é"})]}, "stop"))
    assert reply.calls[0].arguments == '{"q": "\\u00e9"}' and reply.stop == "tool"


@pytest.mark.asyncio
async def test_a_call_without_id_gets_one_of_the_reply(endpoint: Endpoint) -> None:
    calls = [tool_call(id=None), tool_call(id=None)]
    reply = await answered(endpoint, completion({"content": None, "tool_calls": calls}, "tool_calls"))
    assert [c.id for c in reply.calls] == ["cmpl-1-0", "cmpl-1-1"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("message", "finish", "text", "stop"),
    [
        ({"content": "cut"}, "length", "cut", "length"),
        ({"content": None}, "content_filter", "", "filter"),
        ({"content": None, "refusal": "I will not."}, "stop", "I will not.", "filter"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "stop", "ab", "end"),
        ({}, None, "", "other"),
        ({"content": "x", "tool_calls": None}, "eos", "x", "other"),
    ],
)
async def test_each_ending_is_named(endpoint: Endpoint, message: Any, finish: Any, text: str, stop: str) -> None:
    reply = await answered(endpoint, completion(message, finish))
    assert (reply.text, reply.stop) == (text, stop)


@pytest.mark.asyncio
async def test_without_a_count_the_most_is_charged_and_marked(endpoint: Endpoint) -> None:
    endpoint.body = completion({"content": "x"}, "stop", usage=None, model=None, id=None)
    reply = await asked(endpoint, ask("custom", max_tokens=50))
    bound = bound_tokens(ask("custom"))
    assert reply.usage == Usage(input=bound, output=50, estimated=True) and reply.model == ""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -1, "completion_tokens": 1},
        {"prompt_tokens": 1, "completion_tokens": -1},
        {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": -1}},
        {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}},
        {"prompt_tokens": 1.5, "completion_tokens": 1},
        {"prompt_tokens": True, "completion_tokens": 1},
        {"prompt_tokens": 10**30, "completion_tokens": 1},
        {"prompt_tokens": 10**15, "completion_tokens": 1},
        {"prompt_tokens": 1},
    ],
)
async def test_counts_that_cannot_be_are_a_bad_reply(endpoint: Endpoint, usage: dict[str, Any]) -> None:
    error = await failed(endpoint, completion({"content": "x"}, "stop", usage=usage))
    assert error.kind == "bad_reply" and error.may_cost


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"<html>busy</html>", b"\xff\xfe", b"[]", b"null", b"{}", b'{"choices":[]}',
        b'{"choices":[{}]}', b'{"choices":[{"message":null}]}', b'{"choices":[{"message":{"content":5}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"id":"1"}]}}]}', b'{"choices":[{"message":{"tool_calls":{}}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"arguments":"{}"}}]}}]}', b'{"x":' * 100_000,
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"a","arguments":"\\ud800\xff"}}]}}]}',
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"a","arguments":"\\ud800"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"a","arguments":"\xff"}}]}}]}',
        b'{"choices":[{"message":{"tool_calls":[{"function":{"name":"a","arguments":{"a":"\xff"}}}]}}]}',
    ],
)  # fmt: skip
async def test_garbage_is_a_bad_reply_whose_cost_is_not_nothing(endpoint: Endpoint, body: bytes) -> None:
    error = await failed(endpoint, body)
    assert (error.kind, error.sent, error.may_cost, error.retryable) == ("bad_reply", True, True, True)


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["flood", "bomb"])
async def test_a_reply_without_end_is_cut_off(endpoint: Endpoint, name: str) -> None:
    error = await broken(endpoint, name, max_reply=1 << 20)
    assert (error.kind, error.retryable) == ("reply_too_large", False) and "1048576 bytes" in error.why


# what goes wrong ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, "bad_request", False), (401, "auth", False), (403, "auth", False), (404, "bad_request", False),
        (408, "timeout", True), (409, "unavailable", True), (413, "bad_request", False), (422, "bad_request", False),
        (429, "rate_limited", True), (500, "unavailable", True), (502, "unavailable", True), (503, "unavailable", True),
        (504, "timeout", True), (529, "unavailable", True),
    ],
)  # fmt: skip
async def test_each_status_has_its_kind(endpoint: Endpoint, status: int, kind: str, retryable: bool) -> None:
    error = await failed(endpoint, {"error": {"message": "no\nway", "code": "c"}}, status)
    assert (error.kind, error.retryable, error.sent, error.why) == (kind, retryable, True, "no way")
    assert error.data == {"status": status, "code": "c"} and len(endpoint.asked) == 1


@pytest.mark.asyncio
async def test_a_limit_says_when_to_come_back(endpoint: Endpoint) -> None:
    assert (await failed(endpoint, b"", 429, Retry_After="7")).retry_after_ms == 7000
    assert (await failed(endpoint, b"", 503, retry_after_ms="250", Retry_After="9")).retry_after_ms == 250
    assert (await failed(endpoint, b"", 429)).retry_after_ms is None


@pytest.mark.asyncio
async def test_a_date_to_come_back_is_read_against_the_providers_clock(endpoint: Endpoint) -> None:
    at = datetime(2020, 5, 1, 12, 0, 0, tzinfo=UTC)
    dates = {
        "Date": format_datetime(at, usegmt=True),
        "Retry_After": format_datetime(at + timedelta(seconds=30), usegmt=True),
    }
    assert (await failed(endpoint, b"", 429, **dates)).retry_after_ms == 30_000


@pytest.mark.parametrize(
    ("said", "milliseconds"),
    [
        ("0", 0), ("1.5", 1500), ("99999999", MAX_WAIT_MS), ("-3", None), ("nan", None), ("soon", None), ("", None),
        ("1_0", None), ("9" * 400, None), ("Thu, 01 Jan 1970 00:01:40 GMT", 90_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0), ("Thursday, 01-Jan-70 00:01:40 GMT", 90_000),
        ("Thu Jan  1 00:01:40 1970", 90_000), ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_or_left(said: str, milliseconds: int | None) -> None:
    assert retry_after_ms({"retry-after": said}, 10.0) == milliseconds


@pytest.mark.asyncio
async def test_an_empty_account_is_not_tried_again(endpoint: Endpoint) -> None:
    error = await failed(endpoint, {"error": {"message": "quota", "code": None, "type": "insufficient_quota"}}, 429)
    assert (error.kind, error.retryable) == ("rate_limited", False)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"error": "plain"}, "plain"), ({"message": "top"}, "top"), ({"message": 5}, ""), (b"<html>", "<html>"),
        ({"error": {"message": ["x"]}}, ""), ({"error": {"message": f"wrong key {KEY}"}}, "wrong key <key>"),
        ({"error": {"message": "\x1b[31mred"}}, " [31mred"), (b"\xff", "\ufffd"),
    ],
)  # fmt: skip
async def test_a_refusal_is_quoted_on_one_line_without_the_key(endpoint: Endpoint, body: Any, why: str) -> None:
    assert (await failed(endpoint, body, 400)).why == why


@pytest.mark.asyncio
async def test_a_long_refusal_is_shortened(endpoint: Endpoint) -> None:
    assert len((await failed(endpoint, {"error": "x" * 10_000}, 400)).why) == 300


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 429, "message": "m"}, "rate_limited"),
        ({"code": "x", "message": "m"}, "unavailable"),
        ("m", "unavailable"),
    ],
)
async def test_an_error_inside_a_200_is_an_error(endpoint: Endpoint, error: Any, kind: str) -> None:
    caught = await failed(endpoint, {"error": error})
    assert (caught.kind, caught.why) == (kind, "m")


@pytest.mark.asyncio
async def test_a_redirect_is_not_followed(endpoint: Endpoint) -> None:
    error = await failed(endpoint, b"", 307, Location=endpoint.url + "/chat/completions")
    assert error.kind == "bad_request" and "base_url" in error.fix and len(endpoint.asked) == 1


@pytest.mark.asyncio
async def test_silence_is_a_timeout_after_the_prompt_left(endpoint: Endpoint) -> None:
    error = await broken(endpoint, "slow", timeout_ms=80)
    assert (error.kind, error.sent, error.may_cost) == ("timeout", True, True) and "80 ms" in error.why


@pytest.mark.asyncio
async def test_a_reply_that_only_drips_is_a_timeout(endpoint: Endpoint) -> None:
    assert (await broken(endpoint, "drip", request={"deadline_ms": 150})).kind == "timeout"


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["reset", "cut"])
async def test_a_connection_lost_after_sending_may_have_cost(endpoint: Endpoint, name: str) -> None:
    error = await broken(endpoint, name)
    assert (error.kind, error.sent, error.may_cost, error.retryable) == ("unavailable", True, True, True)
    assert len(endpoint.asked) == 1


@pytest.mark.asyncio
async def test_a_closed_port_is_unavailable_and_nothing_was_sent(endpoint: Endpoint) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint.url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        error = await broken(endpoint, "text")
    assert (error.kind, error.sent, error.retryable, error.may_cost) == ("unavailable", False, True, False)


@pytest.mark.asyncio
async def test_a_host_that_does_not_accept_is_a_timeout_before_sending(endpoint: Endpoint) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        # Two connections fill the backlog; further ones wait for ever.
        crowd = [socket.socket() for _ in range(4)]
        for waiting in crowd:
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        endpoint.url = f"http://127.0.0.1:{full.getsockname()[1]}/v1"
        error = await broken(endpoint, "text", connect_ms=100)
        for waiting in crowd:
            waiting.close()
    assert (error.kind, error.sent) == ("timeout", False) and "100 ms" in error.why


@pytest.mark.asyncio
async def test_a_server_without_tls_is_unavailable(endpoint: Endpoint) -> None:
    endpoint.url = endpoint.url.replace("http:", "https:")
    error = await broken(endpoint, "text")
    assert (error.kind, error.sent) == ("unavailable", False)


# the session -------------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_requests_share_a_connection_and_keep_no_cookies(endpoint: Endpoint) -> None:
    endpoint.body, endpoint.reply_headers = completion({"content": "x"}, "stop"), {"Set-Cookie": "a=b"}
    port = model(endpoint)
    for _ in range(3):
        await port.complete(ask("custom"))
    await port.close()
    assert len(endpoint.connections) == 1 and not any("Cookie" in h for h in endpoint.headers)


@pytest.mark.asyncio
async def test_closing_ends_a_request_that_still_waits(endpoint: Endpoint) -> None:
    port = model(endpoint)
    waiting = asyncio.create_task(port.complete(ask("slow")))
    while not endpoint.asked:
        await asyncio.sleep(0.01)
    await port.close()
    with pytest.raises(ModelError) as caught:
        await waiting
    assert caught.value.kind == "unavailable" and caught.value.may_cost


@pytest.mark.asyncio
async def test_a_cancelled_request_is_cancelled(endpoint: Endpoint) -> None:
    port = model(endpoint)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(port.complete(ask("slow")), 0.1)
    assert (await port.complete(ask("text"))).text == "Hello."
    await port.close()
