"""Which project a command is about: the one named, the nearest `flyball.toml`, or the one journal in `.flyball/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from flyball.app.plugs import adapter
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.doors.cli.shell import Shell

STATE: Final = ".flyball"


class Loaded(Protocol):
    """A configuration, where each of its values came from, and its file (None: there is none)."""

    @property
    def config(self) -> Config:
        """What is in force."""
        ...

    @property
    def sources(self) -> Mapping[str, str]:
        """Each dotted key with its source."""
        ...

    @property
    def file(self) -> Path | None:
        """The file."""
        ...


def project_of(shell: Shell) -> Loaded:
    """The configuration of the project. A `.flyball/NAME.db` stands for the project without a file that wrote it.

    Raises FlyballError `config_not_found` where there is no project, and as `load` does.
    """
    toml: Any = adapter("config")
    found: Loaded
    if shell.project is not None:
        named = Path(shell.project).expanduser().absolute()
        if named.suffix == ".db" and named.parent.name == STATE and named.is_file():
            found = toml.bare(named.stem, named.parent.parent, shell.env, shell.environ)
        else:
            found = toml.load(named, shell.env, shell.environ)
        return found
    here = Path.cwd()
    file = toml.find_project(here)
    if file is not None:
        found = toml.load(file, shell.env, shell.environ)
        return found
    journals = sorted((here / STATE).glob("*.db"))
    if len(journals) == 1:
        found = toml.bare(journals[0].stem, here, shell.env, shell.environ)
        return found
    what = f"there is no {toml.FILE_NAME} in {here} or above it"
    if journals:
        names = ", ".join(f"{STATE}/{journal.name}" for journal in journals)
        raise FlyballError("config_not_found", what, f"there are several journals: {names}", "Name one with --project.")
    raise FlyballError("config_not_found", what, fix="Go to the project's directory, or name it with --project.")
