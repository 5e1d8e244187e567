"""`flyball resume`: goes on with what is due."""

from __future__ import annotations

import click

from flyball.doors.cli.asking import ask, say, worst
from flyball.doors.cli.exit_code import ExitCode, ended
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import ending


@click.command("resume", help="Go on with RUN; without RUN, with every run that is due.")
@click.argument("run", default="")
@click.option("--wait", is_flag=True, help="Stay until it has ended, also while people decide.")
@pass_shell
def command(shell: Shell, run: str, wait: bool) -> ExitCode:
    """Goes on, and says what became of it."""
    told = ask(shell, "resume", run=run, wait=wait)

    def show(screen: Screen) -> None:
        for result in told["runs"]:
            ending(screen, result)
        if not told["runs"]:
            screen.line("no run is due")

    say(shell, "resumed", told, show)
    return worst([ended(result["reason"]) for result in told["runs"]])
