"""`flyball memory`: what is remembered for whoever asks, and having it forgotten."""

from __future__ import annotations

from typing import Any

import click

from flyball.core.memory import SCOPES
from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell

SCOPE = click.Choice(SCOPES)


@click.group("memory", help="Show what agents remember for you, and have it forgotten.")
def command() -> None:
    """The group."""


@command.command("list")
@click.option("--scope", type=SCOPE, default=None, help="Only memories of this scope.")
@click.option("--most", default=100, metavar="N", help="At most so many; 100 unless said.")
@pass_shell
def list_memories(shell: Shell, scope: str | None, most: int) -> None:
    """Show your memories, and those that agents and the tenant keep in common, the youngest first."""
    told = ask(shell, "memories", scope=scope or "", most=most)
    say(shell, "memories", told, lambda screen: _table(screen, told["memories"], "created"))


@command.command("search")
@click.argument("query")
@click.option("--scope", type=SCOPE, default="user", help="Whose memories; yours unless said.")
@click.option("--agent", default="", metavar="NAME", help="The agent whose memories, for --scope agent.")
@click.option("--session", default="", metavar="NAME", help="The session, for --scope session.")
@click.option("--top", default=10, metavar="N", help="At most so many; 10 unless said.")
@click.option("--min-score", default=0.0, metavar="SCORE", help="The least score, from 0 to 1; 0 unless said.")
@pass_shell
def search(shell: Shell, query: str, scope: str, agent: str, session: str, top: int, min_score: float) -> None:
    """Show the memories that answer QUERY, the best first, as an agent would recall them for you."""
    wanted = {"query": query, "scope": scope, "agent": agent, "session": session, "top_k": top}
    told = ask(shell, "memory_search", **wanted, least=round(min_score * 1000))
    say(shell, "memories", told, lambda screen: _table(screen, told["memories"], "score"))


@command.command("forget")
@click.argument("id")
@click.option("--reason", default="", metavar="WHY", help="Why, for the record.")
@pass_shell
def forget(shell: Shell, id: str, reason: str) -> None:
    """Have a memory forgotten: it is told no more, its words leave the index, and a record says so."""
    told = ask(shell, "memory_forget", id=id, reason=reason)
    say(shell, "forgotten", told, lambda screen: screen.line(f"{id} is forgotten: {told['record']}", "good"))


@command.command("rebuild")
@pass_shell
def rebuild(shell: Shell) -> None:
    """Make the index of memories again from the log."""
    told = ask(shell, "memory_rebuild")
    say(shell, "rebuilt", told, lambda screen: screen.line(f"{told['memories']} memories are in the index", "good"))


def _table(screen: Screen, memories: list[dict[str, Any]], first: str) -> None:
    if not memories:
        screen.line("nothing is remembered")
        return
    screen.table((first, "id", "scope", "about", "text", "from", "trusted", "until"), [
        (m[first] if first == "score" else str(m[first])[:16], m["id"], m["scope"], m["about"], m["text"], m["source"],
         "yes" if m["trusted"] else "no", str(m["expires"])[:16])
        for m in memories
    ])  # fmt: skip
