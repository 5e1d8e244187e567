"""`flyball telemetry`: what leaves for observability tools. Everything here reads the journal beside its owner."""

from __future__ import annotations

import asyncio
from typing import Any

import click

from flyball.app.control.local import looking
from flyball.app.plugs import adapter
from flyball.app.telemetry import preview, send_again, standing, telemetry_of
from flyball.app.wiring import exporters_of
from flyball.core.config import Config, parse_duration
from flyball.core.errors import FlyballError
from flyball.core.model import nearest
from flyball.core.span import Span
from flyball.doors.cli.output import Screen
from flyball.doors.cli.project import project_of
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import moment

INDENT = "  "


@click.group("telemetry", help="Show what leaves for observability tools, and how far it has come; send it.")
def command() -> None:
    """The group."""


@command.command("status")
@pass_shell
def status(shell: Shell) -> None:
    """Show how far each exporter has come in the log, and what it lacks."""
    config = project_of(shell).config

    async def look() -> list[dict[str, Any]]:
        async with looking(config) as office:
            return standing(office.rooms, shell.tenant)

    found = asyncio.run(look())

    def tell(screen: Screen) -> None:
        rows = [
            (e["name"], e["preset"], f"{e['behind']} of {e['records']}", str(e["sent"]), str(e["dropped"]),
             e["trouble"] or "-", moment(e["at"]))
            for e in found
        ]  # fmt: skip
        screen.table(("exporter", "preset", "records behind", "spans sent", "dropped", "trouble", "at"), rows)

    shell.screen.result("telemetry", {"exporters": found}, tell)


@command.command("show")
@click.argument("run")
@click.argument("exporter", default="")
@pass_shell
def show(shell: Shell, run: str, exporter: str) -> None:
    """Show the spans of RUN as EXPORTER sends them, with every attribute that leaves. Nothing is sent."""
    config = project_of(shell).config
    name = _named(config, exporter)

    async def look() -> list[Span]:
        async with looking(config, code=True) as office:
            office.runs.row(run, tenant=shell.tenant)
            return preview(office.rooms, shell.tenant, run, name)

    spans = asyncio.run(look())
    data = {"exporter": name, "spans": [_data(span) for span in spans]}
    shell.screen.result("spans", data, lambda screen: _tree(screen, spans))


@command.command("export")
@click.argument("exporter", default="")
@click.option("--since", default="", metavar="DURATION", help="Only what ended so long ago at most, such as 24h.")
@pass_shell
def export(shell: Shell, exporter: str, since: str) -> None:
    """Send the log to EXPORTER again, from its beginning or from --since; the cursor stays where it is."""
    config = project_of(shell).config
    name = _named(config, exporter)
    begin = adapter("clock")().now() - _duration(since) * 1_000 if since else 0

    async def send() -> tuple[int, int]:
        sending, _ = exporters_of(config)[name]
        async with looking(config, code=True) as office:
            try:
                return await send_again(office.rooms, shell.tenant, name, sending, begin)
            finally:
                await sending.close()

    sent, dropped = asyncio.run(send())
    shell.screen.result(
        "exported", {"exporter": name, "sent": sent, "dropped": dropped},
        lambda screen: screen.line(f"{sent} spans sent to {name}, {dropped} dropped", "warn" if dropped else "good"),
    )  # fmt: skip


@command.command("run")
@pass_shell
def run(shell: Shell) -> None:
    """Follow the log and send what happens, until interrupted: for exporters with inside = false."""
    config = project_of(shell).config
    _named(config, "")
    asyncio.run(_follow(shell, config))


async def _follow(shell: Shell, config: Config) -> None:
    async with looking(config, code=True) as office:
        exporters = exporters_of(config)
        held = [name for name, (_, cursors) in exporters.items() if not cursors.take()]
        names = sorted(exporters)
        told = {"exporters": names, "held": held}
        shell.screen.result("following", told, lambda screen: _following(screen, names, held))
        telemetry = telemetry_of(office.rooms, exporters)
        telemetry.start()
        try:
            await asyncio.Event().wait()
        finally:
            await telemetry.close()


def _following(screen: Screen, names: list[str], held: list[str]) -> None:
    screen.line(f"sending to {', '.join(names)}, until interrupted")
    for name in held:
        screen.line(f"another process sends to {name} now; this one does when that one has ended", "warn")


def _named(config: Config, name: str) -> str:
    known = list(config.telemetry)
    if not known:
        raise FlyballError("unknown_exporter", "no exporter is configured", fix="Add [telemetry.NAME] to flyball.toml.")
    if name and name not in known:
        near = nearest(name, known)
        fix = f"Did you mean {near}?" if near else "Add it to flyball.toml."
        raise FlyballError("unknown_exporter", f"there is no [telemetry.{name}]", f"there are: {', '.join(known)}", fix)
    return name or known[0]


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as bad:
        raise click.BadParameter(str(bad), param_hint="--since") from bad


def _tree(screen: Screen, spans: list[Span]) -> None:
    there = {span.id for span in spans}

    def below(parent: str, depth: int) -> None:
        for span in spans:
            if (span.parent if span.parent in there else "") == parent:
                took = f"{(span.end - span.start) / 1000:.0f} ms"
                line = f"{INDENT * depth}{span.name}  {span.error or 'ok'}  {took}"
                screen.line(line, "bad" if span.error else "good")
                for name, value in sorted(span.attributes.items()):
                    screen.line(f"{INDENT * depth}  {name} = {', '.join(value) if isinstance(value, tuple) else value}")
                below(span.id, depth + 1)

    below("", 0)


def _data(span: Span) -> dict[str, Any]:
    return {
        "name": span.name, "trace": span.trace, "id": span.id, "parent": span.parent, "start": span.start,
        "end": span.end, "error": span.error, "attributes": dict(span.attributes),
    }  # fmt: skip
