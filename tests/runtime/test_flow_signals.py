"""Signals: a run's scores of its own work are records, and policies read them from then on."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from flyball import Completed, FlyballError, Run, Stopped, Waiting, flow
from flyball.core.config import Config
from flyball.core.signals import Scale
from flyball.testing import Crash, Lab
from tests.runtime.till import POLICY, lab, look, pay

LOW = '@id("doubted") @require_approval("owner") @reason("low_quality")\nforbid (principal, action, resource) when {'
SURE = POLICY + LOW + (
    ' context.effect != "read" && context.run.signals has quality &&'
    ' context.run.signals.quality.lessThan(decimal("0.7")) }'
    ' unless { context.approvals.contains("owner") };'
)  # fmt: skip
SCALES = {"quality": Scale(), "length": Scale(most=1_000)}


def scored(policies: str = SURE) -> Lab:
    config = msgspec.structs.replace(Config.bare("till", "/", home="/"), signals=SCALES)
    return lab(policies=policies, config=config)


@flow
async def doubting(run: Run, quality: float) -> str:
    await run.call(pay, 1)
    await run.signal("quality", quality)
    return await run.call(pay, 2)


@flow
async def judged(run: Run, quality: float) -> str:
    await run.flow(judging, quality)
    return await run.call(pay, 2)


@flow
async def judging(run: Run, quality: float) -> None:
    await run.signal("quality", 0.9)
    await run.signal("quality", quality)
    await run.signal("length", 3)


@flow
async def again(run: Run, quality: float) -> str:
    if quality < 1:
        await run.signal("quality", quality)
        run.continue_as(1)
    return await run.call(pay, 2)


@flow
async def resting(run: Run, quality: float) -> str:
    await run.flow(judging, quality)
    await run.sleep(timedelta(hours=1))
    return await run.call(pay, 2)


@flow
async def misspelt(run: Run, quality: float) -> None:
    await run.call(look, 1)
    await run.signal("qualty", quality)


@pytest.mark.promise("api-signals")
@pytest.mark.parametrize("what", [doubting, judged, again])
async def test_a_low_score_asks_a_person_for_what_comes_after_it(what: object) -> None:
    low = await scored().run(what, 0.4)  # type: ignore[arg-type]
    assert isinstance(low, Waiting) and low.pending[0].because == ("doubted",) and low.pending[0].about == "pay"
    assert isinstance(await scored().run(what, 0.7), Completed)  # type: ignore[arg-type]


async def test_a_policy_that_names_no_signal_is_the_same_bundle_as_without_any() -> None:
    assert isinstance(await scored(POLICY).run(doubting, 0.1), Completed)


async def test_a_policy_on_a_signal_that_nobody_declared_is_refused() -> None:
    with pytest.raises(FlyballError, match="qualty"):
        await scored(SURE.replace("signals.quality", "signals.qualty")).run(doubting, 0.1)


async def test_a_score_is_a_record_without_words() -> None:
    log = scored()
    await log.run(judged, 0.75, key="k")
    given = [r for r in log.records("k") if r.kind == "signal"]
    assert [(r.path, r.facts) for r in given] == [
        ("1.1", {"name": "quality", "value": 9_000}), ("1.2", {"name": "quality", "value": 7_500}),
        ("1.3", {"name": "length", "value": 30_000}),
    ]  # fmt: skip
    assert all(not r.private for r in given)


async def test_a_run_that_waited_knows_its_score_again() -> None:
    log = scored()
    assert isinstance(await log.run(resting, 0.4, key="k"), Waiting)
    await log.restart()
    await log.advance(timedelta(hours=2))
    asked = await log.resume("k")
    assert isinstance(asked, Waiting) and asked.pending[0].because == ("doubted",)


@pytest.mark.promise("api-signals")
async def test_a_replay_finds_the_score_and_decides_as_before() -> None:
    log = scored()
    log.crash_after(pay)
    with pytest.raises(Crash):
        await log.run(doubting, 0.8, key="k")
    assert isinstance(await log.resume("k"), Completed)
    assert len([r for r in log.records("k") if r.kind == "signal"]) == 1
    assert (await log.replay(log.history("k"))).ok and (await log.verify()).ok


async def test_a_name_that_nobody_declared_ends_the_run_and_takes_no_place_in_the_log() -> None:
    log = scored()
    ended = await log.run(misspelt, 0.5, key="k")
    assert isinstance(ended, Stopped) and "Did you mean quality?" in ended.detail
    assert [r for r in log.records("k") if r.path == "2"] == []
