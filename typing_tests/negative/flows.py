"""A call that does not fit its tool, agent or flow is refused before it runs."""

from dataclasses import dataclass
from datetime import timedelta

from flyball import Agent, Blocked, Call, Executed, Failed, Limits, Run, agent, entity, flow, tool

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Order:
    id: str


@tool(effect="read")
async def look(call: Call, id: str) -> Order:
    return Order(id)


@tool(effect="irreversible")
def pay(call: Call, order: str, cents: int) -> bytes:
    return b""


clerk = agent("clerk", instructions="Advise.", input=str, output=Order)


@flow
async def inner(run: Run, order: Order) -> int:
    return 1


def add(tally: int, cents: int) -> int:
    return tally + cents


async def calls(run: Run[int], id: str) -> None:
    await run.call(pay, order=id, cent=1)  # error
    await run.call(pay, order=id, cents="1")  # error
    await run.call(pay, id)  # error
    await run.call(pay, id, 1, 2)  # error
    await run.call(look.function, id)  # error
    await run.call(clerk, id)  # error
    await run.attempt(look, 5)  # error
    await run.agent(clerk, 5)  # error
    await run.handoff(clerk, 5)  # error
    await run.handoff(look, id)  # error
    await run.signal("quality", "0.5")  # error
    await run.agent(inner, Order(id))  # error
    await run.flow(inner, id)  # error
    await run.flow(clerk, id)  # error
    await run.update(add, "5")  # error
    await run.update(add)  # error
    await run.update(len)  # error


async def results(run: Run, id: str) -> None:
    text: str = await run.call(look, id)  # error
    unawaited: Order = run.call(look, id)  # error
    pair: tuple[Order, str] = await run.gather(run.call(look, id), run.flow(inner, Order(id)))  # error
    surely: Executed[Order] = await run.attempt(look, id)  # error
    always: Order = await run.timeout(run.call(look, id), WEEK)  # error
    print(text, unawaited, pair, surely, always)


async def waits(run: Run, id: str) -> None:
    await run.ask("Sure?", bool, within=WEEK, default=False)  # error
    await run.ask("Sure?", bool, to="sales", default=False)  # error
    await run.ask("Sure?", bool, to="sales", within=WEEK)  # error
    await run.sleep(5)  # error
    await run.until(WEEK)  # error
    await run.gather(look, look)  # error


async def state(run: Run, typed: Run[int]) -> None:
    run.state = None  # error
    text: str = typed.state  # error
    print(text)


def unmatched(told: Executed[int] | Blocked | Failed) -> int:
    return told.value  # error


@flow  # error
def sync(run: Run, id: str) -> int:
    return 1


@flow(ensures=[pay.function])  # error
async def promises(run: Run, id: str) -> int:
    return 1


@entity("Order")  # error
async def loads(call: Call, id: str) -> Order:
    return Order(id)


boss = agent("boss", instructions="x", role="boss")  # error
taker = agent("taker", instructions="x", handoffs=[look])  # error
toolless = agent("clerk", instructions="x", tools=[look.function])  # error
wrong: Agent[str, int] = agent("clerk", instructions="x", input=str, output=Order)  # error
dear = Limits(usd=0.05)  # error
few = Limits(steps="3")  # error
