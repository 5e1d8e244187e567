"""Health of what the user wrote: modules, policies, models and secrets, as they stand on disk.

It imports the project's modules, as every run does, and starts nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from flyball.app.bench import Bench
from flyball.app.control.finding import Finding, reported, wrong
from flyball.app.plugs import adapter
from flyball.app.project import Project, load
from flyball.core.config import Config, Handle
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig
from flyball.core.policy import PolicyError
from flyball.core.prices import PriceTable, lookup
from flyball.core.route import reach

MOST = 5


def examine_project(config: Config) -> list[Finding]:
    """The findings, in the order in which somebody should read them."""
    found = []
    project: Project | None = None
    try:
        project = load(config.project.name, Path(config.directory), config.project.modules)
        found.append(_values(project, config))
    except FlyballError as bad:
        found.append(wrong("modules", bad))
    if project is not None:
        found += [*_policies(config, project), *_asked_models(config, project)]
    return [*found, *_models(config), *_secrets(config)]


def _values(project: Project, config: Config) -> Finding:
    groups = {"tool": project.tools, "agent": project.agents, "flow": project.flows}
    counts = ", ".join(f"{len(group)} {word}{'' if len(group) == 1 else 's'}" for word, group in groups.items())
    if not any(groups.values()):
        fix = 'Name the modules that hold your tools: [project] modules = ["tools"].'
        return Finding(name="modules", level="warn", detail="there is no tool, agent or flow", fix=fix)
    return Finding(name="modules", level="ok", detail=f"{counts} in {', '.join(config.project.modules)}")


def _policies(config: Config, project: Project) -> Iterator[Finding]:
    with reported("policy") as failed:
        try:
            Bench(config, project).check()
        except PolicyError as bad:
            for each in bad.findings[:MOST]:
                detail = f"{each.where}: {each.what}"
                yield Finding(name="policy", level="bad", detail=detail, fix=each.fix or "flyball policy check")
    yield from failed


def _asked_models(config: Config, project: Project) -> Iterator[Finding]:
    for name in sorted({agent.model for agent in project.agents.values()}):
        asking = ", ".join(sorted(a.name for a in project.agents.values() if a.model == name))
        try:
            reach(config.models, config.routes, name)
        except FlyballError as bad:
            # The environment of the process that runs them may name one.
            yield Finding(name="model", level="warn", detail=f"{asking}: {bad.what}, {bad.why}", fix=bad.fix)


def _models(config: Config) -> Iterator[Finding]:
    with reported("prices") as failed:
        prices: PriceTable = adapter("prices")(config.prices.file, config.prices.digest)
        for name, model in config.models.items():
            yield from _script(name, model) if model.adapter == "scripted" else _provider(name, model, prices)
    yield from failed


def _script(name: str, model: ModelConfig) -> Iterator[Finding]:
    with reported("model") as failed:
        adapter("model.script")(model.script)
        detail = f"{name} is scripted: it plays {model.script}, no model answers"
        yield Finding(name="model", level="warn", detail=detail)
    yield from failed


def _provider(name: str, model: ModelConfig, prices: PriceTable) -> Iterator[Finding]:
    with reported("model") as failed:
        if model.key:
            adapter("model.key")(model.key)
        yield Finding(name="model", level="ok", detail=f"{name}: {model.adapter} {model.model}")
    yield from failed
    if lookup(prices, model.priced_as) is None:
        detail = f"{name}: {model.priced_as} has no price, so every call of it is denied"
        yield Finding(name="model", level="bad", detail=detail,
                      fix="Give it one in a file named under [prices] (0 for a local model).")  # fmt: skip


def _secrets(config: Config) -> Iterator[Finding]:
    own = [(f"tenants.{name}.secrets", tenant.secrets) for name, tenant in config.tenants.items()]
    for table, handles in [("secrets", config.secrets), *own]:
        yield from (_unset(table, name, handle) for name, handle in handles.items() if not _there(handle))


def _unset(table: str, name: str, handle: Handle) -> Finding:
    what = f"the environment has no {handle.name}" if handle.source == "env" else f"{handle.name} cannot be read"
    fix = f"export {handle.name}=..." if handle.source == "env" else "Write the secret to that file."
    return Finding(name="secret", level="warn", detail=f"[{table}] {name}: {what}", fix=fix)


def _there(handle: Handle, environ: Mapping[str, str] = os.environ) -> bool:
    return handle.name in environ if handle.source == "env" else os.access(handle.name, os.R_OK)
