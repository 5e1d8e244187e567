"""Roles confine by policy: what an agent of each role may do on the starter policy, whoever it works for."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from flyball import Call, Completed, Principal, agent, tool
from flyball.testing import Lab, Say, propose
from flyball.testing.script import handoff

KIM = Principal("user:kim", groups=frozenset({"owner"}))
EFFECTLESS = ("planner", "validator", "router", "retriever")


@tool(effect="read")
async def find(call: Call, what: str) -> str:
    """Find something."""
    return what


@tool(effect="reversible")
async def keep(call: Call, what: str) -> str:
    """Keep something."""
    return what


planner = agent("planner", role="planner", instructions="x", tools=[find, keep])
validator = agent("validator", role="validator", instructions="x", tools=[find, keep])
executor = agent("executor", role="executor", instructions="x", tools=[find, keep])
router = agent("router", role="router", instructions="x", tools=[find, keep], handoffs=[executor])
retriever = agent("retriever", role="retriever", instructions="x", tools=[find, keep, executor], handoffs=[executor])
AGENTS = {one.name: one for one in (planner, validator, executor, router, retriever)}


def starter(**models: Any) -> Lab:
    return Lab(by=KIM, models=models, project=[sys.modules[__name__]])


@pytest.mark.promise("gate-roles-confine")
@pytest.mark.parametrize("role", AGENTS)
def test_every_role_reads(role: str) -> None:
    assert starter().decide(find, what="it", through=[role]).outcome == "allow"


@pytest.mark.promise("gate-roles-confine")
@pytest.mark.parametrize("role", EFFECTLESS)
def test_who_plans_judges_routes_or_fetches_has_no_effects_whoever_approves(role: str) -> None:
    said = starter().decide(keep, what="it", through=[role], approvals=["owner"])
    assert said.outcome == "deny" and said.because[0].startswith("starter-r")


@pytest.mark.promise("gate-roles-confine")
def test_an_executor_does_what_policy_permits() -> None:
    assert starter().decide(keep, what="it", through=["executor"]).groups == ("owner",)
    assert starter().decide(keep, what="it", through=["executor"], approvals=["owner"]).outcome == "allow"


@pytest.mark.promise("gate-roles-confine")
@pytest.mark.parametrize("through", [["planner", "executor"], ["executor", "planner"]])
def test_another_role_in_the_chain_frees_nobody(through: list[str]) -> None:
    assert starter().decide(keep, what="it", through=through, approvals=["owner"]).outcome == "deny"


@pytest.mark.promise("gate-roles-confine")
@pytest.mark.parametrize("way", [propose, handoff])
async def test_who_fetches_has_nobody_else_act_and_who_routes_may_hand_over(way: Any) -> None:
    log = starter(retriever=[way(executor, "do it"), Say("I may not")], executor=[Say("done")])
    told = await log.run(retriever, "x", key="k")
    assert isinstance(told, Completed) and told.value == "I may not"
    log = starter(router=[handoff(executor, "do it")], executor=[Say("done")])
    routed = await log.run(router, "x")
    assert isinstance(routed, Completed) and routed.value == "done"


@pytest.mark.promise("gate-roles-confine")
def test_a_policy_of_the_project_speaks_of_roles() -> None:
    text = """@id("all") permit (principal is User, action, resource);
    @id("reads") permit (principal is Agent, action in Action::"read", resource);
    @id("executors-keep") permit (principal in Role::"executor", action == Action::"keep", resource);"""
    lab = Lab(by=KIM, policies=text, project=[sys.modules[__name__]])
    told = {name: lab.decide(keep, what="it", through=[name]).outcome for name in AGENTS}
    assert told == {name: "allow" if name == "executor" else "deny" for name in AGENTS}
