"""Attempts: what may have happened is never told as refused or failed, and nothing happens twice."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from flyball import Call, Completed, NotDone, Retry, Run, Stopped, Waiting, flow, tool
from flyball.core.effect import Key
from flyball.testing import Crash
from tests.runtime.till import FAY, KIM, POLICY, Drawer, drawer, lab, look, pay


class Grpc(Exception):
    def code(self) -> str:
        return "unavailable"


@tool(
    effect="irreversible",
    idempotency=Key(window=timedelta(minutes=5)),
    retry=Retry(first=timedelta(minutes=4), most=timedelta(minutes=4)),
)
async def wire(call: Call, cents: int) -> str:
    """Send money to a bank that remembers a key for five minutes."""
    call.get(drawer).called("wire")
    return "sent"


@tool(effect="irreversible", idempotency="key")
async def tip(call: Call, cents: int = 50, note: str = "thanks") -> str:
    """Leave a tip."""
    call.get(drawer).called("tip")
    return f"{cents}"


@tool(effect="irreversible")
async def leak(call: Call, n: int) -> str:
    """Lets the cancellation of something inside it out."""
    inner = asyncio.get_running_loop().create_future()
    inner.cancel()
    await inner
    return "never"


@flow
async def same_twice(run: Run, n: int) -> int:
    step = run.call(pay, n)
    await run.gather(step, step)
    return n


@flow
async def paying(run: Run, cents: int) -> str:
    told = await run.attempt(pay, cents)
    return type(told).__name__


@flow
async def wiring(run: Run, cents: int) -> str:
    return type(await run.attempt(wire, cents)).__name__


@flow
async def tipping(run: Run, n: int) -> str:
    return await run.call(tip)


@flow
async def leaking(run: Run, n: int) -> str:
    return await run.call(leak, n)


@pytest.mark.promise("api-steps-once")
async def test_a_step_that_is_gathered_twice_happens_once() -> None:
    till = Drawer()
    ended = await lab(till).run(same_twice, 5)
    assert isinstance(ended, Stopped) and till.calls.count("pay") == 1


@pytest.mark.promise("api-steps-once")
async def test_a_step_that_was_awaited_is_not_gathered_again() -> None:
    till = Drawer()

    @flow
    async def again(run: Run, n: int) -> int:
        step = run.call(pay, n)
        await step
        await run.gather(step, run.call(look, n))
        return n

    ended = await lab(till).run(again, 5)
    assert isinstance(ended, Stopped) and till.calls.count("pay") == 1


@pytest.mark.promise("journal-doubt-is-not-forgotten")
async def test_an_attempt_that_may_have_happened_is_not_told_as_not_done() -> None:
    till = Drawer()
    till.faults["pay"] = [TimeoutError("after the bytes left"), NotDone("refused"), NotDone("refused")]
    bench = lab(till)
    asked = await bench.run(paying, 5)
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    done = await bench.resolve(asked.pending[0], "executed", by=KIM, result="paid 5")
    assert isinstance(done, Completed) and done.value == "Executed" and (await bench.verify()).ok


@pytest.mark.promise("journal-doubt-is-not-forgotten")
async def test_a_call_that_a_crash_interrupted_is_not_told_as_denied() -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_after(pay)
    with pytest.raises(Crash):
        await bench.run(paying, 5, key="k")
    await bench.activate(POLICY.replace("cents > 100000", "cents > 1"))
    asked = await bench.resume("k")
    assert till.calls == ["pay"] and isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    still = await bench.resume("k")
    assert isinstance(still, Waiting) and (await bench.verify()).ok


@pytest.mark.promise("journal-keys-have-a-window")
async def test_a_key_is_not_used_again_once_the_remote_has_forgotten_its_first_use() -> None:
    till = Drawer()
    till.faults["wire"] = [TimeoutError(), TimeoutError(), TimeoutError()]
    asked = await lab(till).run(wiring, 5)
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    assert till.calls == ["wire", "wire"]  # the third would come eight minutes after the first


async def test_defaults_are_still_defaults_after_a_wait_and_a_crash() -> None:
    asks = (
        POLICY
        + """
@id("tips-ask") @require_approval("finance") @reason("tip")
forbid (principal, action == Action::"tip", resource) unless { context.approvals.contains("finance") };"""
    )
    till = Drawer()
    bench = lab(till, asks)
    asked = await bench.run(tipping, 1, key="k")
    assert isinstance(asked, Waiting)
    bench.crash_before(tip)
    with pytest.raises(Crash):
        await bench.approve(asked.pending[0], by=FAY)
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "50"


@pytest.mark.promise("journal-t2-cannot-fail-for-its-content")
async def test_a_library_s_error_code_never_keeps_an_outcome_from_being_recorded() -> None:
    till = Drawer()
    till.faults["pay"] = [Grpc(), Grpc(), Grpc()]
    bench = lab(till)
    asked = await bench.run(paying, 5, key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    codes = [r.facts["code"] for r in bench.records("k") if r.kind == "outcome" and r.path == "1"]
    assert codes == ["tool_failed"] * 3


@pytest.mark.promise("journal-doubt-is-unknown")
async def test_a_cancellation_inside_a_tool_is_an_unknown_outcome() -> None:
    asked = await asyncio.wait_for(lab().run(leaking, 1), 5)
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
