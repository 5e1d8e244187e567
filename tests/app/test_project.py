"""A project is the inert values of the modules that it names; everything else is refused in words."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from flyball import Call, FlyballError, Run, agent, flow, tool
from flyball.app.project import collect, load, of_value

TOOLS = "from flyball import Call, tool\n@tool(effect='read')\nasync def look(call: Call) -> int:\n    return 1\n"


@tool(effect="read")
async def look(call: Call) -> int:
    """Look."""
    return 1


clerk = agent("clerk", instructions="Look.", tools=[look])


@flow
async def looking(run: Run, n: int) -> int:
    return await run.call(look)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A project's directory; the path and the modules are as they were afterwards."""
    path, modules = list(sys.path), set(sys.modules)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def refused(code: str, folder: Path, **files: str) -> FlyballError:
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    with pytest.raises(FlyballError) as caught:
        load("p", folder, list(files) or ["none_such"])
    assert caught.value.code == code
    return caught.value


def module(**values: object) -> ModuleType:
    made = ModuleType("made")
    vars(made).update(values)
    return made


@pytest.mark.promise("api-project-is-its-modules")
def test_tools_agents_and_flows_of_the_named_modules_are_the_project() -> None:
    project = collect("p", "/", [sys.modules[__name__]])
    assert project.known(look) is look and project.known(clerk) is clerk and project.known(looking) is looking
    assert sorted(action.name for action in project.actions) == ["clerk", "look", "looking"]


def test_a_tool_that_only_an_agent_holds_is_in_the_project() -> None:
    assert collect("p", "/", [module(clerk=clerk)]).tools == {"look": look}


@pytest.mark.promise("api-project-is-its-modules")
def test_a_value_that_no_named_module_holds_is_refused_with_the_module_to_add() -> None:
    project = collect("p", "/", [module(clerk=clerk)])
    with pytest.raises(FlyballError) as caught:
        project.known(looking)
    assert caught.value.code == "not_in_project" and caught.value.fix == f'add "{__name__}" to modules in flyball.toml'


def test_two_values_of_one_name_are_refused_and_one_value_in_two_modules_is_one() -> None:
    other = agent("clerk", instructions="Another.")
    other_look = tool(effect="read", name="look")(looking_too)
    assert collect("p", "/", [module(a=look), module(b=look)]).tools == {"look": look}
    with pytest.raises(FlyballError, match="two values are called 'look'"):
        collect("p", "/", [module(a=look), module(b=other_look, c=other)])


async def looking_too(call: Call) -> int:
    return 2


def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for(folder: Path) -> None:
    error = refused("module_not_found", folder)
    assert "none_such" in error.what and str(folder) in error.why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def f(:\n", "SyntaxError"),
        ("x = 1\nraise ValueError('no database')\n", "ValueError: no database"),
        ("import no_such_library_anywhere\n", "no_such_library_anywhere"),
        ("import sys\nsys.exit('usage')\n", "SystemExit: usage"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_says_where(folder: Path, text: str, why: str) -> None:
    error = refused("module_failed", folder, broken_module=text)
    assert "broken_module" in error.what and why in error.why


def test_what_a_definition_says_of_itself_is_said_as_it_is(folder: Path) -> None:
    text = "from flyball import tool\n@tool(effect='reed')\ndef f(call): ...\n"
    (folder / "misspelt.py").write_text(text)
    with pytest.raises(FlyballError, match="read"):
        load("p", folder, ["misspelt"])


@pytest.mark.promise("api-import-is-inert")
def test_importing_a_project_does_nothing_but_make_values(folder: Path) -> None:
    (folder / "inert_tools.py").write_text(TOOLS)
    before = {path.name for path in folder.iterdir()}
    assert list(load("p", folder, ["inert_tools"]).tools) == ["look"]
    assert {path.name for path in folder.iterdir()} - before <= {"__pycache__"}


def test_two_projects_may_have_modules_of_one_name(folder: Path) -> None:
    found = []
    for each in ("one", "two"):
        (folder / each).mkdir()
        (folder / each / "namesake.py").write_text(TOOLS.replace("look", f"look_{each}"))
        found += list(load("p", folder / each, ["namesake"]).tools)
    assert found == ["look_one", "look_two"]


def test_the_module_of_a_value_is_found_for_who_has_no_flyball_toml() -> None:
    assert of_value(looking) is sys.modules[__name__] is of_value(clerk)
    with pytest.raises(FlyballError, match="is in no module"):
        of_value(agent("nowhere", instructions="x"))
