"""The `flyball` command: reads the shared options, runs one command, turns every ending into an exit code.

It imports what `--version` and `--help` need and nothing else; the rest comes with the command that is used.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from io import TextIOWrapper
from typing import Final

import click

from flyball.core.errors import FlyballError
from flyball.doors.cli.commands import LazyGroup
from flyball.doors.cli.exit_code import ExitCode, exit_code
from flyball.doors.cli.shell import Shell, pass_shell, shared_options

_COMPLETE: Final = "_FLYBALL_COMPLETE"
_INTRODUCTION: Final = "Governed execution for AI agents: a model proposes, policy decides, the log proves."


@click.command(
    "flyball", cls=LazyGroup, help=_INTRODUCTION, params=shared_options(), invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip
@click.option("--version", "wanted", is_flag=True, help="Show the version.")
@pass_shell
@click.pass_context
def flyball(context: click.Context, shell: Shell, wanted: bool) -> None:
    """What stands before a command's name."""
    if wanted:
        number = _version()
        shell.screen.result("version", {"version": number}, lambda s: s.line(f"flyball {number}"))
        context.exit(ExitCode.OK)
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), file=shell.err)
        context.exit(ExitCode.USAGE)


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line (that of the process where `args` is None) and returns its exit code."""
    words = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character must not turn success into a crash.
            stream.reconfigure(errors="backslashreplace")
    if _COMPLETE in os.environ:
        flyball.main(words, prog_name="flyball", complete_var=_COMPLETE)
    shell = Shell()
    try:
        code = _run(words, shell)
        shell.out.flush()
        return code
    except BrokenPipeError:
        _drop_output()
        return ExitCode.BROKEN_PIPE
    except (KeyboardInterrupt, EOFError, click.Abort):
        return ExitCode.INTERRUPTED


def _run(words: list[str], shell: Shell) -> int:
    try:
        with flyball.make_context("flyball", list(words), obj=shell) as context:
            code = flyball.invoke(context)
        return code if isinstance(code, int) else ExitCode.OK
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.exceptions.NoArgsIsHelpError as bad:  # a group by itself: its help, not an error about it
        click.echo(bad.format_message(), file=shell.err)
        return ExitCode.USAGE
    except click.ClickException as bad:
        shell.json = shell.json or "--json" in words
        fix = f"See: {bad.ctx.command_path} --help" if isinstance(bad, click.UsageError) and bad.ctx else ""
        return _say(shell, FlyballError("usage", bad.format_message().rstrip("."), fix=fix))
    except FlyballError as error:
        return _say(shell, error)
    except (BrokenPipeError, EOFError, click.Abort):
        raise
    except Exception as bug:  # noqa: BLE001 - the door's last boundary: a person gets a sentence, not a traceback
        if shell.environ.get("FLYBALL_DEBUG"):
            sys.excepthook(type(bug), bug, bug.__traceback__)
        why = f"{type(bug).__name__}: {bug}"
        return _say(shell, FlyballError("internal_error", "flyball failed", why, "FLYBALL_DEBUG=1 shows where."))


def _say(shell: Shell, error: FlyballError) -> ExitCode:
    code = exit_code(error)
    shell.screen.error(error, code)
    return code


def _drop_output() -> None:
    # Whoever read is gone; without this the interpreter complains when it flushes at its end.
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)


def _version() -> str:
    try:
        return version("flyball")
    except PackageNotFoundError:
        return "0+unknown"
