"""The Lab's scripts are typed by the tools that they propose."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

from flyball import Call, Principal, Result, Run, agent, flow, tool
from flyball.testing import Crash, Lab, Say, Verdict, propose


@dataclass(frozen=True)
class Advice:
    cents: int


@tool(effect="read")
async def look(call: Call, id: str, *, deep: bool = False) -> int:
    return 1


clerk = agent("clerk", instructions="x", tools=[look], output=Advice)


@flow
async def handle(run: Run, id: str) -> int:
    return (await run.agent(clerk, id)).cents


async def test_it() -> None:
    async with Lab(
        policies=Path("policies"),
        by=Principal("user:kim"),
        models={"clerk": [propose(look, id="A-17", deep=True), propose(clerk, "A-17"), Say(Advice(5))]},
    ) as lab:
        assert_type(await lab.run(handle, "A-17", key="ticket-7"), Result[int])
        assert_type(lab.decide(look, id="A-17"), Verdict)
        lab.crash_after(look)
        with suppress(Crash):
            await lab.resume("ticket-7")
