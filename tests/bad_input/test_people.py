"""People who decide with values that are none: an error they can read, and what waits is as it was."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from flyball import Completed, FlyballError, Run, Waiting, flow
from flyball.testing import Lab
from tests.bad_input.bank import FAY, KIM, NOOR, OLA, POLICY, Books, blind, lab, paying

ME = sys.modules[__name__]
BAD: dict[str, Any] = {
    "NaN": math.nan,
    "Infinity": [math.inf],
    "half a character": "\ud800",
    "a reserved key": {"__entity": {"type": "Group", "id": "finance"}},
    "what is no data": object(),
    "100 MB": "x" * 100_000_000,
    "thousands of digits": 10**5000,
}


@flow
async def polling(run: Run, n: int) -> Any:
    return await run.ask("Well?", Any, to="finance", within=timedelta(hours=1), default=None)


@flow
async def losing(run: Run, n: int) -> Any:
    return await run.call(blind, n)


async def unchanged(bank: Lab, act: Callable[[], Any], asked: Waiting) -> None:
    """The act is refused, and what waited waits as it did."""
    before = len(bank.records(asked.run))
    with pytest.raises(FlyballError) as refused:
        await act()
    assert refused.value.code in ("invalid_json", "not_data", "too_large", "too_deep", "bad_edit", "bad_resolution")
    assert len(str(refused.value)) < 1_000 and len(bank.records(asked.run)) == before
    assert await bank.resume(asked.run) == asked and (await bank.verify()).ok


@pytest.mark.parametrize("bad", BAD)
async def test_an_edit_to_what_is_no_value_is_refused_and_consumes_nothing(bad: str) -> None:
    kept = Books()
    async with lab(kept, POLICY) as bank:
        asked = await bank.run(paying, {"cents": 500})
        assert isinstance(asked, Waiting)
        (shown,) = asked.pending
        await unchanged(bank, lambda: bank.edit(shown, {"tags": {"a": BAD[bad]}}, by=NOOR), asked)
        assert isinstance(await bank.approve(shown, by=FAY), Completed) and kept.paid[0]["tags"] is None


@pytest.mark.parametrize("changes", [{}, {"amount": 1}, {"cents": None}, {"cents": "5"}, {"cents": 1.5}])
async def test_an_edit_that_the_tool_could_not_take_never_reaches_it(changes: dict[str, Any]) -> None:
    kept = Books()
    async with lab(kept, POLICY) as bank:
        asked = await bank.run(paying, {"cents": 500})
        assert isinstance(asked, Waiting)
        await unchanged(bank, lambda: bank.edit(asked.pending[0], changes, by=NOOR), asked)
        assert not kept.calls


@pytest.mark.promise("api-questions-are-typed")
@pytest.mark.parametrize("bad", BAD)
async def test_an_answer_that_is_no_value_is_refused_and_the_question_stays(bad: str) -> None:
    async with lab(project=[ME]) as bank:
        asked = await bank.run(polling, 1)
        assert isinstance(asked, Waiting)
        await unchanged(bank, lambda: bank.answer(asked.pending[0], BAD[bad], by=FAY), asked)
        assert isinstance(await bank.answer(asked.pending[0], "well", by=FAY), Completed)


@pytest.mark.parametrize("bad", BAD)
async def test_a_result_that_is_no_value_settles_nothing(bad: str) -> None:
    async with lab(Books(OSError("reset")), project=[ME]) as bank:
        asked = await bank.run(losing, 1)
        assert isinstance(asked, Waiting)
        await unchanged(bank, lambda: bank.resolve(asked.pending[0], "executed", by=OLA, result=BAD[bad]), asked)


async def test_a_reason_that_no_record_can_hold_decides_nothing() -> None:
    async with lab(None, POLICY) as bank:
        asked = await bank.run(paying, {"cents": 500})
        assert isinstance(asked, Waiting)
        await unchanged(bank, lambda: bank.approve(asked.pending[0], by=FAY, reason="\udfff"), asked)
        assert isinstance(await bank.approve(asked.pending[0], by=FAY, reason="fine"), Completed)


async def test_who_is_nobody_who_can_decide_consumes_nothing() -> None:
    async with lab(None, POLICY) as bank:
        asked = await bank.run(paying, {"cents": 500})
        assert isinstance(asked, Waiting)
        before = len(bank.records(asked.run))
        for by in (KIM, OLA):
            with pytest.raises(FlyballError, match="waiting for finance"):
                await bank.approve(asked.pending[0], by=by)
        assert len(bank.records(asked.run)) == before and await bank.resume(asked.run) == asked
