"""The commands there are: one row each, so that help needs none of them and a command loads only itself."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from flyball.doors.cli.shell import with_shared_options

# Name: what help says. The command is `command` in `flyball.doors.cli.<name>`.
COMMANDS: Final[dict[str, str]] = {
    "init": "Write a small project that runs at once.",
    "run": "Start a flow or agent, and drive it to its end or to where it waits.",
    "runs": "List runs.",
    "show": "Tell a run: who did what, under whose authority, why it was allowed, what it cost, what is open.",
    "watch": "Follow what happens, as it is recorded.",
    "approvals": "Show what waits for people.",
    "approve": "Sign what was shown.",
    "deny": "Say no.",
    "edit": "Change arguments of what waits; they are decided again.",
    "answer": "Answer a question, or say what became of an unknown outcome.",
    "resume": "Go on with a run, or with every run that is due.",
    "replay": "Decide a run again from its records; a difference is an error.",
    "stop": "End a run at its next step.",
    "policy": "Check, test, activate and explain policies.",
    "key": "Make and list the keys that people act with.",
    "ledger": "Verify, export and prove the log of this project.",
    "verify": "Verify an exported ledger, offline.",
    "budget": "Show what was spent and reserved.",
    "memory": "Show what agents remember for you, and have it forgotten.",
    "access": "Show which runs read what, about whom and what for.",
    "session": "Show sessions: what was asked and answered, turn by turn.",
    "telemetry": "Show what leaves for observability tools, and how far it has come; send it.",
    "config": "Show the configuration in force, and where each value came from.",
    "doctor": "Look for what is wrong with this installation.",
}


class LazyGroup(click.Group):
    """A group that imports a command when it is used, and lists them from the table."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None where there is none."""
        if cmd_name not in COMMANDS:
            return None
        found: Any = import_module(f"flyball.doors.cli.{cmd_name}").command
        return with_shared_options(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments begin with; refuses another word with the nearest name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = get_close_matches(args[0], COMMANDS, 1)
            question = f" Did you mean {near[0]}?" if near else ""
            raise click.UsageError(f"there is no command {args[0]!r}.{question}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
