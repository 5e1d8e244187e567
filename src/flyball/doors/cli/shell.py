"""What every command is handed: which project and environment were asked for, and the screen to speak on.

A command is one file `flyball/doors/cli/NAME.py` with a click command (or group) called `command`, and one row in
`commands.COMMANDS`. It takes the shell with `@pass_shell`, says things on `shell.screen`, raises FlyballError for what
went wrong and returns an `ExitCode` where the answer is not OK. It opens its project with `project.project_of(shell)`.
`--project`, `--env`, `--tenant` and `--json` are added to every command: they may stand before or after its name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TextIO

import click

from flyball.doors.cli.output import Screen, screen


@dataclass(slots=True)
class Shell:
    """One call of the command line. `project` is a path as typed, `env` the overlay, None where not given."""

    project: str | None = None
    env: str | None = None
    tenant: str = "local"
    json: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    err: TextIO = field(default_factory=lambda: sys.stderr)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    _screen: Screen | None = None

    @property
    def screen(self) -> Screen:
        """Where to speak; asked for after the options were read."""
        if self._screen is None or self._screen.json != self.json:
            self._screen = screen(as_json=self.json, out=self.out, err=self.err, environ=self.environ)
        return self._screen


pass_shell: Final = click.make_pass_decorator(Shell)


def shared_options() -> list[click.Parameter]:
    """The options that every command takes; each keeps its value in the shell."""
    project, env = "The project's flyball.toml or its directory.", "The [env.NAME] tables to lay over the file."
    return [
        _option("--project", project, metavar="PATH"),
        _option("--env", env, metavar="NAME"),
        _option("--tenant", "Whose runs and keys (default: local).", metavar="NAME"),
        _option("--json", "Answer in JSON, one versioned object per line.", is_flag=True),
    ]


def with_shared_options(command: click.Command) -> click.Command:
    """The command, and all commands inside it, with the shared options that it does not have yet."""
    taken = {name for parameter in command.params for name in parameter.opts}
    command.params.extend(o for o in shared_options() if not taken.intersection(o.opts))
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            with_shared_options(inner)
    return command


def _option(flag: str, text: str, **settings: Any) -> click.Option:
    return click.Option([flag], help=text, expose_value=False, callback=_keep(flag.lstrip("-")), **settings)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        # Given before the command's name and not after it: what was given stays.
        if value:
            setattr(context.ensure_object(Shell), name, value)

    return keep
