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
@click.option("--check", is_flag=True, help="Only say what the code would do otherwise than the log of RUN says.")
@click.option("--move", is_flag=True, help="Set RUN on the code as it is now first, where that comes to the same.")
@pass_shell
def command(shell: Shell, run: str, wait: bool, check: bool, move: bool) -> ExitCode:
    """Goes on, and says what became of it."""
    if (check or move) and not run:
        raise click.UsageError("--check and --move are about one RUN")
    if check:
        return _check(shell, run)
    if move:
        ask(shell, "move", run=run)
    told = ask(shell, "resume", run=run, wait=wait)

    def show(screen: Screen) -> None:
        for result in told["runs"]:
            ending(screen, result)
        if not told["runs"]:
            screen.line("no run is due")

    say(shell, "resumed", told, show)
    return worst([ended(result["reason"]) for result in told["runs"]])


def _check(shell: Shell, run: str) -> ExitCode:
    """What keeps a run from going on with the code as it is now."""
    told = ask(shell, "check", run=run)

    def show(screen: Screen) -> None:
        releases = f"release {told['release'][:8]} -> {told['loaded'][:8]}"
        if told["equal"]:
            screen.line(f"run {run} may move: the code comes to the same ({releases})", "good")
            return
        for words in told["words"]:
            screen.line(words, "bad")
        screen.line(f'Guard the change with run.changed("..."), or load the code of before ({releases}).')

    say(shell, "resume_checked", told, show)
    return ExitCode.OK if told["equal"] else ExitCode.NOT_VERIFIED
