"""`flyball session`: sessions, turn by turn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import BRIEF, INDENT, WHOLE, moment, short


@click.group("session", help="Show sessions: runs of one principal that follow each other.")
def command() -> None:
    """The group."""


@command.command("list")
@pass_shell
def listed(shell: Shell) -> None:
    """List sessions, the one with the latest turn first."""
    told = ask(shell, "sessions")

    def show(screen: Screen) -> None:
        if not told["sessions"]:
            screen.line("no sessions")
            return
        screen.table(("session", "of", "turns", "state", "latest"), [
            (s["session"], s["by"], str(len(s["runs"])), s["state"], moment(s["latest"])) for s in told["sessions"]
        ])  # fmt: skip

    say(shell, "sessions", told, show)


@command.command("show")
@click.argument("name")
@click.option("--of", default="", metavar="WHO", help="Only the session of this principal, such as user:kim.")
@click.option("--full", is_flag=True, help="Nothing cut.")
@pass_shell
def shown(shell: Shell, name: str, of: str, full: bool) -> None:
    """Tell the session NAME: each turn, its run, what was asked and what was answered."""
    told = ask(shell, "session", name=name, of=of)

    def show(screen: Screen) -> None:
        for one in told["sessions"]:
            screen.line(f"session {one['session']} of {one['by']}: {len(one['turns'])} turns", "title")
            for turn in one["turns"]:
                _turn(screen, turn, WHOLE if full else BRIEF)

    say(shell, "session", told, show)


def _turn(screen: Screen, turn: Mapping[str, Any], most: int) -> None:
    state = turn["reason"] or turn["state"]
    screen.line(f"{turn['turn']}  {turn['run']}  {turn['what']}: {state}, {moment(turn['started'])}")
    if turn["erased"]:
        screen.line(f"{INDENT}(erased)", "dim")
        return
    screen.line(f"{INDENT}asked     {short(turn['asked'], most)}")
    if turn["reason"] == "completed":
        screen.line(f"{INDENT}answered  {short(turn['answered'], most)}")
    if turn["next"]:
        screen.line(f"{INDENT}next      {turn['next']} has the work")
