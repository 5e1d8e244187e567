"""How commands reach their project: one session, the acting key, and the notices that every surface must show."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from flyball.app.control.commands import COMMANDS, Need
from flyball.app.control.session import Session, reach
from flyball.app.plugs import adapter
from flyball.core.config import Config
from flyball.core.credential import SigningKey
from flyball.core.errors import FlyballError
from flyball.doors.cli.exit_code import ExitCode
from flyball.doors.cli.output import Screen
from flyball.doors.cli.project import project_of
from flyball.doors.cli.shell import Shell

T = TypeVar("T")


def within(shell: Shell, need: Need, work: Callable[[Session], Awaitable[T]], key: SigningKey | None) -> T:
    """Does the work in a session with the project's owner, or with an office that this process opens."""
    return asyncio.run(_within(project_of(shell).config, shell.tenant, need, work, key))


async def _within(
    config: Config, tenant: str, need: Need, work: Callable[[Session], Awaitable[T]], key: SigningKey | None
) -> T:
    async with reach(config, need, tenant=tenant, key=key) as session:
        return await work(session)


def ask(shell: Shell, command: str, **arguments: Any) -> dict[str, Any]:
    """One question and its answer."""
    need = COMMANDS[command].need
    key = None if need in ("read", "fold") else acting_key(shell)
    return within(shell, need, lambda session: session.ask(command, **arguments), key)


def acting_key(shell: Shell) -> SigningKey | None:
    """The key that `FLYBALL_KEY` names, None where it is not set."""
    key: SigningKey | None = adapter("keyfile").acting_key(shell.environ)
    return key


def persons_key(shell: Shell) -> SigningKey:
    """The acting key; raises FlyballError `not_eligible` where there is none, because deciding needs a person."""
    key = acting_key(shell)
    if key is None:
        raise FlyballError(
            "not_eligible", "deciding needs a person's key",
            "the operating-system user alone may start runs, not decide",
            "export FLYBALL_KEY=FILE; flyball key create NAME --group GROUP makes one.",
        )  # fmt: skip
    return key


def say(shell: Shell, kind: str, data: Mapping[str, Any], show: Callable[[Screen], None]) -> None:
    """Says the answer, after what every surface must say."""

    def shown(screen: Screen) -> None:
        announce(screen, data.get("notices", {}))
        show(screen)

    shell.screen.result(kind, data, shown)


def announce(screen: Screen, notices: Mapping[str, Any]) -> None:
    """That models are scripted, and that the starter policy is in force."""
    if notices.get("scripted"):
        screen.line(f"note: scripted, no model answers: {', '.join(notices['scripted'])}", "warn")
    if notices.get("starter"):
        screen.line("note: the starter policy is in force (flyball/starter)", "warn")
    for standing in notices.get("standing", ()):
        screen.line(f"note: {standing}", "warn")


def worst(codes: list[ExitCode]) -> ExitCode:
    """One exit code for several runs: what ended badly before what waits, different endings as a failure."""
    bad = {code for code in codes if code not in (ExitCode.OK, ExitCode.WAITING)}
    if bad:
        return bad.pop() if len(bad) == 1 else ExitCode.FAILURE
    return ExitCode.WAITING if ExitCode.WAITING in codes else ExitCode.OK
