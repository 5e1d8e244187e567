"""An open project that serves its socket, and somebody at the other end."""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flyball.adapters.config_toml import load
from flyball.app.control.channel import SocketChannel
from flyball.app.control.wire import raised
from flyball.app.flyball import Flyball
from flyball.core.config import Config
from flyball.core.credential import SigningKey, sign_request
from flyball.core.identity import Principal
from flyball.core.journal import KeyRow
from tests.doors.desk import POLICY, TOML, TOOLS

KIM = Principal("user:kim")
FAY = SigningKey(name="fay", seed=b"f" * 32)
EVE = SigningKey(name="eve", seed=b"e" * 32)


def project(folder: Path) -> Config:
    """A project on disk."""
    (folder / "policies").mkdir(parents=True)
    (folder / "policies" / "desk.cedar").write_text(POLICY)
    (folder / "paydesk.py").write_text(TOOLS)
    (folder / "flyball.toml").write_text(TOML)
    config: Config = load(folder, environ={"HOME": str(folder / "home")}).config
    return config


@asynccontextmanager
async def owner(config: Config) -> AsyncIterator[Flyball]:
    """The project, open in this process, with fay in its directory."""
    async with Flyball.open(config) as app:
        await app.runs.ready("local")
        if not app.keys.list():
            await app.keys.enrol(row(FAY, "finance"))
        yield app


def row(key: SigningKey, *groups: str) -> KeyRow:
    """A person's line in the directory."""
    public = base64.b64encode(key.public).decode()
    return KeyRow(id=key.id, person=f"user:{key.name}", groups=groups, public=public, created=1)


async def waiting(app: Flyball) -> str:
    """The id of a payment that waits for finance."""
    result = await app.run(app.rooms.project.flows["handle"], 30, by=KIM)
    return str(result.pending[0].id)  # type: ignore[union-attr]


class Client:
    """The other end of the socket, with a key or without."""

    def __init__(self, channel: SocketChannel, key: SigningKey | None = None) -> None:
        self.channel, self.key = channel, key
        self.hello: dict[str, Any] = {}

    @classmethod
    async def of(cls, config: Config, key: SigningKey | None = None) -> Client:
        """Somebody who has said hello."""
        channel = await SocketChannel.open(Path(config.journal.path))
        assert channel is not None
        client = cls(channel, key)
        client.hello = await client.send({"v": 1, "command": "hello", "arguments": {}})
        return client

    async def send(self, message: dict[str, Any]) -> dict[str, Any]:
        """A message and the data of its answer; raises what was answered."""
        async for told in self.channel.exchange(message):
            if "error" in told:
                raise raised(told["error"])
            if "data" in told:
                return dict(told["data"])
        raise AssertionError("no answer")

    def signed(self, command: str, *, nonce: str = "", at: int = 0, now: int = 0, **arguments: Any) -> dict[str, Any]:
        """A request by the key, bound to where it goes unless the arguments say otherwise."""
        assert self.key is not None
        bound = {"tenant": "local", "log": self.hello["log"], "session": self.hello["session"]}
        request = sign_request(
            self.key, command, {**bound, **arguments}, issued_us=at or now, nonce=nonce or secrets.token_hex(16)
        )
        return {"v": 1, "signed": request}

    async def ask(self, app: Flyball, command: str, **arguments: Any) -> dict[str, Any]:
        """A command, signed where there is a key."""
        if self.key is None:
            return await self.send({"v": 1, "command": command, "arguments": arguments})
        return await self.send(self.signed(command, now=app.rooms.ports.clock.now(), **arguments))
