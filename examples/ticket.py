"""Ticket: turns of one conversation, and an answer that leaves as a file which a person has signed.

    python -m examples.ticket

Runs under one session name are turns of a conversation. `history` shows the model what was said in the earlier ones; it
is a read like any other: decided, recorded, and none of it counts as what the customer asks now. The answer becomes a
file: a value that names its content by a digest, which whoever approves is shown, so that exactly this file is sent.
The model here is played by a script.
"""

from __future__ import annotations

import asyncio

from flyball import (
    Artifact,
    Call,
    Completed,
    Critical,
    Limits,
    Principal,
    Run,
    Trusted,
    Waiting,
    agent,
    flow,
    history,
    tool,
)
from flyball.core.model import ModelRequest
from flyball.testing import Lab, Say

KIM = Principal("user:kim", groups=frozenset({"desk"}))
LEA = Principal("user:lea", groups=frozenset({"lead"}))
POLICIES = """
@id("reads")
permit (principal, action in Action::"read", resource);

@id("desk-answers")
permit (principal in Group::"desk", action == Action::"send_letter", resource);

@id("a-lead-signs-what-leaves") @require_approval("lead") @reason("a_file_leaves")
forbid (principal, action == Action::"send_letter", resource)
unless { context.approvals.contains("lead") };

@id("only-our-own-letters") @reason("unknown_file")
forbid (principal, action == Action::"send_letter", resource)
unless { context.origin.letter == "render.digest" };
"""


@tool(effect="read")
async def render(call: Call, text: str) -> Trusted[Artifact]:
    """Make a letter of an answer."""
    return await call.artifacts.put(f"Dear customer,\n{text}\n".encode(), name="letter.txt", media_type="text/plain")


@tool(effect="irreversible", egress=True)
async def send_letter(call: Call, letter: Critical[Artifact]) -> int:
    """Send a letter."""
    return len(await call.artifacts.get(letter))


clerk = agent(
    "clerk", input=str, context=[history(turns=5, tokens=1_000)], limits=Limits(steps=2),
    instructions="Answer the customer in one sentence.",
)  # fmt: skip


@flow
async def ticket(run: Run, question: str) -> str:
    answer = await run.agent(clerk, question)
    size = await run.call(send_letter, letter=await run.call(render, answer))
    return f"{answer} ({size} bytes)"


def replied(request: ModelRequest) -> Say[str]:
    """What the model answers: the second answer only where it was shown the first."""
    return Say("A-17 was paid on Monday." if "It is A-17." in str(request) else "It is A-17.")


def desk() -> Lab:
    """The desk with a model that answers so."""
    return Lab(by=KIM, policies=POLICIES, models={"clerk": [replied]})


async def main() -> None:
    lab = desk()
    for number, question in enumerate(("Which order is mine?", "Is it paid?")):
        asked = await lab.run(ticket, question, key=f"turn {number}", session="ticket-42")
        assert isinstance(asked, Waiting)
        done = await lab.approve(asked.pending[0], by=LEA, reason="read it")
        assert isinstance(done, Completed)
        print(done.value)


if __name__ == "__main__":
    asyncio.run(main())
