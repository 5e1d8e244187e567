"""`flyball answer`: answers a question, or says what became of an unknown outcome."""

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
from flyball.doors.cli.run import text_of
from flyball.doors.cli.shell import Shell, pass_shell

_HELP = (
    "Answer the question ID with VALUE: JSON, text, or @FILE. "
    "For an unknown outcome VALUE is executed or failed: what somebody found out."
)


@click.command("answer", help=_HELP)
@click.argument("id")
@click.argument("value")
@click.option("--text", is_flag=True, help="VALUE is text, even where it reads as JSON.")
@click.option("--result", default="", metavar="JSON", help="What an action that was executed returned.")
@click.option("--reason", default="", metavar="WHY", help="Why; it is recorded.")
@click.option("--resume", is_flag=True, help="Go on with the run where nobody drives it.")
@pass_shell
def command(shell: Shell, id: str, value: str, text: bool, result: str, reason: str, resume: bool) -> ExitCode:
    """Answers it."""

    async def answer(session: Session, key: SigningKey, asked: Mapping[str, Any]) -> dict[str, Any]:
        about = {"id": id, "over": asked["over"], "reason": reason}
        if asked["kind"] == "unknown":
            return await session.ask("resolve", **about, status=value, result=text_of(result))
        return await session.ask("answer", **about, value=_json(text_of(value), text))

    return decide(shell, id, answer, resume=resume)


def _json(given: str, text: bool) -> str:
    if not text:
        try:
            return json.dumps(parse_json(given))
        except FlyballError:
            text = True
    return json.dumps(given)
