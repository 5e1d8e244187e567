"""Channels to whoever carries commands out: over the owner's socket, or to a counter in this process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, Self

from flyball.app.control.address import find, peer
from flyball.app.control.counter import Counter
from flyball.app.control.wire import MAX_LINE, line
from flyball.core.canonical import parse_json
from flyball.core.errors import FlyballError

CONNECT_S = 2.0


class Channel(Protocol):
    """Carries one line there and the answer's messages back."""

    def exchange(self, message: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The messages up to and with the one that is `data` or `error`."""
        ...


class LocalChannel:
    """To a counter in this process: the same lines as over the socket, without one."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def exchange(self, message: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The counter's own messages, as they would have crossed."""
        async for told in self._counter.answer(line(message), os.geteuid()):
            yield parse_json(line(told), max_bytes=MAX_LINE)


class SocketChannel:
    """To the owner of a journal."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, database: Path) -> Self | None:
        """A connection to the owner; None where nobody listens. The owner must run as this user."""
        path = find(database)
        if path is None:
            return None
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
        except (OSError, TimeoutError):
            return None
        if peer(writer.get_extra_info("socket")) != os.geteuid():
            writer.close()
            raise FlyballError("request_refused", f"{path} is answered by another user", fix="Look at who made it.")
        return cls(reader, writer)

    async def exchange(self, message: Mapping[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """The owner's messages; raises FlyballError `owner_gone` where it ends before it has answered."""
        try:
            self._writer.write(line(message))
            await self._writer.drain()
            while raw := await self._reader.readline():
                told: Mapping[str, Any] = parse_json(raw, max_bytes=MAX_LINE)
                yield told
                if "data" in told or "error" in told:
                    return
        except (ConnectionError, ValueError) as bad:
            raise _gone(str(bad)) from bad
        raise _gone("")

    async def close(self) -> None:
        """Hangs up."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def _gone(why: str) -> FlyballError:
    return FlyballError(
        "owner_gone", "the owner of the project ended before it answered", why,
        "What it recorded is there: flyball runs. Ask again.",
    )  # fmt: skip
