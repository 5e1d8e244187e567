"""What is simulated: a run of each shape, what people do about it, and how it may end where nothing goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from flyball.core.limits import Limits
from flyball.testing.simulation import shop

People = Literal["approve", "deny", "edit", "ignore", "replace"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One run. `people` says what is done about what waits; `opening`: the first opening of the log can fail too.

    `door`: the run is one governed action, as a door makes it. `limits` are those of every run. `before` is the input
    of an earlier turn of the same session, which has been started and may not have ended: the run waits its turn.
    """

    name: str
    what: Any
    input: Any
    people: People = "approve"
    limits: Limits | None = None
    opening: bool = False
    door: bool = False
    before: str = ""


def _all() -> list[Scenario]:
    return [
        Scenario(name="key", what=shop.one, input="pay", opening=True),
        Scenario(name="probe", what=shop.one, input="post"),
        Scenario(name="neither", what=shop.one, input="ring"),
        Scenario(name="window", what=shop.one, input="wire"),
        Scenario(name="reads", what=shop.looks, input=5),
        Scenario(name="act", what=shop.pay, input={"cents": 5}, door=True),
        Scenario(name="business", what=shop.twice, input=5),
        Scenario(name="abreast", what=shop.abreast, input=5),
        Scenario(name="asks_abreast", what=shop.asks_abreast, input=5),
        Scenario(name="approve", what=shop.much, input="pay"),
        Scenario(name="two_people", what=shop.much, input="order"),
        Scenario(name="deny", what=shop.much, input="pay", people="deny"),
        Scenario(name="edit", what=shop.much, input="pay", people="edit"),
        Scenario(name="expire", what=shop.much, input="pay", people="ignore"),
        Scenario(name="replace", what=shop.much, input="pay", people="replace"),
        Scenario(name="agent", what=shop.delegates, input=5),
        Scenario(name="agent_asks", what=shop.porter, input="pay 500"),
        Scenario(name="subflow", what=shop.outer, input=5),
        Scenario(name="timers", what=shop.waits, input=5),
        Scenario(name="hurry", what=shop.hurries, input=5, people="ignore"),
        Scenario(name="overtake", what=shop.overtakes, input=5),
        Scenario(name="outrun", what=shop.outruns, input=5),
        Scenario(name="budget", what=shop.spends, input=5, limits=Limits(effects=2)),
        Scenario(name="question", what=shop.questions, input=5),
        Scenario(name="session", what=shop.one, input="post", before="pay"),
        Scenario(name="generations", what=shop.turns, input=3),
    ]


SCENARIOS: Final[Mapping[str, Scenario]] = {scenario.name: scenario for scenario in _all()}
