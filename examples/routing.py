"""Routing: hard questions go to the large model, what must stay in Europe does, and what fails is asked elsewhere.

    python -m examples.routing

An agent names the route `answers` of `routing.toml` where it would name a model. For each attempt the first rule that
fits says which models may be asked; policy leaves out what it forbids; what failed is followed by its fallback at once.
The choice stands in the record. The models here are played by scripts.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from flyball import Completed, Limits, Principal, agent
from flyball.core.model import ModelError
from flyball.testing import Lab, Say

HERE = Path(__file__).parent
KIM, ANN = Principal("user:kim"), Principal("user:ann", groups=frozenset({"europe"}))
DOWN = ModelError("unavailable", "the provider is down", sent=True)
LONG = "Compare these two offers line by line. " + "One line of an offer. " * 400
POLICY = """
@id("reads") permit (principal, action in Action::"read", resource);
@id("stays-in-europe")
forbid (principal in Group::"europe", action == Action::"model", resource is Model)
unless { resource has region && resource.region == "eu" };
"""

helper = agent("helper", instructions="Answer.", model="answers", limits=Limits(steps=6))


def desk(*answers: Any) -> Lab:
    """The desk, whose models answer this, whichever of them is asked."""
    return Lab(by=KIM, config=HERE / "routing.toml", policies=POLICY, models={"helper": list(answers)})


def choices(lab: Lab) -> list[dict[str, Any]]:
    """The choices that were made, in order."""
    return [dict(r.facts["route"]) for r in lab.records() if r.kind == "intent" and "route" in r.facts]


async def asked(question: str, *answers: Any, by: Principal = KIM) -> str:
    """Which models were asked a question, and what left the others out."""
    lab = desk(*answers)
    assert isinstance(await lab.run(helper, question, by=by), Completed)
    left = {name: why[0] for choice in choices(lab) for name, why in choice.get("left_out", {}).items()}
    return " then ".join(choice["chosen"] for choice in choices(lab)) + (f", without {left}" if left else "")


async def main() -> None:
    print("easy:", await asked("How long is the notice period?", Say("A month.")))
    print("hard:", await asked(LONG, Say("The first one.")))
    print("hard, in Europe:", await asked(LONG, Say("The first one."), by=ANN))
    print("the small one is down:", await asked("How long is the notice period?", DOWN, Say("A month.")))


if __name__ == "__main__":
    asyncio.run(main())
