"""Caps: how much may be asked of people, wait for them, and be denied, at each node of the budget path.

Rules (GATE section 4):

* An ask counts at every node of its path from the append that asks; what is open is given back by the append with
  which its row is open no more. A denial counts in the append that records it. So no concurrency passes a cap.
* A run counts always; tenant, agent and an agent within a run where they have a cap.
* Asks and denials of a tenant and of an agent are those of the day (UTC); what is open stands at a node without a day.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from flyball.core.budget import CAPS, NO_LIMIT, TENANT, ZERO, Amounts, Limit, dated, minus
from flyball.core.journal import Hold

APPROVAL: Final = Amounts(asks=1, open_approvals=1)
QUESTION: Final = Amounts(asks=1)
DENIAL: Final = Amounts(denials=1)
MOST_OPEN: Final = 20
MOST_DENIALS: Final = 20
_RUN: Final = "run/"


def of_run(limit: Limit) -> Limit:
    """The limit of a run, with what holds where it says nothing of open approvals and denials."""
    most = MOST_OPEN if limit.open_approvals == NO_LIMIT else limit.open_approvals
    denials = MOST_DENIALS if limit.denials == NO_LIMIT else limit.denials
    return replace(limit, open_approvals=most, denials=denials)


def counted_at(path: Iterable[Hold], wanted: Amounts, now: int) -> tuple[Hold, ...]:
    """Where and against which limits `wanted` (asks, open approvals, denials) counts `now` (microseconds)."""
    found: list[Hold] = []
    for hold in path:
        here = wanted if hold.node.startswith(_RUN) else _capped(wanted, hold.limit)
        day = dated(hold.node, now)
        standing = here if day == hold.node else Amounts(open_approvals=here.open_approvals)
        for node, amounts in ((hold.node, standing), (day, minus(here, standing))):
            if amounts != ZERO:
                found.append(Hold(node=node, amounts=amounts, limit=hold.limit))
    return tuple(found)


def _capped(wanted: Amounts, limit: Limit) -> Amounts:
    return Amounts(**{d: getattr(wanted, d) for d in CAPS if getattr(limit, d) != NO_LIMIT})


def full(refused: str, holds: Iterable[Hold], run: str) -> str:
    """Which cap is used up, in words. `refused` is the `node:dimension` that a journal refused of these holds, with
    or without a day."""
    node, _, dimension = refused.rpartition(":")
    mine = (getattr(hold.limit, dimension) for hold in holds if f"{node}/".startswith(f"{hold.node}/"))
    most = max(mine, default=0)
    kind, _, rest = node.partition("/")
    match kind:
        case "agents":
            who, today = f"agent {rest.partition('/')[0]}", " today"
        case "agent":
            who, today = "this agent", ""
        case _ if kind == TENANT:
            who, today = "this tenant", " today"
        case _:
            who, today = "this run" if rest == run else f"run {rest}", ""
    if dimension == "open_approvals":
        return f"{most} approvals of {who} are open already"
    if dimension == "asks":
        return f"people were asked {most} times for {who}{today}"
    return f"{most} proposals of {who} were denied{today}"
