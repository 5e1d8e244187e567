"""Decide and policy cases: what the gate would say, without a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import pytest

from flyball import Call, Critical, Entity, FlyballError, Principal, Ref, Tenant, agent, entity, resource, tool
from flyball.testing import Lab
from flyball.testing.decide import at_once

KIM = Principal("user:kim", groups=frozenset({"sales"}))
POLICY = """
@id("sales") permit (principal in Group::"sales", action, resource);
@id("agents") permit (principal is Agent, action, resource);
@id("closed") @reason("closed") forbid (principal, action == Action::"ship", resource is Shop) when { resource.closed };
@id("strangers") @reason("stranger") forbid (principal, action == Action::"ship", resource)
unless { context.origin.to == "request" };
@id("many") @require_approval("boss") @reason("many") forbid (principal, action == Action::"ship", resource)
when { context.input.count > 10 } unless { context.approvals.contains("boss") };
@id("again") @reason("again") forbid (principal, action == Action::"ship", resource)
when { context.run.denied.contains("ship") };
@id("no-robots") @reason("robot") forbid (principal is Agent, action == Action::"ship", resource)
when { context.input.count > 3 };
"""


@resource()
async def shops(tenant: Tenant) -> AsyncIterator[dict[str, bool]]:
    yield {"s1": False, "s2": True}


@entity("Shop", attributes={"closed": "boolean"})
async def shop(call: Call, key: str) -> Entity:
    return Entity({"closed": call.get(shops)[key]})


@tool(effect="irreversible")
async def ship(call: Call, shop: Annotated[str, Ref("Shop")], to: Critical[str], count: int = 1, note: str = "") -> str:
    """Send something."""
    raise AssertionError("nothing is done")


robot = agent("robot", instructions="Ship.", tools=[ship])
TO = {"to": "request"}


def lab() -> Lab:
    return Lab(policies=POLICY, by=KIM)


@pytest.mark.promise("gate-defaults-before-policy")
def test_what_is_allowed_is_allowed_with_its_defaults() -> None:
    verdict = lab().decide(ship, shop="s1", to="me", origins=TO)
    assert verdict.outcome == "allow" and verdict.arguments == {"shop": "s1", "to": "me", "count": 1, "note": ""}


def test_origins_are_unknown_unless_said() -> None:
    verdict = lab().decide(ship, shop="s1", to="me")
    assert verdict.outcome == "deny" and verdict.because == ("strangers",)


@pytest.mark.promise("gate-resource-is-the-business-object")
def test_the_entity_is_loaded() -> None:
    assert lab().decide(ship, shop="s2", to="me", origins=TO).because == ("closed",)


@pytest.mark.promise("gate-trap-entity-unresolved")
def test_an_entity_that_cannot_be_loaded_is_denied() -> None:
    verdict = lab().decide(ship, shop="s3", to="me", origins=TO)
    assert verdict.outcome == "deny" and verdict.reason == "entity_unresolved" and "KeyError" in verdict.errors[0]


def test_approvals_are_asked_for_or_were_given() -> None:
    asked = lab().decide(ship, shop="s1", to="me", count=11, origins=TO)
    assert asked.outcome == "require_approval" and asked.groups == ("boss",) and asked.because == ("many",)
    given = lab().decide(ship, shop="s1", to="me", count=11, origins=TO, approvals=["boss"])
    assert given.outcome == "allow" and given.groups == ()


@pytest.mark.promise("gate-every-link-must-allow")
def test_every_link_of_the_chain_counts() -> None:
    assert lab().decide(ship, shop="s1", to="me", count=4, origins=TO).outcome == "allow"
    assert lab().decide(ship, shop="s1", to="me", count=4, origins=TO, through=["robot"]).because == ("no-robots",)
    assert lab().decide(ship, shop="s1", to="me", origins=TO, by=Principal("user:eve")).outcome == "deny"


def test_an_agent_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(FlyballError, match="no agent"):
        lab().decide(ship, shop="s1", to="me", through=["rowboat"])


def test_what_the_run_was_denied_counts() -> None:
    assert lab().decide(ship, shop="s1", to="me", origins=TO, denied=["ship"]).because == ("again",)


def test_arguments_that_do_not_fit_are_denied() -> None:
    verdict = lab().decide(ship, shop="s1", to=5)
    assert verdict.outcome == "deny" and verdict.reason == "invalid_proposal"


async def test_it_can_be_asked_while_a_loop_runs() -> None:
    assert lab().decide(ship, shop="s1", to="me", origins=TO).outcome == "allow"
    with pytest.raises(FlyballError):
        lab().decide(ship, shop="s1", to="me", through=["rowboat"])


def test_at_once_leaves_the_loop_of_the_thread_alone() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert at_once(answer()) == 42
