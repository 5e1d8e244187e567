"""A resource is an async generator of one tenant, and gives only what it yields."""

from collections.abc import AsyncIterator

from flyball import Call, Tenant, resource


@resource(scope="tenant")
async def shop(tenant: Tenant) -> AsyncIterator[int]:
    yield 1


@resource(scope="galaxy")  # error
async def scopeless(tenant: Tenant) -> AsyncIterator[int]:
    yield 1


@resource()  # error
async def not_a_generator(tenant: Tenant) -> int:
    return 1


@resource()  # error
async def of_everybody() -> AsyncIterator[int]:
    yield 1


def asks(call: Call) -> None:
    text: str = call.get(shop)  # error
    call.get("shop")  # error
    call.get(scopeless.function)  # error
    secret: str = call.secret("smtp")  # error
    call.key = "another"  # error
    print(text, secret)


shop.use("a double")  # error
