"""What approve, deny, edit and answer share: a person's key, the version that was shown, what happens next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from flyball.app.control.session import Session
from flyball.core.credential import SigningKey
from flyball.doors.cli.asking import ask, persons_key, say, within
from flyball.doors.cli.exit_code import ExitCode, ended
from flyball.doors.cli.output import Screen
from flyball.doors.cli.shell import Shell
from flyball.doors.cli.telling import INDENT, ending

Decision = Callable[[Session, SigningKey, Mapping[str, Any]], Awaitable[dict[str, Any]]]


def decide(shell: Shell, id: str, decision: Decision, *, resume: bool) -> ExitCode:
    """Fetches what waits as `id`, decides it with the acting key, says what was recorded.

    A run that nobody drives goes on at once with `resume`; then the answer is the run's own.
    """
    key = persons_key(shell)

    async def work(session: Session) -> dict[str, Any]:
        return await decision(session, key, await session.ask("approval", id=id))

    told = within(shell, "write", work, key)
    say(shell, str(told["did"]), told, lambda screen: _tell(screen, told, resume))
    if not resume or told["driven"]:
        return ExitCode.OK
    result = ask(shell, "resume", run=told["run"])["runs"][0]
    shell.screen.result("run", result, lambda screen: ending(screen, result))
    return ended(result["reason"])


def _tell(screen: Screen, told: Mapping[str, Any], resume: bool) -> None:
    screen.line(f"{told['did']}: {told['about'] or told['id']} by {told['by']}, over {told['over'][:16]}", "good")
    if told["groups"] and told["state"] == "open":
        screen.line(f"{INDENT}still waits for {', '.join(told['groups'])}", "warn")
    elif not told["driven"] and not resume:
        screen.line(f"{INDENT}recorded; nobody drives this run now: flyball resume {told['run']}", "dim")
