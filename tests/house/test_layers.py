"""Who may know whom, read from the syntax trees: what import-linter keeps, and what it cannot see.

* Floors import downwards only. Rooms beside each other do not see each other; in `runtime` only `path` does.
* Only `app` knows adapters by name.
* `core` decides: no clock, no randomness, no input or output, nothing to wait for.
* Heavy libraries stay where they are plugged in; imports stand at the top; nobody goes through the root; no cycles.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter

import pytest

FLOORS = (
    {"doors", "testing"},
    {"app"},
    {"adapters", "runtime", "verify"},
    {"ports"},
    {"core"},
)
HEIGHT = {room: -depth for depth, floor in enumerate(FLOORS) for room in floor}
SEPARATE = {"adapters", "doors", "runtime"}  # the modules directly in these do not see each other
SEES_SIBLINGS = {"flyball.runtime.path"}
KNOWS_ADAPTERS = {"app", "adapters"}

CORE_STDLIB = {
    *("__future__", "abc", "base64", "binascii", "bisect", "collections", "copy", "dataclasses", "datetime", "decimal"),
    *("difflib", "enum", "fractions", "functools", "graphlib", "hashlib", "heapq", "hmac", "inspect", "ipaddress"),
    *("itertools", "json", "keyword", "math", "operator", "re", "string", "struct", "textwrap", "types", "typing"),
    *("unicodedata", "urllib.parse", "uuid"),
}
CORE_LIBRARIES = {"cryptography", "msgspec", "orjson", "typing_extensions"}
IMPURE_CALLS = {
    *("__import__", "breakpoint", "eval", "exec", "input", "open", "print"),
    *("now", "today", "utcnow", "uuid1", "uuid4", "generate", "generate_key"),
    *("getsource", "getsourcefile", "getsourcelines"),
}

HOMES = {  # a library: the floors (or modules) that may import it
    "aiohttp": ("adapters",),
    "cedarpy": ("adapters",),
    "sqlite3": ("adapters",),
    "click": ("doors",),
    "rich": ("doors",),
    "hypothesis": ("testing",),
    "pytest": ("testing",),
}
# What may be imported inside a function, and only in adapters and doors: libraries that not every start needs, and the
# one module that stands for such a library.
OPTIONAL = {"aiohttp", "rich", "flyball.doors.cli.terminal"}


def _room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def _separate(name: str) -> str:
    """The room a module belongs to, on a floor of separate rooms: flyball.doors.cli, for each of its commands."""
    return ".".join(name.split(".")[:3]) if _room(name) in SEPARATE and name.count(".") > 1 else ""


def _ours(target: str) -> bool:
    return target == "flyball" or target.startswith("flyball.")


def _forbidden(importer: str, target: str) -> str:
    here, there = _room(importer), _room(target)
    if not there:
        return "goes through the root: import the defining module"
    if there not in HEIGHT:
        return f"{there} is on no floor"
    if here != there and HEIGHT[there] >= HEIGHT[here]:
        return f"{here} does not see {there}"
    if here == "verify" and there == "ports":
        return "the auditor stands on core alone"
    if there == "adapters" and here not in KNOWS_ADAPTERS:
        return "only app knows adapters by name"
    beside = here == there and _separate(importer) and _separate(target) not in ("", _separate(importer))
    if beside and importer not in SEES_SIBLINGS:
        return "rooms beside each other do not see each other"
    return ""


def upward(module, known=()) -> Iterator[str]:
    if module.name in ("flyball", "flyball.__main__"):
        return
    if _room(module.name) not in HEIGHT:
        yield f"{module.path}: {_room(module.name)} is on no floor"
        return
    for each in module.imports(known):
        if _ours(each.target) and (why := _forbidden(module.name, each.target)):
            yield f"{module.at(each.line)} imports {each.target}: {why}"


def strange(module) -> Iterator[str]:
    """Libraries outside their homes."""
    for each in module.imports():
        library = each.target.split(".")[0]
        if library in HOMES and _room(module.name) not in HOMES[library]:
            yield f"{module.at(each.line)} imports {library}, at home in {', '.join(HOMES[library])}"


def hidden(module) -> Iterator[str]:
    for each in module.imports():
        optional = _room(module.name) in ("adapters", "doors") and {each.target, each.target.split(".")[0]} & OPTIONAL
        if each.hidden and not optional:
            yield f"{module.at(each.line)} hides the import of {each.target} in a function"


def impure(module) -> Iterator[str]:
    """What core must not have. An allow-list for modules: a new one is a decision."""
    if _room(module.name) != "core":
        return
    for each in module.imports():
        top = each.target.split(".")[0]
        known = each.target in CORE_STDLIB or (top in CORE_STDLIB and top != "urllib")
        if not known and top not in CORE_LIBRARIES and not _ours(each.target):
            yield f"{module.at(each.line)} imports {each.target}: not in the list of what core stands on"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith | ast.Await):
            yield f"{module.at(node.lineno)} waits: core decides, it does not act"
        elif isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if called in IMPURE_CALLS:
                yield f"{module.at(node.lineno)} calls {called}(): let it come in as an argument"


def cycle(modules) -> list[str]:
    """One cycle of imports, if there is any; those for type checking count."""
    known = [m.name for m in modules]
    graph = {m.name: {i.target for i in m.imports(known) if i.target in known and i.target != m.name} for m in modules}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as found:
        return found.args[1]
    return []


def test_imports_point_downwards(modules) -> None:
    known = [m.name for m in modules]
    assert [each for m in modules for each in upward(m, known)] == []


def test_core_is_pure(modules) -> None:
    assert [each for m in modules for each in impure(m)] == []


def test_libraries_stay_at_home(modules) -> None:
    assert [each for m in modules for each in strange(m)] == []


def test_imports_stand_at_the_top(modules) -> None:
    assert [each for m in modules for each in hidden(m)] == []


def test_no_module_waits_for_itself(modules) -> None:
    assert cycle(modules) == []


# The rules see what they are for --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("flyball.core.x", "from flyball.ports.clock import Clock", "core does not see ports"),
        ("flyball.runtime.x", "import flyball.adapters.journal_memory", "runtime does not see adapters"),
        ("flyball.doors.x", "from flyball.testing.lab import Lab", "doors does not see testing"),
        ("flyball.doors.cli.key", "from flyball.adapters.keyfile import read_key", "only app knows adapters"),
        ("flyball.verify.x", "from flyball.ports.journal import View", "the auditor stands on core alone"),
        ("flyball.verify.x", "from ..adapters import y", "verify does not see adapters"),
        ("flyball.runtime.flow", "from flyball.runtime.path import drive", "rooms beside each other"),
        ("flyball.adapters.x", "from flyball.adapters.y.z import w", "rooms beside each other"),
        ("flyball.core.x", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flyball.app import A", "app"),
        ("flyball.app", "from flyball import Run", "goes through the root"),
        ("flyball.app", "from flyball.shed import x", "shed is on no floor"),
        ("flyball.shed", "", "shed is on no floor"),
    ],
)
def test_a_way_up_or_sideways_is_seen(module: Callable, name: str, text: str, why: str) -> None:
    assert [each for each in upward(module(name, text)) if why in each]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("flyball.runtime.path", "from flyball.runtime.enforce import decide"),
        ("flyball.doors.cli.main", "from flyball.doors.cli.show import show\nfrom flyball.runtime.flow import Run"),
        ("flyball.adapters.x", "from flyball.adapters import __doc__ as y"),
        ("flyball.app", "from flyball.adapters.journal_memory import Memory"),
        ("flyball", "from flyball.app import Flyball"),
    ],
)
def test_a_way_down_is_open(module: Callable, name: str, text: str) -> None:
    assert list(upward(module(name, text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time", "import random", "import secrets", "import os", "import io", "import socket", "import asyncio",
        "import urllib.request", "from pathlib import Path", "import sqlite3",
        "from datetime import datetime\ndatetime.now()", "import datetime\ndatetime.date.today()",
        "import uuid\nuuid.uuid4()", "from cryptography import x\nx.Ed25519PrivateKey.generate()",
        "open('x')", "print('x')", "async def f() -> None: ...",
    ],
)  # fmt: skip
def test_impurity_is_seen(module: Callable, text: str) -> None:
    assert list(impure(module("flyball.core.x", text)))
    assert not list(impure(module("flyball.runtime.x", text)))


def test_hidden_imports_are_seen(module: Callable) -> None:
    text = "def f():\n    import {}\n"
    assert list(hidden(module("flyball.core.x", text.format("json"))))
    assert list(hidden(module("flyball.doors.x", text.format("json"))))
    assert list(hidden(module("flyball.core.x", text.format("rich"))))
    assert not list(hidden(module("flyball.doors.x", text.format("rich.table"))))


def test_strangers_are_seen(module: Callable) -> None:
    assert list(strange(module("flyball.runtime.x", "import sqlite3")))
    assert not list(strange(module("flyball.adapters.x", "import sqlite3")))


def test_a_cycle_is_seen(module: Callable) -> None:
    there = module("flyball.core.a", "from flyball.core import b")
    typing = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flyball.core.a import A"
    back = module("flyball.core.b", typing)
    assert set(cycle([there, back])) == {"flyball.core.a", "flyball.core.b"}
    assert cycle([there, module("flyball.core.b", "")]) == []


def test_the_list_of_core_names_real_modules() -> None:
    assert {name.split(".")[0] for name in CORE_STDLIB} <= sys.stdlib_module_names
