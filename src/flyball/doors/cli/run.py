"""`flyball run`: starts a flow or agent."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flyball.core.errors import FlyballError
from flyball.doors.cli.asking import ask, say
from flyball.doors.cli.exit_code import ExitCode, ended
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import ending

_HELP = "The most the run may use: steps, seconds, tokens, usd, calls or effects. May be repeated."


@click.command("run", help="Start the flow or agent WHAT with INPUT: JSON, text, or @FILE (@- is standard input).")
@click.argument("what")
@click.argument("input", default="")
@click.option("--key", default="", metavar="TEXT", help="The same key is the same run, for ever.")
@click.option("--session", default="", metavar="NAME", help="The session that this is a turn of.")
@click.option("--subject", default="", metavar="WHO", help="Whose data it is about (default: whoever starts it).")
@click.option("--limit", "limits", multiple=True, metavar="NAME=VALUE", help=_HELP)
@click.option("--wait", is_flag=True, help="Stay until the run has ended, also while people decide.")
@pass_shell
def command(
    shell: Shell, what: str, input: str, key: str, session: str, subject: str, limits: tuple[str, ...], wait: bool
) -> ExitCode:
    """Starts it and says what became of it."""
    result = ask(
        shell, "run", what=what, input=text_of(input), key=key, session=session, subject=subject,
        limits=dict(_pair(each) for each in limits), wait=wait,
    )  # fmt: skip
    say(shell, "run", result, lambda screen: ending(screen, result))
    return ended(result["reason"])


def text_of(given: str) -> str:
    """An input as typed, or what stands in the file that it names."""
    if not given.startswith("@"):
        return given
    try:
        return sys.stdin.read() if given == "@-" else Path(given[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as bad:
        raise FlyballError("bad_input", f"{given[1:]} cannot be read", str(bad)) from bad


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--limit")
    return name, value
