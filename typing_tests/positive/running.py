"""What a program opens, starts and reads: results are closed unions."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, assert_never, assert_type

from flyball import (
    Blocked,
    Call,
    Completed,
    Event,
    Executed,
    Failed,
    Flyball,
    FlyballError,
    Limits,
    NotDone,
    Pending,
    Principal,
    Result,
    Run,
    RunHandle,
    Stopped,
    Waiting,
    agent,
    flow,
    run,
    tool,
)

KIM = Principal("user:kim", tenant="acme", groups=frozenset({"support"}))


@tool(effect="read")
async def look(call: Call, id: str) -> int:
    raise NotDone("down", retry_after=timedelta(seconds=3))


@flow
async def handle(run: Run, id: str) -> int:
    return await run.call(look, id)


clerk = agent("clerk", instructions="x", input=str, output=bytes)


async def main() -> None:
    async with Flyball.open("flyball.toml", env="prod") as app:
        started = await app.start(handle, "A-17", by=KIM, key="ticket-7", limits=Limits(usd=Decimal("0.05")))
        assert_type(started, RunHandle[int])
        assert_type(await started.result(), Result[int])
        assert_type(started.watch(after=3), AsyncIterator[Event])
        assert_type(await started.stop("enough", by=KIM), Stopped)
        assert_type(await app.run(clerk, "x", by=KIM), Result[bytes])
        assert_type(app.watch(run=started.id), AsyncIterator[Event])
        told = await app.act(look, {"id": "A-17"}, by=KIM, call_id="1", hold=timedelta(seconds=1))
        assert_type(told, Executed[Any] | Blocked | Failed | Pending)
        result = await started.result()
        if isinstance(result, Waiting):
            assert_type(await app.approvals.approve(result.pending[0], by=KIM, reason="fair"), Pending)


def read(result: Result[int]) -> int:
    match result:
        case Completed(value=value):
            assert_type(value, int)
            return value
        case Waiting(pending=pending):
            assert_type(pending, tuple[Pending, ...])
            return len(pending)
        case Stopped() as stopped:
            return int(stopped.retryable)
        case _:
            assert_never(result)


def script() -> None:
    assert_type(run(handle, "A-17", max_steps=3, max_seconds=2.5, max_usd="0.05"), Result[int])


def caught() -> str:
    try:
        script()
    except (Blocked, Failed) as ended:
        return ended.reason
    except FlyballError as bad:
        return f"{bad.code} {bad.fix}"
    return ""
