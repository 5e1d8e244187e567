"""`flyball edit`: changes arguments of what waits; they are decided again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from flyball.app.control.session import Session
from flyball.core.canonical import parse_json
from flyball.core.credential import SigningKey
from flyball.core.errors import FlyballError
from flyball.doors.cli.deciding import decide
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.shell import Shell, pass_shell


@click.command("edit", help="Change arguments of what waits as ID. It is decided again, and you cannot approve it.")
@click.argument("id")
@click.argument("changes", nargs=-1, required=True, metavar="NAME=VALUE...")
@click.option("--reason", default="", metavar="WHY", help="Why; it is recorded.")
@click.option("--resume", is_flag=True, help="Go on with the run where nobody drives it.")
@pass_shell
def command(shell: Shell, id: str, changes: tuple[str, ...], reason: str, resume: bool) -> ExitCode:
    """Changes them."""
    given = dict(_pair(each) for each in changes)

    async def edit(session: Session, key: SigningKey, asked: Mapping[str, Any]) -> dict[str, Any]:
        read = {name: value_of(text, asked["arguments"].get(name)) for name, text in given.items()}
        return await session.ask("edit", id=id, over=asked["over"], changes=json.dumps(read), reason=reason)

    return decide(shell, id, edit, resume=resume)


def value_of(text: str, before: Any) -> Any:
    """A value as typed: text stays text where it was text before; else JSON, or text where it is none."""
    if isinstance(before, str) and not text.startswith('"'):
        return text
    try:
        return parse_json(text)
    except FlyballError:
        return text


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="NAME=VALUE")
    return name, value
