"""What every adapter of `ports.model` does: await each check of `CHECKS` with a `Subject` of yours.

A check raises AssertionError where the adapter does something else; with pytest, parametrize one test over `CHECKS`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from flyball.core.model import ModelError, ModelReply, ModelRequest, OnDelta
from flyball.ports.model import ModelPort


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """An adapter under test: how to open it, and requests of which the endings are known.

    `text` is answered with `answer`, `call` with at least one tool call, `failing` with a ModelError; `slow` (None
    where nothing can be slow) answers later than its own deadline; `half` (None where nothing streams) breaks off in
    the middle of a streamed answer.
    """

    open: Callable[[], ModelPort]
    text: ModelRequest
    answer: str
    call: ModelRequest
    failing: ModelRequest
    slow: ModelRequest | None = None
    half: ModelRequest | None = None


async def answers_in_text(subject: Subject) -> None:
    """A question is answered, again and again, on one port."""
    port = subject.open()
    for _ in range(3):
        reply = await port.complete(subject.text)
        assert reply.text == subject.answer and reply.stop == "end" and not reply.calls
    await port.close()


async def proposes_calls_as_raw_json_text(subject: Subject) -> None:
    """A call has an id, a name of a tool on offer, and its arguments as the model wrote them."""
    reply = await _once(subject, subject.call)
    assert reply.stop == "tool" and reply.calls
    for call in reply.calls:
        assert call.id and call.name in {tool.name for tool in subject.call.tools}
        assert isinstance(json.loads(call.arguments), dict)


async def counts_tokens_as_whole_numbers(subject: Subject) -> None:
    """Usage is never negative, never nothing, and cached tokens are a part of the input."""
    usage = (await _once(subject, subject.text)).usage
    assert usage.input > 0 and usage.output > 0 and 0 <= usage.cached <= usage.input


async def says_whether_it_is_scripted(subject: Subject) -> None:
    """A scripted model is named so in each reply, and only a scripted one is."""
    port = subject.open()
    reply = await port.complete(subject.text)
    assert port.scripted is reply.model.startswith("scripted:")
    await port.close()


async def replies_are_plain_data(subject: Subject) -> None:
    """A reply survives the journal."""
    reply = await _once(subject, subject.call)
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(reply)), ModelReply) == reply


async def serves_many_at_once(subject: Subject) -> None:
    """Concurrent requests do not disturb each other."""
    port = subject.open()
    replies = await asyncio.gather(*(port.complete(r) for r in (subject.text, subject.call) * 8))
    assert [bool(reply.calls) for reply in replies] == [False, True] * 8
    await port.close()


async def fails_with_a_model_error_and_goes_on(subject: Subject) -> None:
    """What goes wrong is a ModelError, and the next request is served."""
    port = subject.open()
    await _refused(port, subject.failing)
    assert (await port.complete(subject.text)).text == subject.answer
    await port.close()


async def keeps_its_deadline(subject: Subject) -> None:
    """A reply that comes too late is a timeout, whose cost is not taken for nothing."""
    if subject.slow is None:
        return
    port = subject.open()
    error = await _refused(port, subject.slow)
    assert error.kind == "timeout" and error.retryable and error.may_cost
    await port.close()


async def tells_pieces_that_are_its_text(subject: Subject) -> None:
    """Asked for in pieces, an answer is the same, and its pieces are its text; who cannot stream tells none."""
    port, told = subject.open(), list[str]()
    reply = await port.complete(subject.text, told.append)
    assert reply.text == subject.answer and reply.stop == "end" and "".join(told) in ("", subject.answer)
    told.clear()
    reply, whole = await port.complete(subject.call, told.append), await port.complete(subject.call)
    assert _called(reply) == _called(whole) and reply.usage == whole.usage and "".join(told) in ("", reply.text)
    await port.close()


async def fails_in_pieces_as_in_one(subject: Subject) -> None:
    """What goes wrong with a stream is a ModelError; half of one is no reply, and it costs."""
    port, told = subject.open(), list[str]()
    await _refused(port, subject.failing, told.append)
    if subject.half is not None:
        error = await _refused(port, subject.half, told.append)
        assert error.may_cost and "".join(told)
    await port.close()


async def refuses_after_close(subject: Subject) -> None:
    """Closing twice is closing once; afterwards nothing is sent."""
    port = subject.open()
    await port.complete(subject.text)
    await port.close()
    await port.close()
    error = await _refused(port, subject.text)
    assert not error.sent and not error.retryable


async def closes_unused(subject: Subject) -> None:
    """A port that nobody asked closes without having opened anything."""
    await subject.open().close()


CHECKS: Final[tuple[Callable[[Subject], Awaitable[None]], ...]] = (
    answers_in_text, proposes_calls_as_raw_json_text, counts_tokens_as_whole_numbers, says_whether_it_is_scripted,
    replies_are_plain_data, serves_many_at_once, fails_with_a_model_error_and_goes_on, keeps_its_deadline,
    tells_pieces_that_are_its_text, fails_in_pieces_as_in_one,
    refuses_after_close, closes_unused,
)  # fmt: skip


def _called(reply: ModelReply) -> list[object]:
    return [reply.text, reply.stop, *((call.id, call.name, json.loads(call.arguments)) for call in reply.calls)]


async def _once(subject: Subject, request: ModelRequest) -> ModelReply:
    port = subject.open()
    try:
        return await port.complete(request)
    finally:
        await port.close()


async def _refused(port: ModelPort, request: ModelRequest, on_delta: OnDelta | None = None) -> ModelError:
    try:
        reply = await port.complete(request, on_delta)
    except ModelError as error:
        return error
    raise AssertionError(f"expected a ModelError, got {reply}")
