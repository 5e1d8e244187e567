"""Every `run.*` is typed by the value it is given."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Literal, NoReturn, assert_type
from uuid import UUID

from flyball import (
    Agent,
    Blocked,
    Call,
    Executed,
    Failed,
    Flow,
    Limits,
    Principal,
    Run,
    Step,
    agent,
    entity,
    flow,
    prompt,
    tool,
)
from flyball import Entity as Loaded

WEEK = timedelta(days=7)


@dataclass(frozen=True)
class Order:
    id: str


@dataclass(frozen=True)
class Advice:
    cents: int


@dataclass(frozen=True)
class Tally:
    paid: int = 0


@tool(effect="read")
async def look(call: Call, id: str) -> Order:
    return Order(id)


@tool(effect="irreversible", idempotency="key")
def pay(call: Call, order: str, cents: int, *, note: str = "") -> bytes:
    return b""


@entity("Order", attributes={"paid": "integer"})
async def orders(call: Call, id: str) -> Loaded:
    return Loaded({"paid": 1}, parents=[("Shop", "s")], as_of=datetime(2030, 1, 1, tzinfo=UTC))


clerk = agent("clerk", instructions="Advise.", role="planner", tools=[look, pay], input=str, output=Advice)
plain = agent("plain", instructions="Answer.", limits=Limits(steps=3, seconds=9.5, usd="0.05"))
team = agent("team", instructions="Lead.", tools=[look, clerk], handoffs=[plain], about="It leads.")
router = agent("router", instructions=prompt("flows.py"), role="router", output=Literal["a", "b"])


@flow
async def inner(run: Run, order: Order) -> int:
    return len(order.id)


def add(tally: Tally, cents: int, *, times: int = 1) -> Tally:
    return Tally(tally.paid + cents * times)


@flow(state=Tally, ensures=[pay])
async def handle(run: Run[Tally], id: str) -> bytes:
    step: Step[Order] = run.call(look, id)
    assert_type(await step, Order)
    assert_type(await run.call(look, id=id), Order)
    assert_type(await run.call(pay, "o-1", 5, note="x"), bytes)
    assert_type(await run.agent(clerk, id), Advice)
    assert_type(await run.handoff(clerk, id), Advice)
    await run.signal("quality", 0.5)
    assert_type(await run.agent(plain, {"any": "thing"}), str)
    assert_type(await run.flow(inner, Order(id)), int)
    assert_type(await run.update(add, 5, times=2), Tally)
    assert_type(run.state, Tally)
    return await run.call(pay, order=id, cents=run.state.paid)


@flow
async def together(run: Run, id: str) -> None:
    two = await run.gather(run.call(look, id), run.agent(clerk, id))
    assert_type(two, tuple[Order, Advice])
    a, b, c = await run.gather(run.call(look, id), run.agent(plain, id), run.flow(inner, Order(id)))
    assert_type((a, b, c), tuple[Order, str, int])
    one = run.call(look, id)
    assert_type(await run.gather(one, one, one, one, one, one, one), tuple[Order, ...])
    assert_type(await run.gather(*[run.call(look, i) for i in "abc"]), tuple[Order, ...])


@flow
async def tried(run: Run, id: str) -> str:
    told = await run.attempt(look, id)
    assert_type(told, Executed[Order] | Blocked | Failed)
    match told:
        case Executed(value=order):
            assert_type(order, Order)
            return order.id
        case Blocked(reason=reason):
            return reason
        case Failed() as failed:
            return failed.message


@flow
async def waits(run: Run, id: str) -> None:
    choice: Literal["a", "b"] = await run.ask("Which?", Literal["a", "b"], to="sales", within=WEEK, default="a")
    assert_type(await run.ask(choice, Order, to="sales", about={"id": id}, within=WEEK, default=Order(id)), Order)
    assert_type(await run.ask("Sure?", bool, to="user:kim", within=WEEK, default=False), bool)
    assert_type(await run.timeout(run.call(look, id), WEEK), Order | None)
    assert_type(await run.sleep(WEEK), None)
    assert_type(await run.until(datetime(2030, 1, 1, tzinfo=UTC)), None)


@flow
async def sees(run: Run, id: str) -> str:
    assert_type(run.now(), datetime)
    assert_type(run.random(), Random)
    assert_type(run.uuid(), UUID)
    assert_type(run.changed("reword"), bool)
    assert_type(run.principal, Principal)
    assert_type(run.left, Limits)
    assert_type(run.state, None)
    return f"{run.id} {run.tenant}"


def again(run: Run, id: str) -> NoReturn:
    run.continue_as(id)


def values() -> None:
    assert_type(clerk, Agent[str, Advice])
    assert_type(router, Agent[Any, Literal["a", "b"]])
    assert_type(handle, Flow[str, bytes])
    assert_type(inner, Flow[Order, int])


def never(run: Run) -> NoReturn:
    inner(run, Order("1"))
