"""A scripted call that no longer fits its tool fails the type check."""

from flyball import Call, Run, agent, flow, tool
from flyball.testing import Lab, propose


@tool(effect="read")
async def look(call: Call, id: str) -> int:
    return 1


@flow
async def handle(run: Run, id: str) -> int:
    return 1


counter = agent("counter", instructions="x", input=int)
propose(counter, "three")  # error
propose(counter, 3, 4)  # error
propose(look, id=17)  # error
propose(look, key="A-17")  # error
propose(look)  # error
propose(look.function, id="A-17")  # error


async def test_it(lab: Lab) -> None:
    await lab.run(handle, 17)  # error
    await lab.run(look, "A-17")  # error
    lab.crash_after("look")  # error
