"""Tools that misbehave: every ending has a name, what may have happened is never repeated, nothing bad is handed on."""

from __future__ import annotations

import asyncio
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from flyball import Blocked, Call, Completed, Executed, Failed, Run, Stopped, Waiting, flow, tool
from flyball.core.result import Pending
from tests.bad_input.bank import KIM, OLA, SOON, Books, blind, books, keyed, lab, look, not_done, probed, settle


class Broke(Exception):
    """An error that cannot even say what it is."""

    code: ClassVar[list[str]] = ["no", "code"]

    def __str__(self) -> str:
        raise RuntimeError("and this cannot be shown")


class Rude(BaseException):
    """What no `except Exception` sees."""


async def hang() -> None:
    await asyncio.sleep(3600)


async def hang_whatever_is_said() -> None:
    ends = time.monotonic() + 0.6
    while time.monotonic() < ends:
        try:
            await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            continue


async def cancel_itself() -> None:
    raise asyncio.CancelledError


def leave() -> None:
    sys.exit("usage: tool FILE")


RAISES: dict[str, Any] = {
    "an error": RuntimeError("boom"),
    "an error that cannot be shown": Broke(),
    "an error as long as a book": RuntimeError("x" * 1_000_000),
    "an error that is no Unicode": RuntimeError("\ud800"),
    "an exit": leave,
    "what is no Exception": Rude("rude"),
    "a cancellation of its own": cancel_itself,
    "nothing, and hangs": hang,
    "nothing, and hangs whatever is said": hang_whatever_is_said,
}


@pytest.mark.promise("journal-doubt-is-unknown")
@pytest.mark.parametrize("raised", RAISES)
async def test_an_effect_that_nobody_can_ask_about_is_unknown_whatever_it_raised(raised: str) -> None:
    kept = Books(RAISES[raised])
    async with lab(kept) as bank:
        told = await bank.act(blind, {}, call_id="1")
        assert isinstance(told, Pending) and told.kind == "unknown" and kept.calls == ["blind"]
        assert await bank.act(blind, {}, call_id="1") == told and kept.calls == ["blind"]
        (outcome,) = [r for r in bank.records() if r.kind == "outcome"]
        assert outcome.facts["status"] == "unknown" and (await bank.verify()).ok


@pytest.mark.parametrize("raised", RAISES)
async def test_a_read_that_misbehaves_is_tried_again_and_then_failed(raised: str) -> None:
    kept = Books(*[RAISES[raised]] * 3)
    async with lab(kept) as bank:
        told = await bank.act(look, {}, call_id="1")
        assert isinstance(told, Failed) and told.reason in ("tool_failed", "timeout") and kept.calls == ["look"] * 3
        assert (await bank.verify()).ok


@pytest.mark.parametrize("raised", RAISES)
async def test_an_effect_under_a_key_is_made_again_with_the_same_key(raised: str) -> None:
    kept = Books(RAISES[raised], RAISES[raised])
    async with lab(kept) as bank:
        assert isinstance(await bank.act(keyed, {}, call_id="1"), Executed)
        assert kept.calls == ["keyed"] * 3 and len(kept.keys) == 1 and (await bank.verify()).ok


@pytest.mark.parametrize(
    "raised", [name for name in RAISES if "whatever" not in name]
)  # see tests/runtime/test_late.py
async def test_an_effect_that_can_be_asked_about_is_asked_about_first(raised: str) -> None:
    kept = Books(RAISES[raised])
    async with lab(kept) as bank:
        assert isinstance(await bank.act(probed, {}, call_id="1"), Executed)
        assert kept.calls[:2] == ["probed", "asked"] and kept.calls[-1] == "probed" and len(kept.keys) == 1
        assert (await bank.verify()).ok


@pytest.mark.promise("journal-not-done-is-failed")
async def test_what_certainly_did_not_happen_may_be_tried_again_whatever_it_is() -> None:
    kept = Books(not_done(), not_done())
    async with lab(kept) as bank:
        assert isinstance(await bank.act(blind, {}, call_id="1"), Executed) and kept.calls == ["blind"] * 3


@pytest.mark.promise("journal-not-done-is-failed")
async def test_what_did_not_happen_so_often_is_failed_and_no_question_to_anybody() -> None:
    async with lab(Books(*[not_done()] * 3)) as bank:
        told = await bank.act(blind, {}, call_id="1")
        assert isinstance(told, Failed) and told.reason == "not_done" and (await bank.verify()).ok


@tool(effect="irreversible", timeout=SOON)
def slow(call: Call, ms: int) -> str:
    """An effect in a thread, which nobody can stop."""
    time.sleep(ms / 1000)
    return threading.current_thread().name


@pytest.mark.promise("api-plain-functions-in-threads")
async def test_a_thread_that_hangs_holds_up_nobody_and_is_unknown() -> None:
    async with lab(project=[sys.modules[__name__]]) as bank:
        told, other = await asyncio.gather(
            bank.act(slow, {"ms": 400}, call_id="1"), bank.act(look, {}, call_id="2")
        )  # fmt: skip
        assert isinstance(told, Pending) and told.kind == "unknown" and isinstance(other, Executed)


# results --------------------------------------------------------------------------------------------------------------
def _own() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _yields() -> Iterator[int]:
    yield 1


WRONG: dict[str, Callable[[], Any]] = {
    "another type": lambda: lambda: 5,
    "nothing": lambda: lambda: None,
    "50 MB": lambda: "x" * 50_000_000,
    "no Unicode": lambda: "\ud800",
    "no data": lambda: object,
    "a function": lambda: lambda: len,
    "itself": lambda: _own,
    "a generator": lambda: _yields,
}


@pytest.mark.promise("journal-t2-cannot-fail-for-its-content", "journal-invalid-result-happened")
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_result_that_does_not_fit_happened_and_is_not_handed_on(wrong: str) -> None:
    kept = Books(WRONG[wrong]())
    async with lab(kept) as bank:
        told = await bank.act(blind, {}, call_id="1")
        assert isinstance(told, Failed) and told.reason == "result_invalid" and kept.calls == ["blind"]
        (outcome,) = [r for r in bank.records() if r.kind == "outcome"]
        assert outcome.facts["status"] == "executed" and outcome.facts["result_invalid"]
        assert len(str(outcome.private)) < 10_000 and (await bank.verify()).ok


@tool(effect="read")
async def measure(call: Call) -> dict[str, Any]:
    """Measure something."""
    return await call.get(books).happen("measure", call)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, 10**5000, {"__entity": 1}, "\ud800"], ids=["NaN", "Infinity", "digits", "key", "text"]
)
async def test_a_result_that_no_record_would_give_back_is_no_result(value: Any) -> None:
    async with lab(Books({"a": [value]})) as bank:
        told = await bank.act(measure, {}, call_id="1")
        assert isinstance(told, Failed) and told.reason == "result_invalid" and (await bank.verify()).ok


@flow(ensures=[blind])
async def claiming(run: Run, n: int) -> str:
    told = await run.attempt(blind, n)
    return told.reason if isinstance(told, Failed) else "fine"


@pytest.mark.promise("journal-invalid-result-happened")
async def test_what_a_flow_promised_is_not_proven_by_a_quarantined_result() -> None:
    async with lab(Books(lambda: 5)) as bank:
        ended = await bank.run(claiming, 1)
        assert isinstance(ended, Stopped) and ended.reason == "claim_unproven"


# what stands before a call --------------------------------------------------------------------------------------------
@tool(effect="irreversible", isolation="vm")
async def confined(call: Call) -> str:
    """Needs a machine of its own."""
    return await call.get(books).happen("confined", call)  # type: ignore[no-any-return]


@pytest.mark.promise("gate-demanded-isolation-or-none")
async def test_a_tool_that_demands_isolation_that_is_not_there_is_refused() -> None:
    kept = Books()
    async with lab(kept) as bank:
        told = await bank.act(confined, {}, call_id="1")
        assert isinstance(told, Blocked) and told.reason == "isolation_unavailable" and not kept.calls
        assert not [r for r in bank.records() if r.kind == "intent" and r.facts["action"] == "confined"]


@tool(effect="irreversible")
async def gated(call: Call) -> str:
    """Open for business only."""
    return await call.get(books).happen("gated", call)  # type: ignore[no-any-return]


@gated.requires
async def is_open(call: Call) -> str | None:
    return await call.get(books).happen("open?", call)  # type: ignore[no-any-return]


@pytest.mark.promise("api-requires")
@pytest.mark.parametrize("says", [lambda: "closed", RuntimeError("?")])
async def test_a_precondition_that_is_not_met_or_cannot_be_asked_stops_the_call(says: Any) -> None:
    kept = Books(says)
    async with lab(kept) as bank:
        told = await bank.act(gated, {}, call_id="1")
        assert isinstance(told, Blocked) and told.reason == "precondition" and "gated" not in kept.calls
        assert (await bank.verify()).ok


@pytest.mark.promise("api-rates-and-breakers")
async def test_after_five_failures_in_a_row_the_breaker_opens_and_one_trial_is_let_through_later() -> None:
    kept = Books(*[OSError("down")] * 30)
    async with lab(kept) as bank:
        assert isinstance(await bank.act(look, {}, call_id="1"), Failed)
        told = await bank.act(look, {}, call_id="2")
        assert isinstance(told, Blocked) and told.reason == "breaker_open" and len(kept.calls) == 5
        assert isinstance(await bank.act(measure, {}, call_id="3"), Failed)  # another tool has its own
        await bank.advance(timedelta(seconds=31))
        kept.will.clear()
        assert isinstance(await bank.act(look, {}, call_id="4"), Executed)
        assert isinstance(await bank.act(look, {}, call_id="5"), Executed)


@tool(effect="read", rate="2/minute", timeout=timedelta(seconds=40))
async def rated(call: Call) -> int:
    """At most twice a minute."""
    call.get(books).calls.append("rated")
    return len(call.get(books).calls)


@pytest.mark.promise("api-rates-and-breakers")
async def test_what_is_over_its_rate_waits_for_its_place_and_not_longer_than_a_call_may_take() -> None:
    kept = Books()
    async with lab(kept) as bank:
        began = bank.clock.now()
        told = [await bank.act(rated, {}, call_id=str(n)) for n in range(3)]
        assert all(isinstance(t, Executed) for t in told) and bank.clock.now() - began >= 30_000_000
        both = await asyncio.gather(*[bank.act(rated, {}, call_id=f"x{n}") for n in range(2)])
        assert sorted(type(t).__name__ for t in both) == ["Blocked", "Executed"]
        assert "rate_limited" in [t.reason for t in both if isinstance(t, Blocked)] and len(kept.calls) == 4


# keys -----------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-business-keys")
async def test_what_was_done_under_a_business_key_is_not_done_again_in_another_run() -> None:
    kept = Books()
    async with lab(kept) as bank:
        assert isinstance(await bank.act(settle, {"invoice": "A-1"}, call_id="1"), Executed)
        told = await bank.act(settle, {"invoice": "A-1", "cents": 2}, call_id="2")
        assert isinstance(told, Blocked) and told.reason == "duplicate" and kept.calls == ["settle"]
        assert isinstance(await bank.act(settle, {"invoice": "A-2"}, call_id="3"), Executed)
        assert (await bank.verify()).ok


@pytest.mark.promise("journal-business-keys")
async def test_a_business_key_is_kept_by_what_may_have_happened_and_free_after_what_did_not() -> None:
    kept = Books(*[not_done()] * 3)
    async with lab(kept) as bank:
        assert isinstance(await bank.act(settle, {"invoice": "A-1"}, call_id="1"), Failed)
        assert isinstance(await bank.act(settle, {"invoice": "A-1"}, call_id="2"), Executed)
        kept.will.extend([OSError("reset")] * 3)
        assert isinstance(await bank.act(settle, {"invoice": "A-2"}, call_id="3"), Pending)
        told = await bank.act(settle, {"invoice": "A-2"}, call_id="4")
        assert isinstance(told, Blocked) and told.reason == "duplicate" and len(kept.calls) == 7


# people say what became of it -----------------------------------------------------------------------------------------
@flow
async def ringing(run: Run, n: int) -> str:
    told = await run.attempt(blind, n)
    return told.value if isinstance(told, Executed) else told.reason if isinstance(told, Failed) else "blocked"


@pytest.mark.promise("journal-people-settle-unknowns")
@pytest.mark.parametrize(
    ("status", "result", "told"),
    [("executed", "rang", "rang"), ("failed", None, "not_done")],
)
async def test_a_person_says_what_became_of_an_unknown_outcome(status: str, result: Any, told: str) -> None:
    kept = Books(ConnectionResetError("reset"))
    async with lab(kept) as bank:
        asked = await bank.run(ringing, 1, key="k")
        assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
        done = await bank.resolve(asked.pending[0], status, by=OLA, result=result, reason="I looked")
        assert isinstance(done, Completed) and done.value == told and kept.calls == ["blind"]
        assert (await bank.verify()).ok


async def test_a_result_that_the_tool_could_not_return_is_refused_and_the_right_one_still_counts() -> None:
    async with lab(Books(ConnectionResetError("reset"))) as bank:
        asked = await bank.run(ringing, 1, key="k")
        assert isinstance(asked, Waiting)
        with pytest.raises(Exception, match="is no string: 5"):
            await bank.resolve(asked.pending[0], "executed", by=OLA, result=5)
        done = await bank.resolve(asked.pending[0], "executed", by=OLA, result="rang")
        assert isinstance(done, Completed) and done.value == "rang"


@pytest.mark.promise("journal-people-settle-unknowns")
async def test_who_says_what_became_of_it_is_heard_once_and_in_words_that_there_are() -> None:
    async with lab(Books(OSError("reset"))) as bank:
        told = await bank.act(blind, {}, call_id="1")
        assert isinstance(told, Pending)
        with pytest.raises(Exception, match="no resolution"):
            await bank.resolve(told, "perhaps", by=OLA)
        await bank.resolve(told, "failed", by=OLA)
        with pytest.raises(Exception, match="not what you were shown"):
            await bank.resolve(told, "executed", by=KIM, result="done")
