"""Asking: how much a run may ask, who has to be there to answer, and what becomes of an ask that nobody answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from flyball import Blocked, Completed, Run, Waiting, flow
from flyball.core.config import Approvals, Config
from flyball.testing import Lab
from tests.runtime.till import FAY, Drawer, key_of, lab, pay


@flow
async def asking(run: Run, times: int) -> list[str]:
    told = await run.gather(*(run.attempt(pay, 200 + n) for n in range(times)))
    return [t.what if isinstance(t, Blocked) else "paid" for t in told]


def config(**parts: Any) -> Config:
    return msgspec.structs.replace(Config.bare("lab", "/srv", home="/srv"), **parts)


async def enrol(bench: Lab, groups: Mapping[str, tuple[str, ...]]) -> None:
    app = await bench._bench.ready(asking)
    await app.runs.ready("local")
    for person, of in groups.items():
        await app.keys.enrol(key_of(person, *of))


@pytest.mark.promise("gate-caps-on-asking")
async def test_a_run_has_no_more_open_approvals_than_it_may() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(asking, 22, key="k")
    assert isinstance(asked, Waiting) and len(asked.pending) == 20 and not till.paid
    refused = [r for r in bench.records("k") if r.kind == "decision"]
    assert len(refused) == 2 and all("open already" in str(r.private) for r in refused)


@pytest.mark.promise("gate-nobody-eligible-denies")
@pytest.mark.parametrize(
    ("people", "asks"),
    [
        ({}, False),
        ({"user:lea": ("legal",)}, False),
        ({"user:kim": ("finance",)}, False),
        ({FAY.id: ("finance",)}, True),
    ],
)
async def test_where_a_directory_is_kept_an_ask_that_nobody_can_approve_is_denied(
    people: Mapping[str, tuple[str, ...]], asks: bool
) -> None:
    bench = lab(config=config(people={}))
    await enrol(bench, people)
    told = await bench.run(asking, 1)
    assert isinstance(told, Waiting if asks else Completed)
    assert asks or (isinstance(told, Completed) and told.value == ["nobody can approve pay"])


@pytest.mark.promise("gate-nobody-eligible-denies")
async def test_without_a_directory_an_ask_stands_until_it_expires() -> None:
    bench = lab()
    assert isinstance(await bench.run(asking, 1, key="k"), Waiting)
    await bench.advance(timedelta(hours=47))
    assert isinstance(await bench.resume("k"), Waiting)
    await bench.advance(timedelta(hours=2))
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == ["nobody approved pay in time"]


@pytest.mark.promise("gate-expiry-never-allows")
async def test_an_ask_that_escalates_is_asked_once_more_and_then_denied() -> None:
    till = Drawer()
    bench = lab(till, config=config(approvals=Approvals(on_expiry="escalate")))
    first = await bench.run(asking, 1, key="k")
    await bench.advance(timedelta(hours=49))
    again = await bench.resume("k")
    assert isinstance(first, Waiting) and isinstance(again, Waiting) and again.pending[0].id != first.pending[0].id
    await bench.advance(timedelta(hours=49))
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == ["nobody approved pay in time"] and not till.paid
    assert (await bench.verify()).ok
