from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from flyball.adapters.model_http.sse import Events
from flyball.core.model import ModelError, ModelReply, ModelRequest
from flyball.testing.conformance.model import CHECKS, Subject
from tests.adapters.openai_server import Endpoint, sse
from tests.adapters.streams import ALL, KEY, Spoken, ask


@pytest_asyncio.fixture
async def endpoint(spoken: Spoken) -> AsyncIterator[Endpoint]:
    async with spoken.served() as served:
        yield served


each = pytest.mark.parametrize("spoken", ALL, ids=str)


async def streamed(
    spoken: Spoken, endpoint: Endpoint, request: ModelRequest, told: list[str] | None = None, **more: Any
) -> ModelReply:
    port = spoken.open(endpoint, **more)
    try:
        return await port.complete(request, (told if told is not None else list[str]()).append)
    finally:
        await port.close()


async def broken(spoken: Spoken, endpoint: Endpoint, events: list[Any], **more: Any) -> ModelError:
    endpoint.streams["custom"] = events
    with pytest.raises(ModelError) as caught:
        await streamed(spoken, endpoint, ask("custom"), **more)
    assert KEY not in str(caught.value) + repr(caught.value)
    return caught.value


@each
@pytest.mark.asyncio
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_it_conforms(check: Any, spoken: Spoken, endpoint: Endpoint) -> None:
    endpoint.streams["custom"] = [b"no event"]
    await check(
        Subject(
            open=lambda: spoken.open(endpoint), text=ask("text"), answer="Hello you.", call=ask("call"),
            failing=ask("custom"), half=ask("half"),
        )
    )  # fmt: skip


@each
@pytest.mark.asyncio
async def test_a_streamed_answer_is_the_answer_and_its_pieces_come_one_by_one(
    spoken: Spoken, endpoint: Endpoint
) -> None:
    told: list[str] = []
    endpoint.chunk = 1  # no border of bytes is one of events
    reply = await streamed(spoken, endpoint, ask("text"), told)
    assert told == ["Hello ", "you."] and reply.text == "Hello you." and reply.stop == "end"
    assert (reply.usage.input, reply.usage.output, reply.usage.estimated) == (11, 7, False)


@each
@pytest.mark.asyncio
async def test_a_streamed_call_keeps_its_arguments_and_what_was_signed(spoken: Spoken, endpoint: Endpoint) -> None:
    told: list[str] = []
    reply = await streamed(spoken, endpoint, ask("call"), told)
    assert json.loads(reply.calls[0].arguments) == {"q": 1.5} and not told
    assert bool(reply.echo) == (spoken.name != "openai")


@each
@pytest.mark.asyncio
async def test_where_ever_a_stream_ends_too_soon_there_is_no_reply(spoken: Spoken, endpoint: Endpoint) -> None:
    for events in (spoken.text_events, spoken.call_events):
        last = {"openai": 3, "anthropic": 1, "gemini": 1}[spoken.name]
        for most in range(len(events) - last + 1):
            error = await broken(spoken, endpoint, events[:most])
            assert (error.kind, error.retryable, error.may_cost) == ("bad_reply", True, True), most


@each
@pytest.mark.asyncio
async def test_an_error_in_mid_stream_has_its_kind_and_costs(spoken: Spoken, endpoint: Endpoint) -> None:
    busy = await broken(spoken, endpoint, [*spoken.text_events[:2], spoken.overloaded])
    assert (busy.kind, busy.retryable, busy.may_cost, busy.why) == ("unavailable", True, True, "busy <key>")
    limited = await broken(spoken, endpoint, [*spoken.text_events[:2], spoken.limited])
    assert (limited.kind, limited.may_cost) == ("rate_limited", True)


@each
@pytest.mark.asyncio
async def test_an_error_before_any_answer_is_as_free_as_without_a_stream(spoken: Spoken, endpoint: Endpoint) -> None:
    error = await broken(spoken, endpoint, [spoken.limited])
    assert (error.kind, error.retryable, error.may_cost) == ("rate_limited", True, False)


@each
@pytest.mark.asyncio
@pytest.mark.parametrize("event", [b"{", b"[]", b"null", b"\xff", b"<html>", b'{"x":' * 10_000])
async def test_an_event_that_is_none_is_a_bad_reply(spoken: Spoken, endpoint: Endpoint, event: bytes) -> None:
    error = await broken(spoken, endpoint, [spoken.text_events[0], event, *spoken.text_events[1:]])
    assert (error.kind, error.may_cost) == ("bad_reply", True)


@each
@pytest.mark.asyncio
async def test_counts_that_cannot_be_are_a_bad_reply(spoken: Spoken, endpoint: Endpoint) -> None:
    places = {"openai": -2, "anthropic": -2, "gemini": -1}
    events = list(spoken.text_events)
    events[places[spoken.name]] = spoken.negative
    assert (await broken(spoken, endpoint, events)).kind == "bad_reply"


@each
@pytest.mark.asyncio
async def test_a_stream_that_is_too_long_is_no_reply(spoken: Spoken, endpoint: Endpoint) -> None:
    error = await broken(spoken, endpoint, [*spoken.text_events[:2], b" " * 70_000], max_reply=65_536)
    assert (error.kind, error.retryable, error.may_cost) == ("reply_too_large", False, True)


@each
@pytest.mark.asyncio
@pytest.mark.parametrize(("status", "kind"), [(429, "rate_limited"), (500, "unavailable"), (401, "auth")])
async def test_who_refuses_before_the_stream_is_read_as_ever(
    spoken: Spoken, endpoint: Endpoint, status: int, kind: str
) -> None:
    endpoint.status, endpoint.body = status, b"no"
    with pytest.raises(ModelError) as caught:
        await streamed(spoken, endpoint, ask("custom"))
    assert caught.value.kind == kind


@each
@pytest.mark.asyncio
async def test_who_does_not_stream_answers_all_the_same(spoken: Spoken, endpoint: Endpoint) -> None:
    endpoint.body, told = spoken.text, list[str]()
    endpoint.reply_headers = {"Content-Type": "application/json"}
    assert (await streamed(spoken, endpoint, ask("custom"), told)).text == "Hello you." and not told


@each
@pytest.mark.asyncio
async def test_what_is_not_streamed_is_not_asked_for_in_pieces(spoken: Spoken, endpoint: Endpoint) -> None:
    port = spoken.open(endpoint)
    await port.complete(ask("text"))
    assert "stream" not in endpoint.asked[0] and "stream_options" not in endpoint.asked[0]
    await port.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("spoken", ALL[:2], ids=str)
async def test_arguments_that_were_cut_stay_as_the_model_wrote_them(spoken: Spoken, endpoint: Endpoint) -> None:
    endpoint.streams["custom"] = [e for e in spoken.call_events if "50}" not in str(e) and "1.5}" not in str(e)]
    (call,) = (await streamed(spoken, endpoint, ask("custom"))).calls
    assert call.arguments in ('{"q": 1.', '{"q":')


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), max_size=5), st.data())
def test_events_come_out_as_they_were_written_however_they_are_cut(texts: list[str], data: Any) -> None:
    whole = sse([text.encode() for text in texts]).replace(b"\n", data.draw(st.sampled_from([b"\n", b"\r\n", b"\r"])))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    events, found = Events(), list[bytes]()
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        found += events.feed(whole[start:end])
    found += events.feed(b"\n")  # a last \r may have been the first half of a line's end
    assert found == [text.encode() for text in texts]
