"""`flyball approvals`: shows what waits for people, each value so that it cannot mislead the eye."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import INDENT, block_lines


@click.command("approvals", help="Show what waits for people: approvals, questions, unknown outcomes.")
@click.option("--run", default="", metavar="RUN", help="Only what this run waits for.")
@pass_shell
def command(shell: Shell, run: str) -> None:
    """Shows them."""
    told = ask(shell, "approvals", run=run)

    def show(screen: Screen) -> None:
        if not told["approvals"]:
            screen.line("nothing waits for anybody")
        for asked in told["approvals"]:
            tell(screen, asked)

    say(shell, "approvals", told, show)


def tell(screen: Screen, asked: Mapping[str, Any]) -> None:
    """One thing that waits: who asks, why, every value in its own block, the model's words last."""
    whom = f" for {', '.join(asked['groups'])}" if asked["groups"] else ""
    screen.line(f"{asked['id']}  {asked['kind']}{whom}: {asked['question'] or asked['about']}", "title")
    who = " > ".join([asked["asked_by"], *(f"agent {name}" for name in asked["through"])])
    facts = {f"{INDENT}asked by": who}
    if asked["resource"]:
        facts[f"{INDENT}acts on"] = (
            f"{asked['resource']}, {asked['effect']}{', leaves the house' if asked['egress'] else ''}"
        )
    if asked["because"]:
        reasons = [f"{p} ({r})" if r else p for p, r in zip(asked["because"], asked["reasons"], strict=False)]
        facts[f"{INDENT}because of"] = ", ".join(reasons)
    if asked["modified"]:
        facts[f"{INDENT}changed by"] = ", ".join(asked["modified"])
    if asked["owners"]:
        facts[f"{INDENT}not by"] = f"{', '.join(asked['owners'])}: it uses a credential of theirs"
    if asked["given"]:
        facts[f"{INDENT}signed for"] = ", ".join(asked["given"])
    if asked["expires"]:
        facts[f"{INDENT}until"] = f"{asked['expires']}, then {asked['default']}"
    facts[f"{INDENT}over"] = asked["over"]
    screen.facts(facts)
    if asked["erased"]:
        screen.line(f"{INDENT}what it is about was erased", "warn")
    block_lines(screen, asked)
    words = "\n".join(part for part in (asked["stated"], str(asked["prose"])) if part)
    if words:
        screen.line(f"{INDENT}the model's own words, which prove nothing:", "dim")
        for line in words[:2000].split("\n"):
            screen.line(f"{INDENT}> {line}", "dim")
    screen.line(f"{INDENT}{_how(asked)}", "dim")
    screen.line()


def _how(asked: Mapping[str, Any]) -> str:
    name = f"'{asked['id']}'"
    if asked["kind"] == "question":
        return f"flyball answer {name} VALUE"
    if asked["kind"] == "unknown":
        return f"flyball answer {name} executed --result JSON | failed"
    return f"flyball approve {name} --reason WHY | deny {name} --reason WHY | edit {name} NAME=VALUE"
