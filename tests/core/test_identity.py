"""Principals are structured, and a chain of authority only ever grows, to a limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.identity import MAX_CHAIN, Authority, Link, Principal, authority_of

KIM = Authority(principal=Principal("user:kim"))


@pytest.mark.parametrize(("id", "kind"), [("user:kim", "user"), ("service:a:b", "service")])
def test_the_kind_stands_before_the_first_colon(id: str, kind: str) -> None:
    assert Principal(id).kind == kind


@pytest.mark.promise("gate-principals-are-structured")
@pytest.mark.parametrize("id", ["", "kim", "user:", ":kim", " user:kim", "user:kim ", "user:k\nim", "user:k\u202eim"])
def test_what_is_no_id_is_no_principal(id: str) -> None:
    for make in (lambda: Principal(id), lambda: Principal("service:x", on_behalf_of=id)):
        with pytest.raises(FlyballError) as caught:
            make()
        assert caught.value.code == "bad_principal"


@pytest.mark.promise("gate-principals-are-structured")
@pytest.mark.parametrize("tenant", ["", "a/b", " a", "a\n"])
def test_what_could_be_two_tenants_is_refused(tenant: str) -> None:
    with pytest.raises(FlyballError) as caught:
        Principal("user:kim", tenant=tenant)
    assert caught.value.code == "bad_tenant"


@pytest.mark.promise("gate-principals-are-structured")
def test_a_principal_is_of_one_tenant_and_is_compared_by_all_of_it() -> None:
    assert Principal("user:kim") != Principal("user:kim", tenant="acme") != Principal("user:kim", issuer="key")


@pytest.mark.promise("gate-chain-only-grows")
@given(st.lists(st.sampled_from(["clerk", "writer"]), max_size=MAX_CHAIN))
def test_an_agent_is_added_at_the_inner_end_and_nobody_is_lost(agents: list[str]) -> None:
    chain = KIM
    for name in agents:
        chain = chain.through(name, "executor")
    assert chain.principal == KIM.principal
    assert chain.links == tuple(Link(agent=name, role="executor") for name in agents)


@pytest.mark.promise("gate-chain-only-grows")
def test_a_chain_ends_somewhere() -> None:
    chain = KIM
    for _ in range(MAX_CHAIN):
        chain = chain.through("clerk", "executor")
    with pytest.raises(FlyballError, match="more than 8 agents") as caught:
        chain.through("clerk", "executor")
    assert caught.value.code == "chain_too_long"


def test_an_agent_on_somebodys_behalf_is_a_link_of_its_own() -> None:
    kim = Principal("user:kim")
    assert authority_of(kim).links == ()
    (link,) = authority_of(Principal("user:kim", agent="bot", on_behalf_of="user:noor")).links
    assert link.agent == "bot"
