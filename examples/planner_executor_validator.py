"""Planner, executor, validator: one agent plans, one acts, one judges, and its judgement lowers autonomy.

    python -m examples.planner_executor_validator

The flow holds the pattern together, so that authority is put together in code that is read: the planner and the
validator have no effects, the executor keeps what it finds, and only the flow may publish. A score under 0.7 takes
autonomy away: a person is asked. The models here are played by scripts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from flyball import Call, Limits, Outgoing, Principal, Run, Waiting, agent, flow, tool
from flyball.testing import Lab, Say, propose

HERE = Path(__file__).parent
KIM = Principal("user:kim", groups=frozenset({"press"}))
EDITH = Principal("user:edith", groups=frozenset({"editors"}))


@dataclass(frozen=True)
class Plan:
    steps: list[str]


@dataclass(frozen=True)
class Judged:
    score: float
    why: str


@tool(effect="read")
async def look_up(call: Call, what: str) -> str:
    """Look something up in the archive."""
    return f"the archive says of {what}: 1865"


@tool(effect="irreversible", egress=True, idempotency="key")
async def publish(call: Call, text: Outgoing[str]) -> str:
    """Publish a text."""
    return f"published {len(text)} characters"


planner = agent("planner", role="planner", output=Plan, limits=Limits(steps=3),
                instructions="Say in a few steps what must be found out.")  # fmt: skip
executor = agent("executor", role="executor", tools=[look_up], limits=Limits(steps=8),
                 instructions="Do this one step and say what came of it.")  # fmt: skip
validator = agent("validator", role="validator", output=Judged, limits=Limits(steps=2),
                  instructions="Say from 0 to 1 how well the text is supported by what was found.")  # fmt: skip


@flow(ensures=[publish])
async def article(run: Run, subject: str) -> str:
    plan = await run.agent(planner, subject)
    found = [await run.agent(executor, step) for step in plan.steps[:5]]
    text = "\n".join([subject, *found])
    judged = await run.agent(validator, text)
    await run.signal("quality", judged.score)
    return await run.call(publish, text)


def newsroom(score: float) -> Lab:
    """The desk with models that say this: the validator gives this score."""
    return Lab(
        by=KIM, policies=HERE.joinpath("planner_executor_validator.cedar").read_text("utf-8"),
        config=HERE / "planner_executor_validator.toml",
        models={
            "planner": [Say(Plan(["find the year"]))],
            "executor": [propose(look_up, what="the governor"), Say("It was 1865.")],
            "validator": [Say(Judged(score, "one source"))],
        },
    )  # fmt: skip


async def main() -> None:
    print((await newsroom(0.9).run(article, "The flyball governor")).reason)
    desk = newsroom(0.4)
    asked = await desk.run(article, "The flyball governor")
    assert isinstance(asked, Waiting)
    print(f"{asked.pending[0].about} waits for {asked.pending[0].groups} because of {asked.pending[0].because}")
    print((await desk.approve(asked.pending[0], by=EDITH, reason="I know it to be so")).reason)


if __name__ == "__main__":
    asyncio.run(main())
