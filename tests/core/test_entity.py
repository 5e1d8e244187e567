from __future__ import annotations

from flyball.core.call import Call
from flyball.core.entity import Entity, entity
from flyball.core.policy import Uid


@entity("Customer", attributes={"region": "string"})
async def customer(call: Call, id: str) -> Entity:
    return Entity({"region": "eu"}, parents=[("Account", "a-1")])


@entity("Order")
async def order(call: Call, id: str) -> Entity:
    return Entity({})


def test_an_entity_type_is_an_inert_value_with_its_declared_attributes() -> None:
    assert (customer.name, customer.attributes, repr(customer)) == (
        "Customer",
        {"region": "string"},
        "<entity Customer>",
    )
    assert order.attributes == {}


def test_parents_are_structured_uids() -> None:
    parents = [("Account", 'a"::b'), ("Region", "eu")]
    assert Entity({}, parents=parents).uids() == (Uid("Account", 'a"::b'), Uid("Region", "eu"))
    assert Entity({}).uids() == () and Entity({}).as_of is None
