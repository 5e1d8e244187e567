from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from flyball.adapters.model_http.models import AnthropicModel
from flyball.core.call import Secret
from flyball.core.model import Message, ModelConfig, ModelError, ModelReply, ModelRequest, ToolCall, ToolSpec, Usage
from flyball.core.prices import bound_tokens
from flyball.testing.conformance.model import CHECKS, Subject
from tests.adapters.openai_server import Endpoint, model_server

KEY = "sk-ant-very-secret-1234567890"
SEARCH = ToolSpec(name="search", description="Looks up.", schema={"type": "object", "properties": {"q": {}}})
USER = Message(role="user", text="Hi")
COUNTS = {"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "sig=="}


def message(*content: dict[str, Any], stop: str | None = "end_turn", **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "test-1-20260101", "content": list(content),
        "stop_reason": stop, "stop_sequence": None, "usage": COUNTS, **more,
    }  # fmt: skip


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def use(input: Any = None, id: str = "toolu_1") -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": "search", "input": {"q": "x"} if input is None else input}


@pytest_asyncio.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with model_server("/v1/messages", message(text("Hello.")), message(use(), stop="tool_use")) as served:
        served.url += "/v1"
        yield served


def model(endpoint: Endpoint, **changes: Any) -> AnthropicModel:
    most = {"max_reply": changes.pop("max_reply")} if "max_reply" in changes else {}
    config = ModelConfig(**{"name": "default", "base_url": endpoint.url, "timeout_ms": 5000, **changes})
    return AnthropicModel(config, Secret("env:K", KEY), **most)


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


def error(kind: str, said: str = "no", **more: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": said, **more}, "request_id": "req_1"}


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
    calls = (ToolCall(id="c.1", name="search", arguments='{"q":"é"}'), ToolCall(id="c2", name="search"))
    messages = (
        Message(role="system", text="Be brief."), Message(role="user", text="Hi"),
        Message(role="assistant", text="Looking.", calls=calls, name="writer"),
        Message(role="tool", text="found", call_id="c.1", name="search"),
        Message(role="tool", text="none", call_id="c2", name="search"), Message(role="user", text="Go on."),
    )  # fmt: skip
    await asked(endpoint, ask("text", *messages, temperature_milli=200))
    assert endpoint.asked[0] == {
        "model": "text", "max_tokens": 4096, "system": "Be brief.", "temperature": 0.2,
        "messages": [
            {"role": "user", "content": [text("Hi")]},
            {"role": "assistant", "content": [text("Looking."), use({"q": "é"}, "c_1"), use({}, "c2")]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "c_1", "content": "found"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "none"}, text("Go on.")]},
        ],
        "tools": [{"name": "search", "description": "Looks up.",
                   "input_schema": {"type": "object", "properties": {"q": {}}}}],
    }  # fmt: skip


@pytest.mark.asyncio
async def test_what_is_not_asked_for_is_not_sent(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=()))
    assert set(endpoint.asked[0]) == {"model", "messages", "max_tokens"}


@pytest.mark.asyncio
async def test_a_tool_without_arguments_has_an_object_schema(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text", tools=(ToolSpec(name="now"),)))
    assert endpoint.asked[0]["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


@pytest.mark.asyncio
async def test_blank_texts_which_the_provider_refuses_are_not_sent(endpoint: Endpoint) -> None:
    call = ToolCall(id="c1", name="search")
    await asked(endpoint, ask("text", Message(role="user", text=" "), Message(role="assistant", calls=(call,))))
    contents = [turn["content"] for turn in endpoint.asked[0]["messages"]]
    assert contents == [[text("(empty)")], [use({}, "c1")]]


@pytest.mark.asyncio
@pytest.mark.parametrize(("name", "sent"), [("text", True), ("claude-opus-4-1", False)])
async def test_an_answers_schema_is_sent_to_models_that_take_one(endpoint: Endpoint, name: str, sent: bool) -> None:
    endpoint.body = message(text("{}"))
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    await asked(endpoint, ask(name, output_schema=schema))
    strict = {**schema, "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    wanted = {"format": {"type": "json_schema", "schema": strict}} if sent else None
    assert endpoint.asked[0].get("output_config") == wanted


@pytest.mark.asyncio
async def test_the_cache_is_asked_for_where_it_is_configured(endpoint: Endpoint) -> None:
    await asked(endpoint, ask("text"), cache=True)
    assert endpoint.asked[0]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.asyncio
async def test_the_key_and_the_version_go_into_headers_only(endpoint: Endpoint, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    await asked(endpoint, ask("text"))
    sent = {name.lower(): value for name, value in endpoint.headers[0].items()}
    assert (sent["x-api-key"], sent["anthropic-version"]) == (KEY, "2023-06-01") and "authorization" not in sent
    assert KEY not in str(endpoint.asked) and KEY not in caplog.text


@pytest.mark.asyncio
async def test_without_a_key_none_is_sent(endpoint: Endpoint) -> None:
    port = AnthropicModel(ModelConfig(name="local", base_url=endpoint.url))
    assert (await port.complete(ask("text"))).text == "Hello."
    await port.close()
    assert "x-api-key" not in {name.lower() for name in endpoint.headers[0]}


@pytest.mark.asyncio
@pytest.mark.parametrize("more", [{"max_tokens": 0}, {"messages": (Message(role="user", text="\ud800"),)}])
async def test_a_request_that_cannot_be_written_is_not_sent(endpoint: Endpoint, more: dict[str, Any]) -> None:
    with pytest.raises(ModelError) as caught:
        await asked(endpoint, ask("text", **more))
    assert (caught.value.kind, caught.value.sent, endpoint.asked) == ("bad_request", False, [])


# what comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_a_reply_is_read_with_its_usage_and_the_version_that_answered(endpoint: Endpoint) -> None:
    # input_tokens counts what was neither read from the cache nor put into it.
    usage = Usage(input=16, output=7, cached=3, written=2)
    assert await asked(endpoint, ask("text")) == ModelReply(
        text="Hello.", usage=usage, model="test-1-20260101", provider_id="msg_1"
    )


@pytest.mark.asyncio
async def test_the_arguments_of_calls_stay_as_the_model_wrote_them(endpoint: Endpoint) -> None:
    raw = json.dumps(message(text("I look."), use(), use({}, "toolu_2"), stop="tool_use"))
    reply = await answered(endpoint, raw.replace('{"q": "x"}', '{"q": 1.50,"q":2}').encode())
    assert [(c.id, c.arguments) for c in reply.calls] == [("toolu_1", '{"q": 1.50,"q":2}'), ("toolu_2", "{}")]
    assert (reply.text, reply.stop) == ("I look.", "tool")


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("said", "stop"),
    [("end_turn", "end"), ("stop_sequence", "end"), ("max_tokens", "length"), ("refusal", "filter"),
     ("model_context_window_exceeded", "length"), ("pause_turn", "other"), (None, "other"), ("new", "other")],
)  # fmt: skip
async def test_each_ending_is_named(endpoint: Endpoint, said: str | None, stop: str) -> None:
    assert (await answered(endpoint, message(text("x"), stop=said))).stop == stop


@pytest.mark.asyncio
async def test_a_model_that_thought_before_its_call_gets_its_thoughts_back_unchanged(endpoint: Endpoint) -> None:
    content = [THOUGHT, {"type": "redacted_thinking", "data": "abc"}, text("I look."), use()]
    reply = await answered(endpoint, message(*content, stop="tool_use"))
    said = Message(role="assistant", text=reply.text, calls=reply.calls, echo=reply.echo)
    await asked(endpoint, ask("custom", USER, said))
    assert reply.text == "I look." and endpoint.asked[1]["messages"][1]["content"] == content


@pytest.mark.asyncio
@pytest.mark.parametrize("echo", ["", "{", '{"by":"gemini","model":"text","parts":[{}]}',
                                  '{"by":"anthropic","model":"other","parts":[{}]}'])  # fmt: skip
async def test_another_models_thoughts_are_not_shown(endpoint: Endpoint, echo: str) -> None:
    call = ToolCall(id="c1", name="search")
    await asked(endpoint, ask("text", USER, Message(role="assistant", text="I look.", calls=(call,), echo=echo)))
    assert endpoint.asked[0]["messages"][1]["content"] == [text("I look."), use({}, "c1")]


@pytest.mark.asyncio
async def test_without_calls_no_thoughts_are_kept(endpoint: Endpoint) -> None:
    reply = await answered(endpoint, message(THOUGHT, text("Done.")))
    assert reply.text == "Done." and not reply.echo


@pytest.mark.asyncio
@pytest.mark.parametrize("cache", [False, True])
async def test_without_a_count_the_most_is_charged_and_marked(endpoint: Endpoint, cache: bool) -> None:
    endpoint.body = message(text("x"), usage=None, model=None, id=None)
    reply = await asked(endpoint, ask("custom", max_tokens=50), cache=cache)
    bound = bound_tokens(ask("custom"))
    assert reply.usage == Usage(input=bound, output=50, written=bound if cache else 0, estimated=True)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "changed",
    [{"input_tokens": -1}, {"input_tokens": -4}, {"output_tokens": -1}, {"cache_read_input_tokens": -1},
     {"cache_creation_input_tokens": -1}, {"input_tokens": 1.5}, {"output_tokens": True}, {"input_tokens": 10**15},
     {"output_tokens": None}],
)  # fmt: skip
async def test_counts_that_cannot_be_are_a_bad_reply(endpoint: Endpoint, changed: dict[str, Any]) -> None:
    caught = await failed(endpoint, message(text("x"), usage={**COUNTS, **changed}))
    assert caught.kind == "bad_reply" and caught.may_cost


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "body",
    [
        b"", b"not json", b"<html>busy</html>", b"\xff\xfe", b"[]", b"null", b"{}", b'{"content":null}',
        b'{"content":"x"}', b'{"content":[5]}', b'{"content":[{}]}', b'{"content":[{"type":"text","text":5}]}',
        b'{"content":[{"type":"tool_use","id":7}]}', b'{"x":' * 100_000, json.dumps(message(text("x"))).encode()[:-20],
        b'{"content":[{"type":"text","text":"\xff"}]}',
        b'{"content":[{"type":"tool_use","id":"1","name":"a","input":{"a":"\xff"}}]}',
    ],
)  # fmt: skip
async def test_garbage_is_a_bad_reply_whose_cost_is_not_nothing(endpoint: Endpoint, body: bytes) -> None:
    caught = await failed(endpoint, body)
    assert (caught.kind, caught.sent, caught.may_cost, caught.retryable) == ("bad_reply", True, True, True)


@pytest.mark.asyncio
async def test_a_reply_that_holds_nothing_is_read_as_nothing(endpoint: Endpoint) -> None:
    reply = await answered(endpoint, message())
    assert (reply.text, reply.calls, reply.stop) == ("", (), "end")


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
        (400, "invalid_request_error", "bad_request", False), (401, "authentication_error", "auth", False),
        (403, "permission_error", "auth", False), (404, "not_found_error", "bad_request", False),
        (413, "request_too_large", "bad_request", False), (429, "rate_limit_error", "rate_limited", True),
        (500, "api_error", "unavailable", True), (504, "timeout_error", "timeout", True),
        (529, "overloaded_error", "unavailable", True),
    ],
)  # fmt: skip
async def test_each_status_has_its_kind(endpoint: Endpoint, status: int, said: str, kind: str, retryable: bool) -> None:
    caught = await failed(endpoint, error(said, f"no\nway {KEY}"), status)
    assert (caught.kind, caught.retryable, caught.sent, caught.why) == (kind, retryable, True, "no way <key>")
    assert caught.data == {"status": status, "code": said} and len(endpoint.asked) == 1


@pytest.mark.asyncio
async def test_a_limit_says_when_to_come_back(endpoint: Endpoint) -> None:
    assert (await failed(endpoint, error("rate_limit_error"), 429, Retry_After="7")).retry_after_ms == 7000
    assert (await failed(endpoint, b"busy", 529)).why == "busy"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body"),
    [(402, error("billing_error")),
     (429, error("rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}))],
)  # fmt: skip
async def test_an_account_that_is_spent_is_not_tried_again(endpoint: Endpoint, status: int, body: Any) -> None:
    caught = await failed(endpoint, body, status)
    assert not caught.retryable and not caught.may_cost and "Top" in caught.fix


@pytest.mark.asyncio
async def test_an_error_inside_a_reply_is_an_error(endpoint: Endpoint) -> None:
    caught = await failed(endpoint, error("overloaded_error", "busy"))
    assert (caught.kind, caught.why, caught.may_cost) == ("unavailable", "busy", True)


def test_without_an_address_the_provider_itself_is_asked() -> None:
    assert AnthropicModel(ModelConfig(name="default"))._base == "https://api.anthropic.com/v1"
