"""`flyball replay`: a run decided again from its records. It executes nothing; a difference is an error."""

from __future__ import annotations

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell


@click.command("replay", help="Derive every verdict of RUN again, and fold its code over its log. Executes nothing.")
@click.argument("run")
@pass_shell
def command(shell: Shell, run: str) -> ExitCode:
    """Says what is not as the log says."""
    told = ask(shell, "replay", run=run)

    def show(screen: Screen) -> None:
        refused = f", {told['refused']} refused before any policy" if told["refused"] else ""
        steps = f", {told['steps']} steps folded" if told["folded"] else ""
        if told["ok"]:
            screen.line(f"run {run} replays equal: {told['verdicts']} verdicts derived again{refused}{steps}", "good")
        for words in told["words"]:
            screen.line(words, "bad")
        if not told["folded"]:
            screen.line("Its code was not folded: no flyball.toml names its modules.", "warn")
        elif told["release"] != told["loaded"]:
            screen.line(f"It stands on release {told['release'][:8]}; the code is {told['loaded'][:8]}.", "warn")

    say(shell, "replayed", told, show)
    return ExitCode.OK if told["ok"] else ExitCode.NOT_VERIFIED
