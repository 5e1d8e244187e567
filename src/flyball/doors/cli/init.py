"""`flyball init`: writes a small project that runs at once.

The files of a template lie in the package (`flyball/templates`), those of every project in `common`; their names end in
`.tmpl` so that nothing takes them for code of ours. NAME stands for the project's name, in texts and in file names.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import click

from flyball.core.config import check_name
from flyball.core.errors import FlyballError
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell

TEMPLATES: Final = ("desk", "support", "data", "empty")
COMMON: Final = "common"
ENDING: Final = ".tmpl"
# Where a file goes that is not called so in the package: a name with a dot would be hidden there.
_PLACES: Final = {"gitignore": ".gitignore", "check.yml": ".github/workflows/check.yml"}
_ABOUT: Final = "desk: offers by mail; support: refunds; data: reports that are judged; empty: one tool, one agent."


@click.command("init", help="Write a small project NAME that runs at once, into a folder of that name.")
@click.argument("name")
@click.option("--template", type=click.Choice(TEMPLATES), default="desk", show_default=True, help=_ABOUT)
@pass_shell
def command(shell: Shell, name: str, template: str) -> None:
    """Writes it; refuses a folder that there is."""
    check_name("NAME", name)
    folder = Path.cwd() / name
    if folder.exists():
        raise FlyballError(
            "already_there", f"{folder} is there already", "nothing of yours is overwritten",
            "Choose another name, or remove it.",
        )  # fmt: skip
    written = write(folder, template, name)
    told = {"name": name, "template": template, "folder": str(folder), "files": written}

    def show(screen: Screen) -> None:
        screen.line(f"{name}: {len(written)} files in {folder}", "good")
        screen.line(f"next: cd {name}; flyball policy test; python -m pytest; and README.md says what to run")

    shell.screen.result("init", told, show)


def write(folder: Path, template: str, name: str) -> list[str]:
    """Writes a template's files into a folder that it makes; gives their names."""
    texts = texts_of(template, name)
    for file, text in texts.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return sorted(texts)


def texts_of(template: str, name: str) -> dict[str, str]:
    """The files of a project by name: those of every project, and over them those of its template."""
    root = files("flyball").joinpath("templates")
    plain = name.replace("-", "_").replace(".", "_")
    found: dict[str, str] = {}
    for place in (COMMON, template):
        for file, text in _read(root.joinpath(place), ""):
            found[_PLACES.get(file, file.replace("NAME", plain))] = text.replace("NAME", name)
    return found


def _read(folder: Traversable, above: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for one in folder.iterdir():
        if one.is_dir():
            found += _read(one, f"{above}{one.name}/")
        elif one.name.endswith(ENDING):
            found.append((above + one.name.removesuffix(ENDING), one.read_text("utf-8")))
    return found
