"""The project that is measured: tools, flows and an agent as somebody would write them, and their policies."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from flyball import Call, Critical, Flyball, Limits, Principal, Run, agent, flow, tool
from flyball.app.project import collect
from flyball.core.config import Config, LimitSet
from flyball.core.model import ModelConfig

KIM: Final = Principal("user:kim", groups=frozenset({"support"}))
FAY: Final = Principal("user:fay", groups=frozenset({"finance"}))
NAME: Final = "bench"

# A permit by group, a read permit, a plain forbid on an argument, and one that an approval lifts.
POLICIES: Final = """
@id("read") permit (principal, action in Action::"read", resource);
@id("support-may-pay") permit (principal in Group::"support", action in [Action::"pay", Action::"slow_pay"], resource);
@id("not-so-much") @reason("too_much")
forbid (principal, action == Action::"pay", resource) when { context.input.cents > 1000000 };
@id("over-50-asks-finance") @require_approval("finance") @reason("over_limit")
forbid (principal, action == Action::"pay", resource)
when { context.input.cents > 5000 } unless { context.approvals.contains("finance") };
"""

# Budgets at every node of the hierarchy, so that each action reserves at all of them.
LIMITS: Final = LimitSet(run=Limits(steps=100_000, calls=100_000), tenant=Limits(calls=1_000_000_000))


@dataclass(frozen=True)
class Receipt:
    """What a payment returns: about 240 bytes of JSON, as the steps of the peers."""

    number: int
    cents: int
    receipt: str = field(default="r" * 40)
    note: str = field(default="n" * 160)


@tool(effect="irreversible", idempotency="key")
async def pay(call: Call, number: int, cents: Critical[int]) -> Receipt:
    """Pay an invoice."""
    return Receipt(number, cents)


class Seen:
    """What this process saw happen: payments that it really made, and runs of which one of those is durable.

    `first` and `later`: how long a run's first payment in this process takes, and any other, in seconds.
    """

    first = later = 0.05
    paid: ClassVar[set[tuple[str | None, int]]] = set()
    durable: ClassVar[set[str]] = set()


@tool(effect="irreversible", idempotency="key")
async def slow_pay(call: Call, number: int, cents: Critical[int]) -> Receipt:
    """Pay an invoice at somebody who takes a moment."""
    Seen.paid.add((call.run, number))
    await asyncio.sleep(Seen.later if call.run in Seen.durable else Seen.first)
    return Receipt(number, cents)


@tool(effect="read")
async def look(call: Call, number: int) -> Receipt:
    """Look a payment up."""
    return Receipt(number, 100)


@flow
async def pay_all(run: Run, steps: int) -> int:
    """So many payments, one after the other."""
    for number in range(steps):
        await run.call(pay, number=number, cents=1200)
    return steps


@flow
async def keep_paying(run: Run, steps: int) -> int:
    """So many payments, each of which takes a moment; notes when one that this process made is durable."""
    for number in range(steps):
        await run.call(slow_pay, number=number, cents=1200)
        if (run.id, number) in Seen.paid:
            Seen.durable.add(run.id)
    return steps


@flow
async def ask_first(run: Run, number: int) -> int:
    """One payment that finance has to approve."""
    return (await run.call(pay, number=number, cents=9900)).cents


talker = agent(
    "talker", instructions="Look the payments up, then say how many there were.", tools=[look],
    limits=Limits(steps=1_000_000),
)  # fmt: skip


def configured(folder: Path, policies: str = POLICIES, script: Path | None = None) -> Config:
    """The configuration of a project in `folder`: SQLite with synchronous FULL, and keys in the folder itself."""
    there = folder.resolve()
    place = there / "policies"
    place.mkdir(parents=True, exist_ok=True)
    place.joinpath("bench.cedar").write_text(policies, "utf-8")
    config = Config.bare(NAME, str(there), home=str(there))
    project = msgspec.structs.replace(config.project, policies=str(place), policy=None)
    models = {} if script is None else {"default": ModelConfig(name="default", adapter="scripted", script=str(script))}
    return msgspec.structs.replace(config, project=project, limits=LIMITS, models=models)


def opened(folder: Path, *modules: Any, **configuration: Any) -> Flyball:
    """The project in `folder`, of the values of these modules, to be entered with `async with`."""
    config = configured(folder, **configuration)
    return Flyball(config, collect(NAME, config.directory, modules))
