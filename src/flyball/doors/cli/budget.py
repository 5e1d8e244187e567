"""`flyball budget`: what was spent and reserved."""

from __future__ import annotations

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import amounts


@click.group("budget", help="Show what was spent and reserved.")
def command() -> None:
    """The group."""


@command.command("show")
@pass_shell
def show(shell: Shell) -> None:
    """Show every budget: of tenants and agents by day, of runs, of agents in runs."""
    told = ask(shell, "budget")

    def tell(screen: Screen) -> None:
        for name, limits in told["limits"].items():
            words = ", ".join(f"{key} {value}" for key, value in limits.items())
            screen.line(f"limits of each {name}: {words or 'none'}", "dim")
        for name, limits in told["agents"].items():
            words = ", ".join(f"{key} {value}" for key, value in limits.items())
            who = f"agent {name}" if name else "each agent"
            screen.line(f"limits of {who} over all runs, by day: {words}", "dim")
        screen.line(f"prices: table {told['prices']}", "dim")
        rows = [(b["node"], amounts(b["spent"]), amounts(b["reserved"])) for b in told["budgets"]]
        screen.table(("budget", "spent", "reserved"), rows)

    say(shell, "budget", told, tell)
