"""`flyball runs`: lists runs."""

from __future__ import annotations

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import moment

_STATES = ("queued", "running", "waiting", "ready", "ended")


@click.command("runs", help="List runs, newest first.")
@click.option("--state", type=click.Choice(_STATES), help="Only runs in this state.")
@click.option("--most", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many at most.")
@pass_shell
def command(shell: Shell, state: str | None, most: int) -> None:
    """Lists them."""
    told = ask(shell, "runs", state=state or "", most=most)

    def show(screen: Screen) -> None:
        if not told["runs"]:
            screen.line("no runs")
            return
        headers = ("run", "what", "state", "started", "waits for")
        screen.table(headers, [
            (r["id"], r["what"], r["reason"] or r["state"], moment(r["started"]), ", ".join(r["waits"]))
            for r in told["runs"]
        ])  # fmt: skip
        if told["more"]:
            screen.line(f"{told['more']} older ones: flyball runs --most N", "dim")

    say(shell, "runs", told, show)
