from __future__ import annotations

import pytest

from flyball.core.effect import Action
from flyball.core.errors import FlyballError
from flyball.core.identity import Authority, Principal
from flyball.core.input_shape import input_shape
from flyball.core.policy import Node, Uid
from flyball.core.policy_subject import chain, entities_of, merged, principal_nodes, principal_uid, resource_uid

KIM = Principal("user:kim", tenant="acme", groups=frozenset({"b", "a"}), scopes=frozenset({"s"}))


@pytest.mark.promise("gate-principals-are-structured")
@pytest.mark.parametrize(("id", "uid"), [("user:kim", Uid("User", "kim")), ("service:a:b", Uid("Service", "a:b"))])
def test_a_principal_is_an_entity_under_its_own_name(id: str, uid: Uid) -> None:
    assert principal_uid(Principal(id)) == uid


def test_a_kind_without_a_type_is_refused() -> None:
    with pytest.raises(FlyballError, match="neither a user nor a service"):
        principal_uid(Principal("robot:x"))


def test_a_slice_has_every_parent_it_names() -> None:
    first, *rest = principal_nodes(KIM)
    assert first.parents == (Uid("Tenant", "acme"), Uid("Group", "a"), Uid("Group", "b"))
    assert {n.uid for n in rest} == set(first.parents)
    assert first.attrs == {"tenant": "acme", "issuer": "host", "assurance": "host", "scopes": ["s"]}


def test_on_behalf_of_is_an_attribute_where_there_is_somebody() -> None:
    nodes = principal_nodes(Principal("service:billing", on_behalf_of="user:kim"))
    assert nodes[0].attrs["on_behalf_of"] == "user:kim"


@pytest.mark.promise("gate-every-link-must-allow")
def test_every_link_of_the_chain_has_its_own_slice() -> None:
    links = chain(Authority(principal=KIM).through("clerk", "planner").through("sender", "executor"))
    assert [nodes[0].uid for nodes in links] == [Uid("User", "kim"), Uid("Agent", "clerk"), Uid("Agent", "sender")]
    assert links[1][0].parents == (Uid("Tenant", "acme"), Uid("Role", "planner"))
    assert links[1][0].attrs["on_behalf_of"] == "kim"


@pytest.mark.promise("gate-resource-is-the-business-object")
def test_the_resource_is_what_the_ref_names_else_the_action_itself() -> None:
    look = Action(name="look", refs={"id": "Customer"}, input_schema={"properties": {"id": {"type": "string"}}})
    shape = input_shape(look)
    assert resource_uid(look, shape, {"id": "c1"}) == Uid("Customer", "c1")
    assert resource_uid(look, shape, {"id": None}) == Uid("Tool", "look")
    model = Action(name="default", kind="model")
    assert resource_uid(model, input_shape(model), {}, "gpt") == Uid("Model", "gpt")


def test_merged_slices_have_each_entity_once() -> None:
    one, two = Node(uid=Uid("A", "1"), attrs={"x": 1}), Node(uid=Uid("A", "1"))
    assert merged((one,), (two, Node(uid=Uid("B", "1")))) == (one, Node(uid=Uid("B", "1")))


def test_the_slice_of_a_chain_is_the_very_same_for_the_same_question() -> None:
    chained, tool = Authority(principal=KIM).through("clerk", "planner"), Uid("Tool", "look")
    found = entities_of(chained, tool)
    assert found == merged(*chain(chained), (Node(uid=tool),))
    assert entities_of(Authority(principal=KIM).through("clerk", "planner"), tool) is found
    assert entities_of(Authority(principal=KIM), tool) != found
