"""Release: a content-addressed version of prompts, schemas, model configuration, code, dependencies and interpreter.

Policies, prices and environment values are not in it: they have digests of their own, and policy is never pinned.
"""

from __future__ import annotations

import hashlib
import inspect
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import msgspec

from flyball.app.project import Project
from flyball.app.wiring import Rooms


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """The digest, the digest of each named part, and the parts by digest."""

    digest: str
    names: Mapping[str, str]
    parts: Mapping[str, bytes]


_MADE: dict[int, Release] = {}


def release_of(rooms: Rooms) -> Release:
    """The release of the loaded project, computed once per process and project."""
    made = _MADE.get(id(rooms.project))
    if made is None:
        made = _MADE[id(rooms.project)] = compute(rooms.project, rooms.config.models)
    return made


def compute(project: Project, models: Mapping[str, Any]) -> Release:
    """Every part under its name; the release's own content is the list of names and digests."""
    named: dict[str, bytes] = {}
    for name, agent in project.agents.items():
        named[f"prompt/{name}"] = agent.text.encode()
        named[f"agent/{name}"] = _json([agent.role, agent.model, [t.name for t in agent.tools], agent.output_schema])
    for name, tool in project.tools.items():
        named[f"tool/{name}"] = _json([tool.action.input_schema, tool.action.output_schema, tool.action.effect])
    for name, flow in project.flows.items():
        named[f"flow/{name}"] = _json([flow.action.input_schema, flow.action.output_schema, str(flow.state)])
    for name, config in models.items():
        named[f"model/{name}"] = _json([config.adapter, config.model, config.base_url, list(config.fallback)])
    for module in project.modules:
        named[f"code/{module.__name__}"] = _code(module)
    named["dependencies"] = _json(sorted(f"{d.metadata['Name']}=={d.version}" for d in distributions()))
    named["interpreter"] = _json([sys.version, platform.machine()])
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in named.items()}
    whole = _json(digests)
    digest = hashlib.sha256(whole).hexdigest()
    parts = {digests[name]: content for name, content in named.items()} | {digest: whole}
    return Release(digest=digest, names=digests, parts=parts)


def _code(module: Any) -> bytes:
    file = getattr(module, "__file__", None)
    if file and Path(file).exists():
        return Path(file).read_bytes()
    return inspect.getsource(module).encode()


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


