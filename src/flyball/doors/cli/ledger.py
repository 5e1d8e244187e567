"""`flyball ledger`: the log of this project as evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell


@click.group("ledger", help="Verify, export and prove the log of this project.")
def command() -> None:
    """The group."""


@command.command("verify")
@pass_shell
def verify(shell: Shell) -> ExitCode:
    """Verify the whole log as an outsider would."""
    told = ask(shell, "verify")
    say(shell, "verification", told, lambda screen: report(screen, told))
    return ExitCode.OK if told["ok"] else ExitCode.NOT_VERIFIED


@command.command("export")
@click.argument("directory")
@click.option("--disclose", multiple=True, metavar="RUN", help="A run whose private fields leave too; may be repeated.")
@pass_shell
def export(shell: Shell, directory: str, disclose: tuple[str, ...]) -> None:
    """Write the log to DIRECTORY for somebody outside, who checks it with: flyball verify DIRECTORY."""
    told = ask(shell, "export", directory=str(Path(directory).absolute()), disclose=list(disclose))

    def show(screen: Screen) -> None:
        screen.line(f"{told['size']} records in {directory}", "good")
        screen.line(f"Give the verifier key by another way: {told['vkey']}")
        if disclose:
            screen.line(f"disclosed: {', '.join(disclose)}", "warn")

    say(shell, "exported", told, show)


@command.command("prove")
@click.argument("record")
@pass_shell
def prove(shell: Shell, record: str) -> None:
    """Write the proof that RECORD (its id, or a run: its last record) is in the log."""
    told = ask(shell, "prove", record=record)
    shell.screen.result("proof", told, lambda screen: screen.line(told["proof"].rstrip("\n")))


@command.command("checkpoint")
@pass_shell
def checkpoint(shell: Shell) -> None:
    """Sign everything there is, now, and write the checkpoint: kept elsewhere, it shows a log that was cut."""
    told = ask(shell, "checkpoint")
    shell.screen.result("checkpoint", told, lambda screen: screen.line(told["checkpoint"].rstrip("\n")))


def report(screen: Screen, told: dict[str, Any]) -> None:
    """A verification's report."""
    for number, line in enumerate(told["summary"].splitlines()):
        screen.line(line, ("good" if told["ok"] else "bad") if number == 0 else "plain")
