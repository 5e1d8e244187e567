"""What a tool is handed: open resources, secrets that nothing prints, a listener."""

from __future__ import annotations

import copy
import pickle
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from flyball.core.call import Call, Secret, Tenant, resource
from flyball.core.identity import Principal
from flyball.core.span import span_id, trace_id, traceparent


@resource(scope="tenant")
async def shop(tenant: Tenant) -> AsyncIterator[str]:
    yield tenant.id


@resource()
async def clock(tenant: Tenant) -> AsyncIterator[int]:
    yield 1


class Reached:
    def __init__(self) -> None:
        self.told: list[tuple[str, float | None]] = []

    def get(self, resource: Any, /) -> Any:
        return f"open {resource.name}"

    def secret(self, name: str, /) -> Secret:
        return Secret(name, "s3cret")

    @property
    def artifacts(self) -> Any:
        return "shelf"

    def progress(self, message: str, done: float | None, /) -> None:
        self.told.append((message, done))


def call(reach: Reached) -> Call:
    return Call(
        key="k", principal=Principal("user:kim"), tenant="acme", run="r-1", attempt=1,
        deadline=datetime(2030, 1, 1, tzinfo=UTC), reach=reach,
    )  # fmt: skip


def test_a_call_reaches_resources_secrets_and_listeners() -> None:
    reach = Reached()
    call(reach).progress("half", 0.5)
    assert call(reach).get(shop) == "open shop" and reach.told == [("half", 0.5)]
    assert call(reach).secret("smtp").reveal() == "s3cret" and str(call(reach).artifacts) == "shelf"


def test_a_call_says_where_what_it_does_elsewhere_belongs() -> None:
    own = msgspec.structs.replace(call(Reached()), path="2.1")
    assert own.traceparent == traceparent(trace_id("acme", "r-1"), span_id("acme", "r-1", "2.1", 1))
    said = msgspec.structs.replace(own, trace="a" * 32)
    assert said.traceparent == traceparent("a" * 32, span_id("acme", "r-1", "2.1", 1))


@pytest.mark.promise("api-secrets-are-handles")
@pytest.mark.parametrize("show", [str, repr, "{}".format, "%s".__mod__, lambda s: repr([s])])
def test_a_secret_is_never_printed(show: Any) -> None:
    assert "s3cret" not in show(Secret("smtp", "s3cret"))


@pytest.mark.promise("api-secrets-are-handles")
@pytest.mark.parametrize("leave", [pickle.dumps, copy.copy, copy.deepcopy, msgspec.json.encode, msgspec.to_builtins])
def test_a_secret_does_not_leave_the_process(leave: Any) -> None:
    with pytest.raises(TypeError):
        leave(Secret("smtp", "s3cret"))


def test_a_tenant_gives_the_secrets_it_was_given() -> None:
    assert Tenant("acme", secrets=lambda name: Secret(name, "x")).secret("smtp").reveal() == "x"
    with pytest.raises(LookupError, match="smtp"):
        Tenant("acme").secret("smtp")


async def test_a_resource_is_an_inert_value_until_it_is_opened() -> None:
    assert (shop.name, shop.scope, shop.__module__, repr(shop)) == (
        "shop",
        "tenant",
        __name__,
        "<resource shop per tenant>",
    )
    assert clock.scope == "process"
    assert [opened async for opened in shop.function(Tenant("acme"))] == ["acme"]


@pytest.mark.promise("api-resources-are-values")
def test_a_test_puts_its_own_value_in_a_resources_place() -> None:
    used = shop.use("a double")
    assert (used.resource, used.value) == (shop, "a double")
