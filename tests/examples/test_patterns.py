"""The patterns in examples: roles confined, a score that lowers autonomy, stages in plain Python."""

from __future__ import annotations

import pytest

from examples import pipeline, planner_executor_validator
from examples.pipeline import letter, office
from examples.planner_executor_validator import EDITH, article, newsroom, publish
from flyball import Completed, Run, Stopped, Waiting, flow


@flow
async def unjudged(run: Run, text: str) -> str:
    return await run.call(publish, text)


async def test_well_judged_work_is_published_without_anybody() -> None:
    desk = newsroom(0.9)
    assert isinstance(await desk.run(article, "The governor"), Completed)
    assert [effect.action for effect in desk.effects] == ["publish"]


@pytest.mark.promise("api-signals")
async def test_a_low_score_of_the_validator_asks_a_person_first() -> None:
    desk = newsroom(0.69)
    asked = await desk.run(article, "The governor", key="k")
    assert (
        isinstance(asked, Waiting) and asked.pending[0].because == ("doubtful-work-is-read-first",) and not desk.effects
    )
    assert isinstance(await desk.approve(asked.pending[0], by=EDITH, reason="I know it"), Completed)
    assert (await desk.verify()).ok and (await desk.replay(desk.history("k"))).ok


async def test_what_nobody_judged_is_not_published() -> None:
    ended = await newsroom(0.9).run(unjudged, "anything")
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied"


async def test_only_the_flow_publishes() -> None:
    desk = newsroom(0.9)
    for agent in ("planner", "executor", "validator"):
        assert desk.decide(publish, text="x", through=[agent]).outcome == "deny"


@pytest.mark.parametrize(("kind", "filed"), [("complaint", 1), ("question", 0)])
async def test_the_router_decides_which_stages_follow(kind: pipeline.Kind, filed: int) -> None:
    desk = office(kind)
    done = await desk.run(letter, "A lamp is missing.", key="k")
    assert isinstance(done, Completed) and "It is on its way." in done.value
    assert len(desk.effects) == filed and (await desk.replay(desk.history("k"))).ok


@pytest.mark.parametrize("module", [pipeline, planner_executor_validator])
async def test_each_runs_by_itself(module: object, capsys: pytest.CaptureFixture[str]) -> None:
    await module.main()  # type: ignore[attr-defined]
    assert capsys.readouterr().out.count("\n") >= 2
