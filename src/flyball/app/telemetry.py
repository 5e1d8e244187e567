"""Telemetry of an open project: its exporters, and what of its actions may leave to each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flyball.app.plugs import adapter
from flyball.app.project import Project
from flyball.app.wiring import Rooms, cursors_of
from flyball.core.config import Config
from flyball.core.disclosure import MODEL, Marks, Rules
from flyball.core.errors import FlyballError
from flyball.core.meter import Meter
from flyball.core.model import nearest
from flyball.core.signature import marked_fields
from flyball.core.span import Span
from flyball.core.telemetry import Cursor, TelemetryConfig
from flyball.ports.exporter import Cursors, Exporter
from flyball.runtime.telemetry import Projector, Telemetry


class _Passing:
    """A cursor for one way through the log, kept nowhere."""

    def __init__(self) -> None:
        self.cursors: dict[str, Cursor] = {}

    def take(self) -> bool:
        return True

    def load(self, tenant: str) -> Cursor | None:
        return self.cursors.get(tenant)

    def save(self, tenant: str, cursor: Cursor) -> None:
        self.cursors[tenant] = cursor

    def close(self) -> None:
        self.cursors.clear()


class _Since:
    """An exporter that sends only what ended at a time or after it, and no sums: those are of the whole log."""

    metered = False

    def __init__(self, exporter: Exporter, since: int) -> None:
        self._exporter, self._since = exporter, since
        self.sent = 0

    async def spans(self, spans: Sequence[Span]) -> int:
        wanted = [span for span in spans if span.end >= self._since]
        dropped = await self._exporter.spans(wanted) if wanted else 0
        self.sent += len(wanted) - dropped
        return dropped

    async def metrics(self, meter: Meter, now: int) -> None:
        return

    async def close(self) -> None:
        await self._exporter.close()


async def send_again(rooms: Rooms, tenant: str, name: str, exporter: Exporter, since: int) -> tuple[int, int]:
    """Sends every span that ended at `since` (microseconds since 1970) or later, beside the cursor; how many were
    taken, and how many not. Raises ExportError, and FlyballError `not_exported` where this log does not go there."""
    if not _named(rooms.config, name).takes(tenant):
        what, fix = f"the log of {tenant} does not go to {name}", f"Add it to tenants of [telemetry.{name}]."
        raise FlyballError("not_exported", what, fix=fix)
    kept, portion = _Passing(), _Since(exporter, since)
    rules = rules_of(rooms.config, rooms.project, name)
    await Projector(rooms.record, portion, kept, rules, lambda: 0.5).drain([tenant])
    return portion.sent, kept.cursors[tenant].dropped if tenant in kept.cursors else 0


def preview(rooms: Rooms, tenant: str, run: str, name: str) -> list[Span]:
    """The spans of a run as this exporter sends them; those of a run that waits without its own."""
    rules = rules_of(rooms.config, rooms.project, name)
    nowhere = _Since(adapter("telemetry.otlp")(TelemetryConfig(name=name), rooms.config.project.name), 0)
    return Projector(rooms.record, nowhere, _Passing(), rules, lambda: 0.5).of_run(tenant, run)


def standing(rooms: Rooms, tenant: str) -> list[dict[str, Any]]:
    """How far each exporter has come in a tenant's log."""
    log, frontier = rooms.ports.journal.view(tenant).tree()
    found: list[dict[str, Any]] = []
    for name, exporter in rooms.config.telemetry.items():
        if not exporter.takes(tenant):
            continue
        cursor = cursors_of(rooms.config, name).load(tenant)
        if cursor is None or cursor.log != log:
            cursor = Cursor(log=log)
        found.append({
            "name": name, "preset": exporter.preset, "inside": exporter.inside, "records": frontier.size,
            "behind": max(0, frontier.size - cursor.next), "sent": cursor.sent, "dropped": cursor.dropped,
            "trouble": cursor.trouble, "at": cursor.at,
        })  # fmt: skip
    return found


def telemetry_of(rooms: Rooms, exporters: Mapping[str, tuple[Exporter, Cursors]] | None = None) -> Telemetry:
    """What exports a project's log, not started: to the exporters of its ports, or to these.

    Raises FlyballError `config_value` where the configuration lets something leave that the project does not have, or
    that its code marks as personal.
    """
    found = rooms.ports.exporters if exporters is None else exporters

    def chance() -> float:
        return rooms.ports.entropy.bytes(1)[0] / 256

    return Telemetry({
        name: (Projector(rooms.record, exporter, cursors, rules_of(rooms.config, rooms.project, name), chance,
                         _named(rooms.config, name).takes), exporter, cursors)
        for name, (exporter, cursors) in found.items()
    })  # fmt: skip


def rules_of(config: Config, project: Project, name: str) -> Rules:
    """What may leave to one exporter."""
    marks = _marks(project)
    exporter = _named(config, name)
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


def _named(config: Config, name: str) -> TelemetryConfig:
    return config.telemetry.get(name) or TelemetryConfig(name=name)


def _wrong(name: str, action: str, why: str, fix: str) -> FlyballError:
    return FlyballError("config_value", f"[telemetry.{name}.content] {action}", why, fix)


def _marks(project: Project) -> dict[str, Marks]:
    found = {tool.name: _marked(tool.signature.arguments, tool.signature.returns) for tool in project.tools.values()}
    for group in (project.agents, project.flows):
        found |= {each.name: _marked(each.input, each.output) for each in group.values()}
    return found | {f"{name}": Marks() for name in project.sources}


def _marked(asked: Any, returned: Any) -> Marks:
    return Marks(arguments=marked_fields(asked, "personal"), result=marked_fields(returned, "personal"))
