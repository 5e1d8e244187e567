"""Names in policies that the project does not have, and where they may stand all the same."""

from __future__ import annotations

import pytest

from flyball.adapters.policy_cedar.engine import CedarEngine
from flyball.core.effect import Action
from flyball.core.policy import Layer, PolicyError, Source

BUYER = Action(name="buyer", kind="agent", effect="read")
MISSPELT = '@id("a") permit (principal == Agent::"byer", action, resource);'


def check(text: str, *actions: Action, layer: Layer = "project") -> None:
    CedarEngine().compile(Source(layer=layer, name="x", files={"x.cedar": text}), actions, {})


@pytest.mark.parametrize(
    "text",
    [
        MISSPELT,
        '@id("a") permit (principal in Agent::"byer", action, resource);',
        '@id("a") permit (principal is Agent in Agent::"byer", action, resource);',
        '@id("a") permit (principal, action, resource) when { principal == Agent::"byer" };',
        '@id("a") permit (principal, action, resource) unless { [Agent::"byer"].contains(principal) };',
    ],
)
def test_a_misspelt_agent_is_found_wherever_it_stands(text: str) -> None:
    with pytest.raises(PolicyError, match=r"x.cedar:1 a: there is no agent byer \(buyer\). Did you mean buyer\?"):
        check(text, BUYER)


def test_a_name_that_is_there_is_no_finding() -> None:
    check('@id("a") permit (principal == Agent::"buyer", action, resource == Agent::"buyer");', BUYER)


def test_before_there_is_any_agent_and_in_the_platform_layer_names_are_free() -> None:
    check(MISSPELT)
    check(MISSPELT, BUYER, layer="platform")
