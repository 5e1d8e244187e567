"""`flyball deny`: says no."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flyball.app.control.session import Session
from flyball.core.credential import SigningKey
from flyball.doors.cli.deciding import decide
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.shell import Shell, pass_shell


@click.command("deny", help="Say no to what waits as ID; it is not asked about again in this run.")
@click.argument("id")
@click.option("--reason", required=True, metavar="WHY", help="Why; it is recorded.")
@click.option("--resume", is_flag=True, help="Go on with the run where nobody drives it.")
@pass_shell
def command(shell: Shell, id: str, reason: str, resume: bool) -> ExitCode:
    """Says no."""

    async def deny(session: Session, key: SigningKey, asked: Mapping[str, Any]) -> dict[str, Any]:
        return await session.ask("deny", id=id, over=asked["over"], reason=reason)

    return decide(shell, id, deny, resume=resume)
