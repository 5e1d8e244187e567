"""Release: a content-addressed version of prompts, schemas, model configuration, code, dependencies and interpreter.

Policies, prices and what depends on the environment (secrets, addresses, tenants) are not in it: they have digests of
their own or none, and policy is never pinned. The commit and whether the tree was dirty are facts beside the digest.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from flyball.app.project import Project
from flyball.app.wiring import Rooms
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig
from flyball.core.route import Route
from flyball.core.session import History
from flyball.core.signature import schema_for

GIT_SECONDS = 5.0
KEPT = 16


Models = tuple[Mapping[str, ModelConfig], Mapping[str, Route]]


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The digest, the digest of each named part, and the parts by digest."""

    digest: str
    names: Mapping[str, str]
    parts: Mapping[str, bytes]


# With its project, which must not be freed: another one could then be given its id, and with it a wrong release.
_MADE: dict[int, tuple[Project, Models, Release]] = {}


def release_of(rooms: Rooms) -> Release:
    """The release of the loaded project, computed once per process, project and model configuration."""
    project, models = rooms.project, (rooms.config.models, rooms.config.routes)
    made = _MADE.get(id(project))
    if made is None or made[1] != models:
        if len(_MADE) >= KEPT:
            _MADE.pop(next(iter(_MADE)))
        made = _MADE[id(project)] = project, models, compute(project, *models)
    return made[2]


def compute(project: Project, models: Mapping[str, ModelConfig], routes: Mapping[str, Route] = {}) -> Release:
    """Every part under its name; the release's own content is the list of names and digests."""
    named = {name: _json(value) for name, value in _declared(project)}
    named |= {f"prompt/{name}": agent.text.encode() for name, agent in project.agents.items()}
    named |= {f"model/{name}": _model(config) for name, config in models.items()}
    named |= {f"route/{name}": _json(msgspec.to_builtins(route)) for name, route in routes.items()}
    named |= dict(_sources(project))
    named["dependencies"] = _json(_dependencies(tuple(sys.path)))
    named["interpreter"] = _json([sys.version, platform.machine()])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(named.items())}
    whole = _json(digests)
    digest = hashlib.sha256(whole).hexdigest()
    parts = {digests[name]: content for name, content in named.items()} | {digest: whole}
    return Release(digest=digest, names=digests, parts=parts)


def commit_of(directory: str) -> dict[str, Any]:
    """`{"commit": hex, "dirty": bool}` of the checkout that a directory is in; empty where there is none."""
    command = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--", "."]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        told = subprocess.run(
            command, cwd=directory, env=quiet, capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return {}
    lines = told.stdout.splitlines() if told.returncode == 0 else []
    oid = next((line.rpartition(" ")[2] for line in lines if line.startswith("# branch.oid ")), "")
    if not oid or oid == "(initial)":
        return {}
    return {"commit": oid, "dirty": any(not line.startswith("#") for line in lines)}


# what is declared -----------------------------------------------------------------------------------------------------
def _declared(project: Project) -> Iterator[tuple[str, Any]]:
    """Tools, agents, flows and entities as data. The whole action is kept, so that a replay decides on what it was."""
    for name, tool in project.tools.items():
        functions = (tool.undo_function, tool.probe_function, tool.requires_function)
        own = [getattr(f, "__qualname__", None) for f in functions]
        yield f"tool/{name}", {"action": tool.action, "trusted": sorted(tool.signature.trusted), "functions": own}
    for name, agent in project.agents.items():
        yield f"agent/{name}", {
            "action": agent.action, "role": agent.role, "model": agent.model, "tools": [t.name for t in agent.tools],
            "about": agent.about, "handoffs": [a.name for a in agent.handoffs],
            "context": [_in_context(s) for s in agent.context],
            "output": agent.output_schema, "may_ask": agent.may_ask, "may_hand_back": agent.may_hand_back,
            "limits": agent.limits, **({} if agent.memory is None else {"memory": agent.memory}),
        }  # fmt: skip
    for name, flow in project.flows.items():
        yield f"flow/{name}", {
            "action": flow.action, "state": _state(flow.state), "ensures": [t.name for t in flow.ensures],
        }  # fmt: skip
    for name, source in project.sources.items():
        age = source.max_age.total_seconds() if source.max_age is not None else None
        yield f"source/{name}", {
            "action": source.action, "tokens": source.tokens, "max_age": age, "required": source.required,
            "sensitivity": source.sensitivity, "trusted": source.trusted,
        }  # fmt: skip
    for name, entity in project.entities.items():
        yield f"entity/{name}", entity.attributes


def _in_context(source: Any) -> Any:
    # Two agents may be told of different lengths of one session: there the name says too little.
    age = source.max_age.total_seconds() if source.max_age is not None else None
    told = [source.name, source.turns, source.tokens, age, source.sensitivity] if isinstance(source, History) else None
    return told or source.name


def _state(kind: Any) -> Any:
    try:
        return [getattr(kind, "__qualname__", str(kind)), schema_for(kind)]
    except FlyballError:  # a state may be any class: then its code, which is in the release too, says what it is
        return [getattr(kind, "__qualname__", str(kind))]


def _model(config: ModelConfig) -> bytes:
    """What decides how a model answers; where it is reached, and with which key, is the environment's."""
    script = Path(config.script) if config.script else None
    played = hashlib.sha256(script.read_bytes()).hexdigest() if script and script.is_file() else ""
    return _json([
        config.adapter, config.model, list(config.fallback), config.region, config.vendor, config.max_tokens,
        config.temperature_milli, played,
    ])  # fmt: skip


# code -----------------------------------------------------------------------------------------------------------------
def _sources(project: Project) -> Iterator[tuple[str, bytes]]:
    """The code of the named modules, and of everything in the project's directory that they import in turn."""
    root, seen = Path(project.directory), set[Path]()
    waiting: list[tuple[str, Path]] = []
    for module in project.modules:
        file = getattr(module, "__file__", None)
        if file and Path(file).is_file():
            waiting.append((_module_name(root, Path(file)), Path(file)))
        else:
            yield f"code/{module.__name__}", inspect.getsource(module).encode()
    while waiting:
        name, path = waiting.pop()
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        source = path.read_bytes()
        yield f"code/{name}", source
        waiting += [(n, p) for n in _imported(source, name, path) if (p := _file(root, n)) is not None]


def _module_name(root: Path, path: Path) -> str:
    # By its place, not by how it was imported: a module run as `__main__` is the same module.
    try:
        parts = path.resolve().relative_to(root.resolve()).with_suffix("").parts
    except ValueError:
        return path.stem
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(source: bytes, name: str, path: Path) -> set[str]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # nobody imports it as it stands; its bytes count all the same
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            found |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    packages = {name.rsplit(".", n)[0] for name in found for n in range(1, name.count(".") + 1)}
    return found | packages


def _file(root: Path, module: str) -> Path | None:
    place = root.joinpath(*module.split("."))
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if module and path.is_file():
            return path
    return None


@functools.lru_cache(maxsize=4)
def _dependencies(path: tuple[str, ...]) -> list[str]:
    """Everything that is installed, by name and version: read off the folders, because opening each is slow."""
    found: set[str] = set()
    for folder in path:
        try:
            names = [entry.name for entry in os.scandir(folder) if entry.name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue
        found |= {name.rpartition(".")[0].replace("-", "==", 1) for name in names}
    return sorted(found)


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, enc_hook=str, order="sorted")
