"""The counter: one line in, lines out, whether it came over the socket or from this process. The only way in."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from flyball.app.control.callers import Caller, Callers
from flyball.app.control.commands import COMMANDS, Command
from flyball.app.control.office import Office
from flyball.app.control.wire import VERSION, question, told
from flyball.core.errors import FlyballError

HELLO = "hello"


class Counter:
    """Answers questions about one office."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self.session = secrets.token_hex(16)
        self._callers = Callers(office, self.session)

    async def answer(self, raw: bytes, uid: int) -> AsyncIterator[Mapping[str, Any]]:
        """The answer to a line from a process of this user: events, then one `data` or `error`. Never raises."""
        try:
            caller = self._callers.who(question(raw), uid)
            if caller.command == HELLO:
                yield {"data": self._hello(caller)}
                return
            command = self._command(caller)
            wanted = _arguments(command, caller)
            if command.stream is not None:
                yield {"stream": True}
                async for event in command.stream(self._office, caller, wanted):
                    yield {"event": event}
            data = await command.carry(self._office, caller, wanted) if command.carry is not None else {}
            yield {"data": {**data, "notices": self._office.notices(caller.by.tenant)}}
        except FlyballError as error:
            yield told(error)
        except Exception as bug:  # noqa: BLE001 - a station boundary: whoever asked gets a sentence, the owner lives on
            why = f"{type(bug).__name__}: {bug}"
            yield told(
                FlyballError("internal_error", "the owner failed to carry this out", why, "Look at the owner's output.")
            )

    def _hello(self, caller: Caller) -> dict[str, Any]:
        """What a request must be bound to, and who answers."""
        log, _ = self._office.rooms.ports.journal.view(caller.by.tenant).tree()
        return {
            "v": VERSION, "session": self.session, "log": log, "pid": os.getpid(), "code": self._office.code,
            "project": self._office.rooms.config.project.name, "notices": self._office.notices(caller.by.tenant),
        }  # fmt: skip

    def _command(self, caller: Caller) -> Command:
        command = COMMANDS.get(caller.command)
        if command is None:
            near = get_close_matches(caller.command, COMMANDS, 1)
            why = f"did you mean {near[0]}?" if near else ""
            raise FlyballError("request_refused", f"there is no command {caller.command!r}", why)
        if command.person and not caller.key:
            raise FlyballError(
                "not_eligible", f"{caller.by.id} may not {caller.command}",
                "the operating-system user alone may start runs, not decide",
                "Act with a person's key: export FLYBALL_KEY=FILE",
            )  # fmt: skip
        if command.need in ("drive", "fold") and not self._office.code:
            raise FlyballError("owner_busy", "this process only writes records", fix="Ask again in a moment.")
        return command


def _arguments(command: Command, caller: Caller) -> msgspec.Struct:
    try:
        return msgspec.convert(caller.arguments, command.arguments)
    except msgspec.ValidationError as bad:
        raise FlyballError("request_refused", f"{caller.command} is not asked like this", str(bad)) from bad
