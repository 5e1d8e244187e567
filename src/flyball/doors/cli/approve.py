"""`flyball approve`: signs exactly what was shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from flyball.app.control.session import Session
from flyball.core.credential import SigningKey, sign_approval
from flyball.doors.cli.deciding import decide
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.shell import Shell, pass_shell

_OVER = "The version that you were shown (flyball approvals says it); another one is refused."


@click.command("approve", help="Sign what waits as ID with your key (FLYBALL_KEY).")
@click.argument("id")
@click.option("--reason", required=True, metavar="WHY", help="Why; it is recorded.")
@click.option("--over", default="", metavar="HEX", help=_OVER)
@click.option("--resume", is_flag=True, help="Go on with the run where nobody drives it.")
@pass_shell
def command(shell: Shell, id: str, reason: str, over: str, resume: bool) -> ExitCode:
    """Signs it."""

    async def approve(session: Session, key: SigningKey, asked: Mapping[str, Any]) -> dict[str, Any]:
        version = over or str(asked["over"])
        signature = sign_approval(key, version)
        return await session.ask("approve", id=id, over=version, reason=reason, signature=signature)

    return decide(shell, id, approve, resume=resume)
