"""The Production Stack over this runtime: every reason code is reached, every outcome is audited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from examples import production_stack
from examples.production_stack import (
    ACTORS,
    POLICY,
    Actor,
    Checked,
    ProductionStack,
    Remembering,
    Review,
    Step,
    look_up,
    pay,
    planner,
)
from flyball import Limits, Pending, Principal, Stopped
from flyball.core.record import Opened
from flyball.core.stop import STOPS, StopReason
from flyball.testing import Lab, Say

FAY, NOOR = (Principal(f"user:{name}", groups=frozenset({"finance"})) for name in ("fay", "noor"))
KIM = ACTORS["token-of-kim"].principal
LOOK, PAID = Step("act", tool="look_up", input={"what": "lamp"}), Step("finish", "The lamp is paid.")


def paying(cents: int) -> Step:
    return Step("act", tool="pay", input={"cents": cents})


@dataclass
class Desk:
    """A stack over a Lab with these steps of the topology, and what its reviewers say in turn."""

    steps: Sequence[Any]
    reviews: list[Review] = field(default_factory=list)
    policy: Checked = Checked()
    limits: Limits = Limits(steps=8, seconds=20)
    audited: list[Mapping[str, Any]] = field(default_factory=list)
    shown: list[Pending] = field(default_factory=list)

    def __post_init__(self) -> None:
        script = [one if not isinstance(one, Step) else Say(one) for one in self.steps]
        self.lab = Lab(policies=POLICY, models={"planner": script})
        self.stack = ProductionStack(
            ingress={"kim": Actor(KIM, self.limits)}.get, topology=planner, runtime=self.lab, tools=[look_up, pay],
            hitl=self.review, audit=self.audited.append, policy=lambda _: self.policy,
        )  # fmt: skip

    async def review(self, pending: Pending) -> Review:
        self.shown.append(pending)
        return self.reviews.pop(0)

    async def code(self, token: str = "kim") -> str:
        told = await self.stack.run("Pay the lamp.", token)
        assert set(told) == {"ok", "result", "reason_code"} and told["ok"] == (told["reason_code"] == "completed")
        return str(told["reason_code"])


FAILING = Step("act", tool="look_up", input={"what": "nothing"})
ENDINGS: dict[str, tuple[str, Desk]] = {
    "it is done": ("completed", Desk([LOOK, paying(4900), PAID])),
    "a reviewer agrees": ("completed", Desk([paying(9900), PAID], [Review(FAY, True, "fair")])),
    "a reviewer refuses": ("approval_rejected", Desk([paying(9900)], [Review(FAY, False, "no")])),
    "policy forbids": ("policy_denied", Desk([paying(100_001)])),
    "the stack's own policy forbids": ("policy_denied", Desk([LOOK], policy=Checked("deny", "closed"))),
    "a policy of no known mode": ("policy_mode_invalid", Desk([LOOK], policy=Checked("perhaps"))),
    "a step of no known mode": ("unknown_route_mode", Desk([Step("dance")])),
    "a tool that there is not": ("unknown_tool", Desk([Step("act", tool="fly")])),
    "a tool that fails": ("not_done", Desk([FAILING])),
    "an input that does not fit": ("invalid_proposal", Desk([Step("act", tool="pay", input={"cents": "x"})])),
    "a topology that says nothing usable": ("invalid_proposal", Desk([Say("hm")] * 5)),
    "too many steps": ("max_steps", Desk([LOOK] * 9, limits=Limits(steps=4))),
    "no time": ("max_seconds", Desk([LOOK], limits=Limits(seconds=0))),
    "no budget": ("budget_exhausted", Desk([LOOK] * 3, limits=Limits(calls=1))),
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_every_way_to_end_has_its_reason_code(how: str) -> None:
    code, desk = ENDINGS[how]
    assert await Desk(desk.steps, list(desk.reviews), desk.policy, desk.limits).code() == code


async def test_who_is_unknown_starts_nothing() -> None:
    desk = Desk([LOOK])
    assert await desk.code("a stranger's token") == "auth_failed" and desk.lab.records() == []


class Ended:
    """A runtime whose every run ends so."""

    def __init__(self, reason: StopReason) -> None:
        self.reason: StopReason = reason

    async def run(self, what: Any, input: str, /, *, by: Principal, limits: Limits) -> Any:
        return Stopped("r-1", self.reason, "so it is")

    def records(self, run: str) -> list[Opened]:
        return []


@pytest.mark.parametrize("reason", [reason for reason in STOPS if reason != "completed"])
async def test_every_stop_reason_of_the_runtime_is_a_reason_code(reason: StopReason) -> None:
    async def nobody(pending: Pending) -> Review:
        raise AssertionError

    runtime: Any = Ended(reason)
    stack = ProductionStack(
        ingress=ACTORS.get, topology=planner, runtime=runtime, tools=[], hitl=nobody, audit=lambda _: None
    )
    told = await stack.run("x", "token-of-kim")
    assert told == {"ok": False, "result": "so it is", "reason_code": reason}


async def test_a_reviewer_may_override_the_action_and_another_one_agrees() -> None:
    desk = Desk([paying(9900), PAID], [Review(FAY, True, "less", {"cents": 6000}), Review(NOOR, True, "fine")])
    assert await desk.code() == "completed"
    assert [p.arguments["cents"] for p in desk.shown] == [9900, 6000]
    assert [effect.arguments for effect in desk.lab.effects if effect.action == "pay"] == [{"cents": 6000}]


async def test_every_outcome_is_audited_with_its_record() -> None:
    desk = Desk([LOOK, paying(100_001)])
    await desk.code()
    assert [(line["action"], line["outcome"]) for line in desk.audited] == [("look_up", "executed"), ("pay", "blocked")]
    records = {record.id for record in desk.lab.records()}
    assert all(line["record"] in records for line in desk.audited) and (await desk.lab.verify()).ok


async def test_an_answer_is_remembered_and_told_to_the_next_request() -> None:
    told: list[str] = []

    def remembering(request: Any) -> Any:
        told.append(request.messages[-1].text)
        return Say(PAID)

    desk = Desk([remembering])
    assert await desk.code() == "completed" and await desk.code() == "completed"
    assert "The lamp is paid." not in told[0] and "The lamp is paid." in told[1]
    await desk.lab.advance(Remembering().ttl + timedelta(days=1))
    assert await desk.code() == "completed" and "The lamp is paid." not in told[2]


async def test_it_runs_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    await production_stack.main()
    assert "'reason_code': 'completed'" in capsys.readouterr().out
