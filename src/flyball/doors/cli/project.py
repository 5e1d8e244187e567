"""Which project a command is about: the one named, the nearest `flyball.toml`, or the one journal in `.flyball/`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from flyball.adapters.config_toml import FILE_NAME, Loaded, bare, find_project, load
from flyball.core.errors import FlyballError
from flyball.doors.cli.shell import Shell

STATE: Final = ".flyball"


def project_of(shell: Shell) -> Loaded:
    """The configuration of the project. A `.flyball/NAME.db` stands for the project without a file that wrote it.

    Raises FlyballError `config_not_found` where there is no project, and as `load` does.
    """
    if shell.project is not None:
        named = Path(shell.project).expanduser().absolute()
        if named.suffix == ".db" and named.parent.name == STATE and named.is_file():
            return bare(named.stem, named.parent.parent, shell.env, shell.environ)
        return load(named, shell.env, shell.environ)
    here = Path.cwd()
    found = find_project(here)
    if found is not None:
        return load(found, shell.env, shell.environ)
    journals = sorted((here / STATE).glob("*.db"))
    if len(journals) == 1:
        return bare(journals[0].stem, here, shell.env, shell.environ)
    what = f"there is no {FILE_NAME} in {here} or above it"
    if journals:
        names = ", ".join(f"{STATE}/{journal.name}" for journal in journals)
        raise FlyballError("config_not_found", what, f"there are several journals: {names}", "Name one with --project.")
    raise FlyballError("config_not_found", what, fix="Go to the project's directory, or name it with --project.")
