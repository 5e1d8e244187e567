"""`flyball key`: the keys that people act with. A key is the person; there is no option that says who you are."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from flyball.app.control.session import Session
from flyball.app.plugs import adapter
from flyball.core.credential import SigningKey, enrolled
from flyball.core.errors import FlyballError
from flyball.doors.cli.asking import acting_key, ask, say, within
from flyball.doors.cli.output import Screen
from flyball.doors.cli.project import Loaded, project_of
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import moment

_GROUP: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@click.group("key", help="Make and list the keys that people act with.")
def command() -> None:
    """The group."""


@command.command("create")
@click.argument("name")
@click.option("--group", "groups", multiple=True, metavar="GROUP", help="A group the person is in; may be repeated.")
@pass_shell
def create(shell: Shell, name: str, groups: tuple[str, ...]) -> None:
    """Make a key for the person NAME, and enrol its public half in the project's directory.

    The private key stays in one file that only its owner can read. A key that is there already is enrolled in a project
    that does not know it.
    """
    for group in groups:
        if not _GROUP.fullmatch(group):
            raise click.BadParameter(f"{group!r} is no name of a group", param_hint="--group")
    loaded = _project(shell)
    key, path, fresh = _made(shell, name, again=loaded is not None)
    mine = sorted(set(groups))
    public = base64.b64encode(key.public).decode()
    try:
        told = _enrol(shell, name, mine, public) if loaded is not None else {}
    except FlyballError:
        if fresh:  # nobody knows the key: the next try starts afresh
            path.unlink(missing_ok=True)
        raise
    data = {
        "name": name, "principal": f"user:{name}", "groups": mine, "key": enrolled(key.public), "public": public,
        "file": str(path), "enrolled": loaded.config.project.name if loaded is not None else None,
        "notices": told.get("notices", {}),
    }  # fmt: skip

    def print_key(screen: Screen) -> None:
        facts = {name: value for name, value in data.items() if name != "notices"}
        screen.facts(
            {**facts, "groups": ", ".join(mine) or "none", "enrolled": data["enrolled"] or "no: not in a project"}
        )
        screen.line(f"To act with it: export FLYBALL_KEY={shlex.quote(str(path))}")

    say(shell, "key_created", data, print_key)


@command.command("list")
@pass_shell
def list_(shell: Shell) -> None:
    """List the key files of this user, and the directory of the project."""
    directory = adapter("keyfile").key_directory(shell.environ)
    keys = [_file(path) for path in adapter("keyfile").list_keys(directory)]
    known = _known(shell)

    def print_keys(screen: Screen) -> None:
        if not keys:
            screen.line(f"no keys in {directory}")
        else:
            screen.table(("name", "key", "file"), [(k["name"], k["key"] or k["problem"], k["file"]) for k in keys])
        if known:
            screen.line()
            screen.table(("person", "groups", "key", "since", "revoked"), [
                (k["person"], ", ".join(k["groups"]), k["id"], moment(k["created"]), moment(k["revoked"]))
                for k in known
            ])  # fmt: skip

    shell.screen.result("keys", {"directory": str(directory), "keys": keys, "enrolled": known}, print_keys)


@command.command("revoke")
@click.argument("key")
@pass_shell
def revoke(shell: Shell, key: str) -> None:
    """End a key's use at once, named by its id or its person. What it signed before stays as it is."""

    async def work(session: Session) -> dict[str, Any]:
        return await session.ask("key_revoke", key=key)

    told = within(shell, "write", work, _enrolled_key(shell))
    say(
        shell,
        "key_revoked",
        told,
        lambda screen: screen.line(f"revoked: key {told['key']} of {told['person']}", "good"),
    )


def _project(shell: Shell) -> Loaded | None:
    try:
        return project_of(shell)
    except FlyballError as none:
        if none.code != "config_not_found" or shell.project is not None:
            raise
        return None


def _made(shell: Shell, name: str, *, again: bool) -> tuple[SigningKey, Path, bool]:
    """The person's key and its file: a new one, or (`again`) the one that is there."""
    files = adapter("keyfile")
    directory = files.key_directory(shell.environ)
    try:
        key, path = files.create_key(name, directory)
        return key, path, True
    except FlyballError as there:
        if there.code != "key_exists" or not again:
            raise
    path = directory / f"{name}.key"
    return files.read_key(path), path, False


def _enrol(shell: Shell, name: str, groups: list[str], public: str) -> Mapping[str, Any]:
    async def work(session: Session) -> dict[str, Any]:
        return await session.ask("key_enrol", name=name, groups=groups, public=public)

    return within(shell, "write", work, _enrolled_key(shell))


def _enrolled_key(shell: Shell) -> SigningKey | None:
    """The acting key where the directory knows it: a key that nobody knows yet cannot vouch for anybody."""
    key = acting_key(shell)
    return key if key is not None and any(k["id"] == key.id and not k["revoked"] for k in _known(shell)) else None


def _known(shell: Shell) -> list[dict[str, Any]]:
    """The project's directory; empty outside a project and before its first run."""
    if _project(shell) is None:
        return []
    try:
        known: list[dict[str, Any]] = ask(shell, "keys")["keys"]
    except FlyballError as none:
        if none.code != "journal_missing":
            raise
        return []
    return known


def _file(path: Path) -> dict[str, Any]:
    try:
        key = adapter("keyfile").read_key(path)
    except FlyballError as error:
        return {"name": path.stem, "key": None, "file": str(path), "problem": str(error)}
    return {"name": key.name, "key": key.id, "file": str(path), "problem": None}
