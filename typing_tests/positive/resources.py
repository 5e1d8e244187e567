"""A resource gives what it yields."""

from collections.abc import AsyncIterator
from typing import assert_type

from flyball import Call, Resource, Secret, Tenant, resource, tool


class Shop:
    def __init__(self, url: str, key: Secret) -> None:
        self.url, self.key = url, key.reveal()

    async def refund(self, order: str) -> str:
        return order


class Double(Shop):
    def __init__(self) -> None:
        self.paid: list[str] = []


@resource(scope="tenant")
async def shop(tenant: Tenant) -> AsyncIterator[Shop]:
    yield Shop(tenant.settings["url"], tenant.secret("shop"))


@resource()
async def numbers(tenant: Tenant) -> AsyncIterator[list[int]]:
    yield [1]


@tool(effect="irreversible", idempotency="key")
async def refund(call: Call, order: str) -> str:
    assert_type(call.get(shop), Shop)
    assert_type(call.get(numbers), list[int])
    return await call.get(shop).refund(order)


def values() -> None:
    assert_type(shop, Resource[Shop])
    shop.use(Double())
