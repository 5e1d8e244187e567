"""`flyball doctor`: looks for what is wrong with this installation."""

from __future__ import annotations

import asyncio
from typing import Final

import click
import msgspec

from flyball.app.control.health import examine
from flyball.doors.cli.asking import acting_key
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.output import Screen
from flyball.doors.cli.paper import Tone
from flyball.doors.cli.project import project_of
from flyball.doors.cli.shell import Shell, pass_shell

_TONES: Final[dict[str, Tone]] = {"ok": "good", "warn": "warn", "bad": "bad"}


@click.command("doctor", help="Look for what is wrong with this installation. Nothing is changed.")
@pass_shell
def command(shell: Shell) -> ExitCode:
    """Looks at everything; fails where something is wrong, not where something is worth knowing."""
    loaded = project_of(shell)
    found = asyncio.run(examine(loaded.config, shell.tenant, lambda: acting_key(shell)))
    well = all(f.level != "bad" for f in found)

    def show(screen: Screen) -> None:
        screen.line(f"project {loaded.config.project.name}, {loaded.file or 'without flyball.toml'}", "title")
        for finding in found:
            screen.line(f"{finding.level:<4} {finding.name}: {finding.detail}", _TONES[finding.level])
            if finding.fix:
                screen.line(f"     {finding.fix}", "dim")

    shell.screen.result("doctor", {"ok": well, "findings": msgspec.to_builtins(found)}, show)
    return ExitCode.OK if well else ExitCode.FAILURE
