"""The project that the simulation runs: payments of every class, two agents, flows of every shape.

A flow returns what it was told, step by step, so that this can be held against what happened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from flyball.core.agent import agent
from flyball.core.call import Call, Tenant, resource
from flyball.core.effect import Key, Retry
from flyball.core.flow import flow
from flyball.core.limits import Limits
from flyball.core.marks import Critical
from flyball.core.result import Attempted, Executed
from flyball.core.tool import Tool, tool
from flyball.runtime.flow.run import Run
from flyball.testing.simulation.remote import Place, Remote

HOUR: Final = timedelta(hours=1)
POLICIES: Final = Path(__file__).with_name("policies")
OPEN: Final = POLICIES.joinpath("shop.cedar").read_text("utf-8")
# The same with other words at the policy that asks: what was approved under the old one is void.
STRICTER: Final = OPEN.replace("cents > 100 }", "cents > 90 }")
CLOSED: Final = OPEN.partition('@id("acts")')[0]


class Line:
    """A process's connection to the remote; ends with the process."""

    def __init__(self, place: Place, remote: Remote) -> None:
        self._place, self._remote = place, remote

    async def pay(self, call: Call, tool: str, cents: int, *, remembers: bool = False) -> Any:
        """Asks the remote for a payment under the call's key."""
        return await self._remote.send(self._place, tool, call.key, cents, remembers=remembers)

    async def paid(self, call: Call) -> str | None:
        """Asks the remote whether it happened."""
        return await self._remote.ask(self._place, call.key)


@resource()
async def line(tenant: Tenant) -> AsyncIterator[Line]:
    """The process's line; the simulation puts it in."""
    lines: tuple[Line, ...] = ()
    for each in lines:
        yield each


@tool(effect="read")
async def price(call: Call, cents: int) -> int:
    """Look a price up."""
    return cents


@tool(effect="read", egress=True)
async def rate(call: Call, cents: int) -> int:
    """Ask somebody outside for a price."""
    return cents


@tool(effect="irreversible", idempotency="key", cost="0.01")
async def pay(call: Call, cents: Critical[int]) -> str:
    """Pay under a key."""
    return await call.get(line).pay(call, "pay", cents, remembers=True)  # type: ignore[no-any-return]


@tool(effect="irreversible", idempotency="probe")
async def post(call: Call, cents: Critical[int]) -> str:
    """Pay; one can ask whether it happened."""
    return await call.get(line).pay(call, "post", cents)  # type: ignore[no-any-return]


@post.probe
async def posted(call: Call, cents: int) -> str | None:
    """Whether it happened."""
    return await call.get(line).paid(call)


@tool(effect="irreversible", retry=Retry(attempts=3, first=HOUR))
async def ring(call: Call, cents: Critical[int]) -> str:
    """Pay; nobody can ask whether it happened."""
    return await call.get(line).pay(call, "ring", cents)  # type: ignore[no-any-return]


@tool(effect="irreversible", idempotency=Key(window=HOUR), retry=Retry(attempts=5))
async def wire(call: Call, cents: Critical[int]) -> str:
    """Pay under a key that is forgotten after an hour."""
    return await call.get(line).pay(call, "wire", cents, remembers=True)  # type: ignore[no-any-return]


@tool(effect="irreversible", idempotency=Key(business="cents"))
async def order(call: Call, cents: Critical[int]) -> str:
    """Pay once for each amount."""
    return await call.get(line).pay(call, "order", cents, remembers=True)  # type: ignore[no-any-return]


@tool(effect="reversible")
async def reserve(call: Call, cents: Critical[int]) -> str:
    """Reserve an amount."""
    return await call.get(line).pay(call, "reserve", cents)  # type: ignore[no-any-return]


TOOLS: Final[Mapping[str, Tool[..., Any]]] = {
    t.name: t for t in (pay, post, ring, wire, order, reserve)
}  # fmt: skip
# What the remote can be asked about, and for how many seconds it remembers a key where not for ever.
ASKED: Final = frozenset({post.name})
WINDOWS: Final[Mapping[str, float]] = {wire.name: HOUR.total_seconds()}


def told(attempted: Attempted[Any]) -> str:
    """What a flow was told of a call, in a word."""
    return str(attempted.value) if isinstance(attempted, Executed) else f"{attempted.reason}"


clerk = agent("clerk", instructions="Pay what is asked for.", tools=[price, pay], limits=Limits(steps=6))
porter = agent("porter", instructions="Pay what is asked for.", tools=[ring, pay], may_ask=False)


@flow
async def one(run: Run, name: str) -> list[str]:
    """One call."""
    return [told(await run.attempt(TOOLS[name], cents=5))]


@flow
async def much(run: Run, name: str) -> list[str]:
    """One call that needs people."""
    return [told(await run.attempt(TOOLS[name], cents=500))]


@flow
async def looks(run: Run, cents: int) -> list[str]:
    """Reads, of which one leaves the house, and a payment that depends on them."""
    first = await run.call(price, cents=cents)
    second = await run.call(rate, cents=first)
    return [told(await run.attempt(pay, cents=second))]


@flow
async def abreast(run: Run, cents: int) -> list[str]:
    """Branches of every class at once."""
    found = await run.gather(
        run.attempt(pay, cents=cents), run.attempt(post, cents=cents), run.attempt(ring, cents=cents)
    )
    return [told(each) for each in found]


@flow
async def asks_abreast(run: Run, cents: int) -> list[str]:
    """Branches of which one waits for people, and a step after them."""
    found = await run.gather(run.attempt(pay, cents=500), run.attempt(post, cents=cents))
    return [*map(told, found), told(await run.attempt(reserve, cents=cents))]


@flow
async def inner(run: Run, cents: int) -> list[str]:
    """What a flow inside a flow does."""
    return [told(await run.attempt(pay, cents=cents)), told(await run.attempt(ring, cents=cents))]


@flow
async def outer(run: Run, cents: int) -> list[str]:
    """A flow inside a flow, and a step after it."""
    return [*await run.flow(inner, cents), told(await run.attempt(post, cents=cents))]


@flow
async def waits(run: Run, cents: int) -> list[str]:
    """A sleep, a time limit that does not strike, and steps between them."""
    first = told(await run.attempt(pay, cents=cents))
    await run.sleep(HOUR)
    second = await run.timeout(run.attempt(post, cents=cents), 24 * HOUR)
    return [first, "" if second is None else told(second), str(run.now().year)]


@flow
async def hurries(run: Run, cents: int) -> list[str]:
    """A time limit that strikes while somebody is waited for."""
    asked = await run.timeout(run.attempt(pay, cents=500), HOUR)
    return ["timeout" if asked is None else told(asked), told(await run.attempt(ring, cents=cents))]


@flow
async def overtakes(run: Run, cents: int) -> list[str]:
    """A call that may lose against its time limit while it is under way: the run does not wait for it."""
    first = await run.timeout(run.attempt(post, cents=cents), timedelta(seconds=5))
    return ["timeout" if first is None else told(first), told(await run.attempt(pay, cents=cents))]


@flow
async def outruns(run: Run, cents: int) -> list[str]:
    """Calls at once that may lose against one time limit, begun or not."""
    both = run.gather(run.attempt(post, cents=cents), run.attempt(ring, cents=cents))
    first = await run.timeout(both, timedelta(seconds=5))
    ended = ["timeout"] if first is None else [told(each) for each in first]
    return [*ended, told(await run.attempt(pay, cents=cents))]


@flow
async def spends(run: Run, cents: int) -> list[str]:
    """More payments at once than the run's budget holds."""
    found = await run.gather(*[run.attempt(pay, cents=cents + n) for n in range(3)])
    return [told(each) for each in found]


@flow
async def questions(run: Run, cents: int) -> list[str]:
    """A question to people, and what follows from it."""
    said = await run.ask("How much?", int, to="finance", within=4 * HOUR, default=0)
    return [told(await run.attempt(pay, cents=said))] if said else ["nothing"]


@flow
async def turns(run: Run, left: int) -> list[str]:
    """A run in several generations."""
    await run.attempt(pay, cents=left)
    if left > 1:
        run.continue_as(left - 1)
    return [told(await run.attempt(reserve, cents=5))]


@flow
async def delegates(run: Run, cents: int) -> list[str]:
    """An agent, and a step after it."""
    return [await run.agent(clerk, f"pay {cents}"), told(await run.attempt(ring, cents=cents))]


@flow
async def twice(run: Run, cents: int) -> list[str]:
    """The same order twice: the business key lets one through."""
    first = told(await run.attempt(order, cents=cents))
    return [first, told(await run.attempt(order, cents=cents))]
