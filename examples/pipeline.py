"""Pipeline: a router chooses, stages follow each other, what can be done at once is done at once.

    python -m examples.pipeline

There is no pipeline class: a flow is plain Python. The router's choice is an answer of a fixed type, so it is recorded
as a decision is; each stage is an agent with a type of its own; two reads are gathered; the last step is the only
effect. The models here are played by scripts.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from flyball import Call, Completed, Limits, Principal, Run, agent, flow, tool
from flyball.testing import Lab, Say, propose

HERE = Path(__file__).parent
KIM = Principal("user:kim", groups=frozenset({"press"}))
Kind = Literal["complaint", "question"]


@dataclass(frozen=True)
class Facts:
    order: str
    wish: str


@tool(effect="read")
async def find_order(call: Call, text: str) -> str:
    """The order that a letter is about."""
    return "order 17: three lamps"


@tool(effect="read")
async def find_rules(call: Call, kind: str) -> str:
    """What the house does in such cases."""
    return f"a {kind} is answered within a day"


@tool(effect="reversible")
async def file_answer(call: Call, letter: str, answer: str) -> str:
    """Put an answer into the outbox."""
    return f"filed: {answer}"


router = agent("router", role="router", output=Kind, limits=Limits(steps=2), instructions="What is this letter?")
reader = agent("reader", role="retriever", tools=[find_order], output=Facts, limits=Limits(steps=4),
               instructions="Say which order the letter is about, and what is wanted.")  # fmt: skip
writer = agent("writer", role="executor", limits=Limits(steps=3), instructions="Answer in one sentence.")


@flow
async def letter(run: Run, text: str) -> str:
    kind = await run.agent(router, text)
    if kind == "question":
        return await run.agent(writer, text)
    facts, rules = await run.gather(run.agent(reader, text), run.call(find_rules, kind))
    answer = await run.agent(writer, f"{facts.order}\n{facts.wish}\n{rules}")
    return await run.call(file_answer, letter=text, answer=answer)


def office(kind: Kind) -> Lab:
    """The office with models that say this: the router says that a letter is of this kind."""
    return Lab(
        by=KIM, policies=HERE.joinpath("pipeline.cedar").read_text("utf-8"),
        models={
            "router": [Say(kind)],
            "reader": [propose(find_order, text="a lamp is missing"), Say(Facts("17", "another lamp"))],
            "writer": [Say("It is on its way.")],
        },
    )  # fmt: skip


async def main() -> None:
    for kind in ("complaint", "question"):
        done = await office("complaint" if kind == "complaint" else "question").run(letter, "A lamp is missing.")
        assert isinstance(done, Completed)
        print(kind, "->", done.value)


if __name__ == "__main__":
    asyncio.run(main())
