"""Refund desk: the model advises, policy decides, finance signs, nobody is paid twice."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from shop import Shop, ShopDown  # your own client

from flyball import (
    Call,
    Completed,
    Critical,
    Flyball,
    Limits,
    NotDone,
    Principal,
    Run,
    Tenant,
    Trusted,
    Waiting,
    agent,
    flow,
    resource,
    tool,
)


@dataclass(frozen=True)
class Order:
    id: Trusted[str]  # vouched for by the system of record
    paid_cents: Trusted[int]
    complaint: str  # free text: untrusted, whoever owns the record


@dataclass(frozen=True)
class Advice:
    cents: int
    why: str


@resource(scope="tenant")  # opened when first needed, once per tenant, closed at the end
async def shop(tenant: Tenant) -> AsyncIterator[Shop]:
    async with Shop(tenant.settings["shop_url"], tenant.secret("shop")) as client:
        yield client


@tool(effect="read")
async def get_order(call: Call, order_id: str) -> Order:
    """Look an order up."""
    return Order(**await call.get(shop).order(order_id))


@tool(effect="irreversible", egress=True, idempotency="key")
async def refund(call: Call, order_id: Critical[str], cents: Critical[int]) -> str:
    """Pay money back to the customer."""
    try:
        return await call.get(shop).refund(order_id, cents, idempotency_key=call.key)
    except ShopDown as down:  # certainly not paid: Flyball may try again later.
        raise NotDone("the shop is down") from down  # Any other error: unknown, asked again with the same key.


clerk = agent(
    "clerk",
    role="planner",
    tools=[get_order],
    output=Advice,
    limits=Limits(steps=6, seconds=60, usd="0.05"),
    instructions="Read the order and its complaint, then advise a fair refund in cents.",
)


@flow(ensures=[refund])  # "completed" means: this refund is committed, whatever is claimed
async def handle(run: Run, order_id: str) -> str:
    advice = await run.agent(clerk, order_id)
    return await run.call(refund, order_id=order_id, cents=advice.cents)


async def main() -> None:
    kim = Principal("user:kim", tenant="acme", groups=frozenset({"support"}))
    fay = Principal("user:fay", tenant="acme", groups=frozenset({"finance"}))
    async with Flyball.open("flyball.toml") as app:
        run = await app.start(handle, "A-17", by=kim, key="ticket-7")  # the same key is the same run, for ever
        result = await run.result()
        if isinstance(result, Waiting):  # costs a row, survives a restart
            asked = result.pending[0]
            print(f"{asked.about} {asked.arguments} waits for {asked.groups} because of {asked.because}")
            if asked.kind == "approval":  # "unknown" instead: somebody must find out what became of it
                await app.approvals.approve(asked, by=fay, reason="the complaint is fair")
                result = await run.result()
        print(result.reason, result.value if isinstance(result, Completed) else result)
        print((await app.ledger.verify(tenant="acme")).summary)


if __name__ == "__main__":
    asyncio.run(main())
