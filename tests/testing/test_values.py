"""The project of a Lab is found from the values that a test passes."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from flyball import Call, Completed, Flow, FlyballError, Run, agent, flow, tool
from flyball.testing import Say, propose
from flyball.testing.engine import cedar
from flyball.testing.values import project_of
from tests.runtime.till import drawer, look, pay, scripted

THIS = sys.modules[__name__]


def local() -> tuple[Any, Any, Flow[int, str]]:
    @tool(effect="read")
    async def weigh(call: Call, n: int) -> int:
        """Weigh."""
        return n

    scales = agent("scales", instructions="Weigh.", tools=[weigh, look])

    async def through(run: Run, n: int) -> str:
        return await run.agent(scales, str(n))

    @flow
    async def weighing(run: Run, n: int) -> str:
        return await through(run, await run.call(weigh, n))

    return weigh, scales, weighing


def test_the_modules_of_what_is_passed_and_of_what_it_names_are_the_project() -> None:
    project = project_of("lab", [pay], [])
    assert {"look", "pay", "ring", "post"} <= set(project.tools) and drawer.name == "drawer"


def test_named_modules_are_the_whole_project() -> None:
    assert set(project_of("lab", [], [THIS]).tools) == {"look", "pay"}


def test_the_same_values_are_the_same_project() -> None:
    assert project_of("lab", [pay], []) is project_of("lab", [pay], [])


def test_what_a_test_makes_inside_itself_is_found_through_its_closures() -> None:
    weigh, scales, weighing = local()
    project = project_of("lab", [weighing], [])
    assert project.flows["weighing"] is weighing
    assert project.agents["scales"] is scales and project.tools["weigh"] is weigh


def test_an_agent_that_stands_in_no_module_is_found_through_its_tools() -> None:
    weigh, scales, _ = local()
    project = project_of("lab", [scales], [])
    assert project.agents["scales"] is scales and project.tools["weigh"] is weigh and "pay" in project.tools


def test_a_value_stands_for_the_one_of_its_name() -> None:
    @tool(effect="read", name="pay")
    async def other(call: Call) -> int:
        """Pays nothing."""
        return 0

    assert project_of("lab", [other, look], []).tools["pay"] is other


def test_nothing_is_no_project() -> None:
    with pytest.raises(FlyballError, match="does not know its project"):
        project_of("lab", [], [])


async def test_values_that_come_later_join_the_project() -> None:
    weigh, _, weighing = local()
    bench = scripted(scales=[propose(weigh, 3), Say("three")])
    assert isinstance(await bench.run(weighing, 3, key="a"), Completed)
    _, lonely, _ = local()
    again = local()[2]
    await bench.restart(again, lonely)
    assert isinstance(await bench.run(again, 3, key="b"), Completed)


def test_the_engine_compiles_the_same_policies_once() -> None:
    project = project_of("lab", [pay], [])
    assert 'action "pay"' in cedar().schema(project.actions, project.attributes)
    assert "pay" in cedar().draft(pay.action)[0]
