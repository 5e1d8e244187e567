"""Project: the inert values found in the modules that `flyball.toml` names, matched by file and qualified name.

Nothing registers itself. A value that is not among them is refused with the module to add.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from flyball.core.agent import Agent
from flyball.core.call import Resource
from flyball.core.effect import Action
from flyball.core.entity import EntityType
from flyball.core.errors import FlyballError, said
from flyball.core.flow import Flow
from flyball.core.model import nearest
from flyball.core.source import Source
from flyball.core.tool import Tool

Value = Tool[..., Any] | Agent[Any, Any] | Flow[Any, Any] | EntityType | Source[Any] | Resource[Any]
KINDS = (Tool, Agent, Flow, EntityType, Source)


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project's values by name, and the modules they came from."""

    name: str
    directory: str
    tools: Mapping[str, Any]
    agents: Mapping[str, Any]
    flows: Mapping[str, Any]
    entities: Mapping[str, Any]
    sources: Mapping[str, Any]
    modules: tuple[Any, ...]

    @property
    def actions(self) -> list[Action]:
        """Everything policies can speak of: a tool's precondition is an action of its own."""
        own = [v.action for group in (self.tools, self.agents, self.flows) for v in group.values()]
        return own + [tool.precondition for tool in self.tools.values() if tool.precondition is not None]

    @property
    def attributes(self) -> dict[str, Mapping[str, object]]:
        """The declared attributes of each entity type."""
        return {name: dict(entity.attributes) for name, entity in self.entities.items()}

    def known(self, value: Any) -> Any:
        """The project's own value for one that a caller holds; raises `not_in_project` naming the module to add."""
        group = {Tool: self.tools, Agent: self.agents, Flow: self.flows}.get(type(value))
        found = group.get(value.name) if group is not None else None
        if found is None or not same(found, value):
            module = getattr(getattr(value, "function", value), "__module__", "its module")
            raise FlyballError(
                "not_in_project", f"{value!r} is not part of project {self.name}",
                fix=f'add "{module}" to modules in flyball.toml',
            )  # fmt: skip
        return found

    def tool(self, name: str) -> Any:
        """A tool by its name."""
        if name not in self.tools:
            near, there = nearest(name, self.tools), ", ".join(sorted(self.tools)) or "none"
            fix = f"Did you mean {near}?" if near else "Name its module under [project] modules in flyball.toml."
            raise FlyballError("unknown_tool", f"there is no tool {name!r}", f"there are: {there}", fix)
        return self.tools[name]


def same(a: Any, b: Any) -> bool:
    """Is it the same value, by file and qualified name? A module run as `__main__` is the same module."""
    if a is b:
        return True
    one, other = getattr(a, "function", None), getattr(b, "function", None)
    if one is None or other is None:
        return type(a) is type(b) and a.name == b.name
    return _place(one) == _place(other)


def _place(function: Any) -> tuple[str, str]:
    return function.__code__.co_filename, function.__qualname__


def load(name: str, directory: Path, modules: Iterable[str]) -> Project:
    """Imports the named modules with the project's directory first on the path, and collects their values."""
    place = str(directory)
    if place not in sys.path:
        sys.path.insert(0, place)
    return collect(name, place, [_imported(module, directory) for module in modules])


def _imported(name: str, directory: Path) -> ModuleType:
    main = sys.modules.get("__main__")
    file = directory.joinpath(*name.split(".")).with_suffix(".py")
    if main is not None and getattr(main, "__file__", None) and Path(str(main.__file__)).resolve() == file.resolve():
        return main
    known = sys.modules.get(name)
    if known is not None and file.exists() and Path(str(getattr(known, "__file__", ""))).resolve() != file.resolve():
        # Another project's module of the same name was imported before: flat names are the project's own.
        del sys.modules[name]
    try:
        return importlib.import_module(name)
    except FlyballError:
        raise
    except ModuleNotFoundError as missing:
        if missing.name != name and not name.startswith(f"{missing.name}."):
            raise _broken(name, directory, missing) from missing
        raise _not_found(name, directory) from missing
    except (Exception, SystemExit) as bad:  # a station boundary: a module of the user's may raise anything
        raise _broken(name, directory, bad) from bad


def _not_found(name: str, directory: Path) -> FlyballError:
    there = [".".join(p.relative_to(directory).with_suffix("").parts) for p in directory.glob("*.py")]
    near = nearest(name, there)
    fix = f"Did you mean {near}? Correct modules in flyball.toml." if near else "Correct modules in flyball.toml."
    return FlyballError("module_not_found", f"module {name} cannot be imported", f"looked in {directory} first", fix)


def _broken(name: str, directory: Path, bad: BaseException) -> FlyballError:
    """An error of the user's own code, with the place in the project where it stands."""
    place, fix = _place_of(bad, directory) or f"module {name}", "Correct it there."
    if isinstance(bad, ModuleNotFoundError) and bad.name:
        fix = f"Correct the import, or install {bad.name.partition('.')[0]} in this environment ({sys.prefix})."
    elif isinstance(bad, SystemExit):
        fix = 'It must be importable: put what runs under if __name__ == "__main__".'
    why = f"{type(bad).__name__}: {bad.msg}" if isinstance(bad, SyntaxError) else said(bad)
    facts = {"module": name, "place": place}
    return FlyballError("module_failed", f"{place}: module {name} failed while it was imported", why, fix, facts)


def _place_of(bad: BaseException, directory: Path) -> str:
    """File and line of the last step inside the project; empty where there is none."""
    frames = [(f.filename, f.lineno) for f in traceback.extract_tb(bad.__traceback__)]
    if isinstance(bad, SyntaxError) and bad.filename:
        frames.append((bad.filename, bad.lineno))
    found = ""
    for file, line in frames:
        if Path(file).is_relative_to(directory):
            found = f"{Path(file).relative_to(directory)}:{line}"
    return found


def collect(name: str, directory: str, modules: Iterable[ModuleType]) -> Project:
    """The values of these modules; two different values of one name are refused."""
    groups: dict[type, dict[str, Any]] = {kind: {} for kind in KINDS}
    loaded = tuple(modules)
    for module in loaded:
        for value in vars(module).values():
            _add(groups, value)
    return Project(
        name=name, directory=directory, tools=groups[Tool], agents=groups[Agent], flows=groups[Flow],
        entities=groups[EntityType], sources=groups[Source], modules=loaded,
    )  # fmt: skip


def _add(groups: dict[type, dict[str, Any]], value: Any) -> None:
    group = groups.get(Source if isinstance(value, Source) else type(value))
    if group is None:
        return
    known = group.setdefault(value.name, value)
    if not same(known, value):
        raise FlyballError(
            "same_name", f"two values are called {value.name!r}", f"{known!r} and {value!r}", "rename one"
        )
    if isinstance(value, Agent):
        for one in (*value.tools, *value.handoffs, *value.context):
            _add(groups, one)


def of_value(value: Any) -> ModuleType:
    """The module that a value was made in: the project of somebody without a flyball.toml."""
    function = getattr(value, "function", None)
    name = function.__module__ if function is not None else None
    if name is None:
        name = next((m for m, module in list(sys.modules.items()) if _holds(module, value)), None)
    if name is None:
        raise FlyballError("no_module", f"{value!r} is in no module", fix="assign it at module level")
    return sys.modules[name]


def _holds(module: Any, value: Any) -> bool:
    return any(held is value for held in list(getattr(module, "__dict__", {}).values()))
