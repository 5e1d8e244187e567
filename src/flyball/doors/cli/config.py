"""`flyball config`: the configuration in force."""

from __future__ import annotations

import json
from typing import Any

import click

from flyball.core.config import described
from flyball.doors.cli.output import Screen
from flyball.doors.cli.project import project_of
from flyball.doors.cli.shell import Shell, pass_shell


@click.group("config", help="Show the configuration in force, and where each value came from.")
def command() -> None:
    """The group."""


@command.command("show")
@click.option("--sources", is_flag=True, help="Say where each value came from.")
@pass_shell
def show(shell: Shell, sources: bool) -> None:
    """Show every value in force, defaults included. Secrets are handles; their text is not read."""
    loaded = project_of(shell)
    values = described(loaded.config)
    data: dict[str, Any] = {
        "file": str(loaded.file) if loaded.file else None,
        "directory": loaded.config.directory,
        "env": loaded.config.env,
        "values": values,
    }
    if sources:
        data["sources"] = dict(loaded.sources)

    def print_values(screen: Screen) -> None:
        env = f", env {loaded.config.env}" if loaded.config.env else ""
        screen.line(f"# {loaded.file or 'no flyball.toml'}{env}", "dim")
        lines = {key: f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in values.items()}
        width = min(60, max(map(len, lines.values())))
        for key, line in lines.items():
            screen.line(f"{line:<{width}}  # {loaded.sources[key]}" if sources else line)

    shell.screen.result("config", data, print_values)
