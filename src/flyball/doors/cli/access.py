"""`flyball access`: which runs read what from which sources."""

from __future__ import annotations

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import moment


@click.command("access", help="Show which runs read what about SUBJECT (such as user:kim), or from one source.")
@click.argument("subject", default="")
@click.option("--source", default="", metavar="NAME", help="Only what was read from this source.")
@pass_shell
def command(shell: Shell, subject: str, source: str) -> None:
    """Lists the reads in the order of the log."""
    if not subject and not source:
        raise click.UsageError("name a SUBJECT or a --source")
    told = ask(shell, "access", subject=subject, source=source)

    def show(screen: Screen) -> None:
        if not told["access"]:
            screen.line("nothing was read")
            return
        headers = ("time", "run", "source", "about", "for", "read by", "passages")
        screen.table(headers, [
            (moment(a["time"]), f"{a['run']}/{a['path']}", a["source"], "(erased)" if a["erased"] else a["subject"],
             a["purpose"], " > ".join((a["by"], *a["through"])), _passages(a))
            for a in told["access"]
        ])  # fmt: skip

    say(shell, "access", told, show)


def _passages(read: dict[str, object]) -> str:
    passages = read["passages"]
    if not isinstance(passages, list) or not passages:
        return str(read["outcome"])
    return ", ".join(str(p["ref"]) for p in passages)
