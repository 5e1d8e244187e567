"""`flyball stop`: ends a run at its next step."""

from __future__ import annotations

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import ending


@click.command("stop", help="End RUN at its next step; what is under way is recorded first.")
@click.argument("run")
@click.option("--reason", required=True, metavar="WHY", help="Why; it is recorded.")
@pass_shell
def command(shell: Shell, run: str, reason: str) -> None:
    """Ends it."""
    told = ask(shell, "stop", run=run, reason=reason)
    say(shell, "stopped", told, lambda screen: ending(screen, told))
