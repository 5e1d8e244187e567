"""Telemetry of an open project: its exporters, and what of its actions may leave to each of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyball.app.project import Project
from flyball.app.wiring import Rooms
from flyball.core.config import Config
from flyball.core.disclosure import MODEL, Marks, Rules
from flyball.core.errors import FlyballError
from flyball.core.model import nearest
from flyball.core.signature import marked_fields
from flyball.core.telemetry import TelemetryConfig
from flyball.ports.exporter import Cursors, Exporter
from flyball.runtime.telemetry import Projector, Telemetry


def telemetry_of(rooms: Rooms, exporters: Mapping[str, tuple[Exporter, Cursors]] | None = None) -> Telemetry:
    """What exports a project's log, not started: to the exporters of its ports, or to these.

    Raises FlyballError `config_value` where the configuration lets something leave that the project does not have, or
    that its code marks as personal.
    """
    found = rooms.ports.exporters if exporters is None else exporters

    def chance() -> float:
        return rooms.ports.entropy.bytes(1)[0] / 256

    return Telemetry({
        name: (Projector(rooms.record, exporter, cursors, rules_of(rooms.config, rooms.project, name), chance),
               exporter, cursors)
        for name, (exporter, cursors) in found.items()
    })  # fmt: skip


def rules_of(config: Config, project: Project, name: str) -> Rules:
    """What may leave to one exporter."""
    marks = _marks(project)
    exporter = config.telemetry.get(name, TelemetryConfig(name=name))
    for action, chosen in exporter.content.items():
        if action != MODEL and action not in marks:
            why, near = f"there is no tool, agent, flow or source {action!r}", nearest(action, marks)
            raise _wrong(name, action, why, f"Did you mean {near}?" if near else "Name one of the project's.")
        for one in chosen if action != MODEL else ():
            side, _, field = one.partition(".")
            personal = getattr(marks[action], side, frozenset[str]())
            if f"/{field}" in personal or (personal and "" in personal):
                raise _wrong(name, action, f"{one} is Personal, and never leaves", f"Take {one} out.")
    models = {key: model.model for key, model in config.models.items() if model.model}
    return Rules(content=exporter.content, marks=marks, models=models)


def _wrong(name: str, action: str, why: str, fix: str) -> FlyballError:
    return FlyballError("config_value", f"[telemetry.{name}.content] {action}", why, fix)


def _marks(project: Project) -> dict[str, Marks]:
    found = {tool.name: _marked(tool.signature.arguments, tool.signature.returns) for tool in project.tools.values()}
    for group in (project.agents, project.flows):
        found |= {each.name: _marked(each.input, each.output) for each in group.values()}
    return found | {f"{name}": Marks() for name in project.sources}


def _marked(asked: Any, returned: Any) -> Marks:
    return Marks(arguments=marked_fields(asked, "personal"), result=marked_fields(returned, "personal"))
