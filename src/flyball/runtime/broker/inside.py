"""Inside: one call of a tool in a process of its own. The other half of `apart`.

The tool is imported by file and name, its resources are opened here and closed in order, and the call it is handed is
whole. The line hears of the beginning before the function is called, and of nothing else that the tool prints.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

import msgspec

from flyball.core.call import Call, Secret, Tenant
from flyball.core.canonical import check_tree
from flyball.core.errors import FlyballError, recordable, said
from flyball.core.identity import Principal
from flyball.core.result import NotDone
from flyball.core.signature import from_json, to_json
from flyball.core.tool import Tool
from flyball.ports.sandbox import Line
from flyball.runtime.broker.hide import WHOLE
from flyball.runtime.broker.reach import CallReach, Resources, resources_of

ENTRY: Final = f"{__name__}:main"
CODE: Final = re.compile("[a-z][a-z0-9_]{0,39}")
Part = Literal["function", "probe_function", "requires_function"]
PARTS: Final[tuple[Part, ...]] = ("function", "probe_function", "requires_function")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A secret on its way into the child: its text, or why it cannot be read."""

    text: str = ""
    problem: tuple[str, str, str, str] | None = None


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant has there: its settings, and the secrets that the tool declares."""

    settings: Mapping[str, Any]
    secrets: Mapping[str, Given]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One call: which function of which tool, and everything that its `Call` says.

    `tenants` under "" is what all share; `deadline` in microseconds since 1970; a result may have `most` bytes.
    """

    module: str
    file: str
    name: str
    part: Part
    arguments: Mapping[str, Any]
    key: str
    principal: Principal
    tenant: str
    run: str | None
    path: str
    trace: str
    attempt: int
    deadline: int
    credentials: tuple[str, ...]
    tenants: Mapping[str, Scope]
    most: int


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the call came to. `unfit`: the function returned what is no data; `unopened`: it was not called."""

    kind: Literal["value", "unfit", "not_done", "raised", "unopened"]
    value: Any = None
    message: str = ""
    code: str = ""
    retry_after_ms: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the call is."""

    message: str
    done: float | None


def main(given: bytes, line: Line) -> None:
    """Does what an order says and answers what it came to."""
    order = msgspec.json.decode(given, type=Order)
    line.answer(msgspec.json.encode(asyncio.run(_carried_out(order, line))))


async def _carried_out(order: Order, line: Line) -> Told:
    opened = False
    try:
        tool = found(order.module, Path(order.file), order.name)
        function = getattr(tool, order.part)
        parsed = from_json(order.arguments, tool.signature.arguments)
        resources = Resources(lambda name: _tenant(order, name))
        async with AsyncExitStack() as stack:
            stack.push_async_callback(resources.close)
            ready = await resources.ready(resources_of(_functions(tool)), order.tenant, stack)
            reach = CallReach(ready, resources, order.tenant, partial(_tenant, order), order.credentials, _teller(line))
            call = Call(
                key=order.key, principal=order.principal, tenant=order.tenant, run=order.run, attempt=order.attempt,
                deadline=datetime.fromtimestamp(order.deadline / 1_000_000, UTC), reach=reach, path=order.path,
                trace=order.trace,
            )  # fmt: skip
            opened = True
            line.begin()
            value = await _called(function, call, {name: getattr(parsed, name) for name in tool.signature.names})
        return _data(value, order.most)
    except NotDone as told:
        after = int(told.retry_after.total_seconds() * 1000) if told.retry_after else 0
        return Told(kind="not_done", message=recordable(str(told), WHOLE), retry_after_ms=after)
    except SystemExit as bad:
        return Told(kind="raised", message=f"RuntimeError: it called exit: {bad}")
    except BaseException as bad:  # noqa: BLE001 - a station boundary: what a tool raises is what its call came to
        if not opened:
            return Told(kind="unopened", message=said(bad, WHOLE))
        return Told(kind="raised", message=said(bad, WHOLE), code=code_of(bad))


def code_of(bad: BaseException) -> str:
    """The reason code that an error brings, where what it keeps under that name can be one."""
    word = bad.code if isinstance(bad, FlyballError) else vars(bad).get("code", "")
    # It goes into the leaf: never whatever a library keeps there.
    known = word if isinstance(word, str) and CODE.fullmatch(word) else ""
    return "timeout" if isinstance(bad, TimeoutError) else known


async def _called(function: Callable[..., Any], call: Call, names: Mapping[str, Any]) -> Any:
    if inspect.iscoroutinefunction(function):
        return await function(call, **names)
    value = await asyncio.to_thread(function, call, **names)
    return await value if inspect.isawaitable(value) else value


def _data(value: Any, most: int) -> Told:
    try:
        data = to_json(value)
        check_tree(data, max_bytes=most)
    except Exception as bad:  # noqa: BLE001 - a station boundary: a result may be of any class, with any methods
        return Told(kind="unfit", message=said(bad, WHOLE))
    return Told(kind="value", value=data)


def _functions(tool: Tool[..., Any]) -> list[Callable[..., Any]]:
    return [f for f in (getattr(tool, part) for part in PARTS) if f is not None]


def _teller(line: Line) -> Callable[[str, float | None], None]:
    return lambda message, done: line.tell(msgspec.json.encode(Progress(message=recordable(message, WHOLE), done=done)))


def _tenant(order: Order, name: str) -> Tenant:
    scope = order.tenants[name]

    def secret(wanted: str) -> Secret:
        given = scope.secrets.get(wanted)
        if given is None:
            what, why = f"the secret {wanted!r} is not here", "a process of its own gets what its tool declares"
            raise FlyballError("undeclared_secret", what, why, f'credentials=["{wanted}"]')
        if given.problem is not None:
            raise FlyballError(*given.problem)
        return Secret(wanted, given.text)

    return Tenant(name, dict(scope.settings), secret)


def found(module: str, file: Path, name: str) -> Tool[..., Any]:
    """The tool that the module of this file keeps under this name. Raises what importing it raises."""
    tool = getattr(_imported(module, file), name, None)
    if not isinstance(tool, Tool):
        raise FlyballError("not_in_project", f"{file} has no tool {name}", "it is imported anew for each call")
    return tool


def _imported(name: str, file: Path) -> ModuleType:
    if name != "__main__" and _is(name, file):
        return importlib.import_module(name)
    # What the caller runs as __main__ must not run as that again, and a module may be named otherwise than it lies.
    name = "__flyball_main__" if name == "__main__" else name
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise FlyballError("module_not_found", f"{file} cannot be imported")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _is(name: str, file: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == file.resolve()
