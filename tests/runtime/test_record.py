"""T1 and T2 as they are recorded: by when an attempt ends, what a crash costs, an outcome that cannot be stored."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flyball import Completed, Run, Waiting, flow
from flyball.core.journal import BudgetRow, Refused
from flyball.testing import Crash
from tests.runtime.till import Drawer, lab, look, pay


@flow
async def paying(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@flow
async def looking(run: Run, n: int) -> int:
    return await run.call(look, n)


class Full:
    """A journal with no room for an outcome's payload."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def append(self, append: Any) -> Any:
        if any(entry.kind == "outcome" and entry.path == "1" and entry.payload for entry in append.entries):
            return Refused(reason="too_large", detail="no room")
        return await self._inner.append(append)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


@pytest.mark.promise("journal-one-t1-per-attempt")
async def test_t1_records_by_when_its_attempt_must_have_ended() -> None:
    bench = lab()
    await bench.run(paying, 5, key="k")
    (intent,) = [r for r in bench.records("k") if r.kind == "intent" and r.path == "1"]
    timeout = pay.action.timeout_ms * 1000
    assert abs(intent.facts["deadline"] - intent.time - timeout) <= timedelta(seconds=1) / timedelta(microseconds=1)


@pytest.mark.promise("journal-interrupted-reads")
async def test_an_interrupted_read_is_charged_and_read_again() -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_after(look)
    with pytest.raises(Crash):
        await bench.run(looking, 4, key="k")
    done = await bench.resume("k")
    assert isinstance(done, Completed) and till.calls == ["look", "look"]
    told = [r.facts["status"] for r in bench.records("k") if r.kind == "outcome" and r.path == "1"]
    spent = bench._bench.journal.view("local").row(BudgetRow, f"run/{done.run}")
    assert told == ["interrupted", "executed"] and spent is not None and spent.spent.calls == 2


@pytest.mark.promise("journal-t2-cannot-fail-for-its-content")
async def test_an_outcome_whose_result_cannot_be_stored_is_recorded_without_it() -> None:
    till = Drawer()
    bench = lab(till)
    app = await bench._bench.ready(paying)
    app.rooms.record.journal = Full(app.rooms.record.journal)
    await bench.run(paying, 5, key="k")
    (outcome,) = [r for r in bench.records("k") if r.kind == "outcome" and r.path == "1"]
    assert (outcome.facts["status"], outcome.facts["code"]) == ("executed", "payload_not_stored")
    assert not outcome.private and till.calls == ["pay"] and not isinstance(await bench.resume("k"), Waiting)
    assert till.calls == ["pay"] and (await bench.verify()).ok
