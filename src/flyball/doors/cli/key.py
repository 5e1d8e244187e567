"""`flyball key`: the keys that people act with. A key is the person; there is no option that says who you are."""

from __future__ import annotations

import base64
import re
import shlex
from typing import Any, Final

import click

from flyball.adapters.keyfile import create_key, key_directory, list_keys, read_key
from flyball.core.credential import enrolled
from flyball.core.errors import FlyballError
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell

_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@click.group("key", help="Make and list the keys that people act with.")
def command() -> None:
    """The group."""


@command.command("create")
@click.argument("name")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group the person is in; may be repeated.")
@pass_shell
def create(shell: Shell, name: str, groups: tuple[str, ...]) -> None:
    """Make a key for the person NAME. The private key stays in one file that only its owner can read."""
    for group in groups:
        if not _GROUP.fullmatch(group):
            raise click.BadParameter(f"{group!r} is no name of a group", param_hint="--group")
    key, path = create_key(name, key_directory(shell.environ))
    data = {
        "name": name,
        "principal": f"user:{name}",
        "groups": sorted(set(groups)),
        "key": enrolled(key.public),
        "public": base64.b64encode(key.public).decode(),
        "file": str(path),
    }

    def print_key(screen: Screen) -> None:
        screen.facts({**data, "groups": ", ".join(sorted(set(groups))) or "none"})
        screen.line(f"To act with it: export FLYBALL_KEY={shlex.quote(str(path))}")

    shell.screen.result("key_created", data, print_key)


@command.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """List the key files of this user."""
    directory = key_directory(shell.environ)
    keys: list[dict[str, Any]] = []
    for path in list_keys(directory):
        try:
            key = read_key(path)
            keys.append({"name": key.name, "key": key.id, "file": str(path), "problem": None})
        except FlyballError as error:
            keys.append({"name": path.stem, "key": None, "file": str(path), "problem": str(error)})

    def print_keys(screen: Screen) -> None:
        if not keys:
            screen.line(f"no keys in {directory}")
            return
        screen.table(("name", "key", "file"), [(k["name"], k["key"] or k["problem"], k["file"]) for k in keys])

    shell.screen.result("keys", {"directory": str(directory), "keys": keys}, print_keys)
