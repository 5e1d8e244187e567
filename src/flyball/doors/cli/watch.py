"""`flyball watch`: follows what happens, as it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import click

from flyball.app.control.session import Session
from flyball.core.errors import FlyballError
from flyball.doors.cli.asking import announce, within
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell, pass_shell
from flyball.doors.cli.telling import moment, short

_SHOWN = ("action", "what", "outcome", "status", "pending", "about", "groups", "because", "policies", "by", "reason",
          "code", "message", "detail", "arguments")  # fmt: skip


@click.command("watch", help="Follow RUN until it ends; without RUN, everything, until interrupted.")
@click.argument("run", default="")
@click.option("--after", default=0, type=click.IntRange(0), metavar="N", help="Only events after this sequence.")
@pass_shell
def command(shell: Shell, run: str, after: int) -> None:
    """Follows it. When the owner ends, the journal itself is read on."""
    seen = [after]

    async def follow(session: Session) -> bool:
        if seen == [after]:
            shell.screen.result(
                "watching", {"run": run, "notices": session.notices}, lambda s: announce(s, session.notices)
            )
        try:
            async for event in session.events("watch", run=run, after=seen[-1]):
                seen.append(max(seen[-1], event.get("sequence", 0)))
                shell.screen.result("event", {"event": event}, partial(tell, event))
        except FlyballError as gone:
            if gone.code != "owner_gone":
                raise
            return False
        return True

    while not within(shell, "read", follow, None):
        seen.append(seen[-1])


def tell(event: Mapping[str, Any], screen: Screen) -> None:
    """One event on one line."""
    where = "/".join(str(event[name]) for name in ("run", "path") if event.get(name))
    facts = "  ".join(f"{name}={_fact(event[name])}" for name in _SHOWN if name in event)
    screen.line(f"{moment(event.get('time', 0))}  {where}  {event['event']}  {facts}")


def _fact(value: Any) -> str:
    if isinstance(value, str):
        return value.replace("\n", "\\n")
    return ",".join(map(str, value)) if isinstance(value, list) else short(value)
