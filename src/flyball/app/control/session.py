"""A session with a project: the owner's, where there is one; else with an office that this process opens itself.

Whoever finds the journal owned by a process that does not answer (it is just opening, or closing) waits PATIENCE_S.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from flyball.app.control.channel import Channel, LocalChannel, SocketChannel
from flyball.app.control.commands import COMMANDS, Need
from flyball.app.control.counter import HELLO, Counter
from flyball.app.control.local import driving, looking, writing
from flyball.app.control.office import Office
from flyball.app.control.wire import VERSION, raised
from flyball.app.plugs import adapter
from flyball.core.config import Config
from flyball.core.credential import SigningKey, sign_request
from flyball.core.errors import FlyballError

PATIENCE_S = 5.0
PAUSE_S = 0.05
# What can be carried out beside an owner.
_LOOKS = ("read", "fold")
# An owner that is just opening or closing: a moment later there is one that answers, or none.
_PASSING = ("journal_owned", "owner_gone")


class Session:
    """Asks an office, signed by a person's key where there is one. `owner` is the process id of another owner, or 0."""

    def __init__(
        self, channel: Channel, tenant: str, key: SigningKey | None, hello: Mapping[str, Any], owner: int
    ) -> None:
        self._channel, self._tenant, self._key, self._hello = channel, tenant, key, hello
        self.owner = owner

    @property
    def project(self) -> str:
        """The project's name."""
        return str(self._hello["project"])

    @property
    def notices(self) -> Mapping[str, Any]:
        """What every surface must say."""
        told: Mapping[str, Any] = self._hello["notices"]
        return told

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """The answer; raises FlyballError as whoever carried it out did."""
        async for told in self._exchange(command, arguments):
            if "data" in told:
                return dict(told["data"])
        raise FlyballError("owner_gone", "there was no answer", fix="Ask again.")

    async def events(self, command: str, **arguments: Any) -> AsyncIterator[dict[str, Any]]:
        """The events of a stream, until it ends; raises as `ask` does."""
        async for told in self._exchange(command, arguments):
            if "event" in told:
                yield told["event"]

    async def _exchange(self, command: str, arguments: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        async for told in self._channel.exchange(self._message(command, arguments)):
            if "error" in told:
                raise raised(told["error"])
            yield told

    def _message(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        look = command in COMMANDS and COMMANDS[command].need in ("read", "fold")
        if self._key is None or look:  # who only looks need not be in the directory
            return {"v": VERSION, "command": command, "arguments": {**arguments, "tenant": self._tenant}}
        bound = {"tenant": self._tenant, "log": self._hello["log"], "session": self._hello["session"]}
        request = sign_request(
            self._key, command, {**arguments, **bound}, issued_us=adapter("clock")().now(), nonce=secrets.token_hex(16)
        )
        return {"v": VERSION, "signed": request}


@asynccontextmanager
async def reach(
    config: Config, need: Need, *, tenant: str = "local", key: SigningKey | None = None
) -> AsyncIterator[Session]:
    """A session with the project's owner, or with an office of this process that has what `need` says.

    Raises FlyballError `journal_owned` where an owner does not answer, and as opening the project does.
    """
    async with AsyncExitStack() as stack:
        channel, owner = await _channel(stack, config, need, tenant)
        yield Session(channel, tenant, key, await _hello(channel, tenant), owner)


async def _channel(stack: AsyncExitStack, config: Config, need: Need, tenant: str) -> tuple[Channel, int]:
    patience = asyncio.get_running_loop().time() + PATIENCE_S
    looks = need in _LOOKS
    while True:
        try:
            found = await _owner(stack, config, tenant)
            return found or (LocalChannel(Counter(await _office(stack, config, need, tenant))), 0)
        except FlyballError as held:
            if held.code == "owner_busy" and looks:  # the journal can be read beside an owner that does not answer
                return LocalChannel(Counter(await _office(stack, config, need, tenant))), 0
            if held.code not in _PASSING or asyncio.get_running_loop().time() > patience:
                raise
        await asyncio.sleep(PAUSE_S)


async def _owner(stack: AsyncExitStack, config: Config, tenant: str) -> tuple[Channel, int] | None:
    found = await SocketChannel.open(Path(config.journal.path))
    if found is None:
        return None
    stack.push_async_callback(found.close)
    return found, int((await _hello(found, tenant))["pid"])


async def _office(stack: AsyncExitStack, config: Config, need: Need, tenant: str) -> Office:
    if need in _LOOKS:
        return await stack.enter_async_context(looking(config, code=need == "fold"))
    if need == "write":
        return await stack.enter_async_context(writing(config, tenant))
    return await stack.enter_async_context(driving(config))


async def _hello(channel: Channel, tenant: str) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for told in channel.exchange({"v": VERSION, "command": HELLO, "arguments": {"tenant": tenant}}):
                if "error" in told:
                    raise raised(told["error"])
                hello: Mapping[str, Any] = told["data"]
                return hello
    except TimeoutError as late:
        raise FlyballError("owner_busy", "the owner of the project does not answer", f"not in {PATIENCE_S:g} seconds",
                           "A tool may hold its event loop; ask again.") from late  # fmt: skip
    raise FlyballError("owner_gone", "there was no answer", fix="Ask again.")
