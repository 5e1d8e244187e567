"""The project of a Lab: the values that can be reached from those a test passes, so that nothing has to be listed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from flyball.app.project import Project, collect, of_value
from flyball.core.agent import Agent
from flyball.core.call import Resource
from flyball.core.entity import EntityType
from flyball.core.errors import FlyballError
from flyball.core.flow import Flow
from flyball.core.tool import Tool

FUNCTIONS: Final = (Tool, Flow, EntityType, Resource)
VALUES: Final = (Agent, *FUNCTIONS)
_MADE: dict[tuple[int, ...], tuple[tuple[Any, ...], Project]] = {}


def project_of(name: str, values: Sequence[Any], modules: Sequence[ModuleType]) -> Project:
    """The project of these values: given modules, or those in which the values and what they reach were made.

    The same values give the same project. Raises FlyballError `no_values` where there is nothing to begin with.
    """
    if not values and not modules:
        raise FlyballError(
            "no_values", "this Lab does not know its project yet",
            fix="pass a flow or tool first, or Lab(project=[module])",
        )  # fmt: skip
    parts = (*values, *modules)
    key = tuple(id(part) for part in parts)
    if key not in _MADE:
        _MADE[key] = (parts, _collected(name, values, modules))  # the parts are kept, so that their ids stay theirs
    return _MADE[key][1]


def _collected(name: str, values: Sequence[Any], modules: Sequence[ModuleType]) -> Project:
    known = list(modules) or list(_reached([home for value in values for home in _made_in(value)]))
    held = {id(held) for module in known for held in vars(module).values()}
    inner = [each for value in values for each in _inside(value, set()) if id(each) not in held]
    file = known[0].__file__ if known else None
    if inner:
        known = [_without(module, inner) for module in known]
        local = ModuleType("lab")
        local.__file__ = file
        vars(local).update({f"value_{number}": value for number, value in enumerate(inner)})
        known.append(local)
    return collect(name, str(Path(file or ".").resolve().parent), known)


def _without(module: ModuleType, values: Sequence[Any]) -> ModuleType:
    """The module without what these values stand for: other code under the same name."""
    taken = {(type(value), value.name) for value in values}
    held = {n: v for n, v in vars(module).items() if not isinstance(v, VALUES) or (type(v), v.name) not in taken}
    if len(held) == len(vars(module)):
        return module
    other = ModuleType(module.__name__)
    vars(other).update(held)
    return other


def _made_in(value: Any) -> list[ModuleType]:
    try:
        return [of_value(value)]
    except FlyballError:  # an agent that a test makes inside itself stands in no module: its tools do
        return [sys.modules[home] for home in _homes(value)]


def _reached(first: Sequence[ModuleType]) -> Iterator[ModuleType]:
    """These modules, and those in which what they name was made: a tool's module holds the entities that it needs."""
    queue, seen = list(first), set[str]()
    while queue:
        module = queue.pop(0)
        if module.__name__ in seen:
            continue
        seen.add(module.__name__)
        yield module
        for value in list(vars(module).values()):
            queue += [sys.modules[home] for home in _homes(value) if home in sys.modules]


def _homes(value: Any) -> Iterator[str]:
    if isinstance(value, Agent):
        for one in (*value.tools, *value.handoffs):
            yield from _homes(one)
    elif isinstance(value, FUNCTIONS):
        yield value.function.__module__


def _inside(value: Any, seen: set[int]) -> Iterator[Any]:
    """A value, and the values that its functions hold in closures: what a test makes inside itself."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, VALUES):
        yield value
    if isinstance(value, Agent):
        for one in (*value.tools, *value.handoffs):
            yield from _inside(one, seen)
        return
    function = value if isinstance(value, FunctionType) else getattr(value, "function", None)
    for cell in getattr(function, "__closure__", None) or ():
        held = _content(cell)
        if isinstance(held, (*VALUES, FunctionType)):
            yield from _inside(held, seen)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is assigned later
        return None
