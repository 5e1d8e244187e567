"""The owner's socket: whoever opened the project's journal answers other terminals of the same user.

Rules:

* One request per line; the next one waits for the answer. Connections are answered side by side.
* When the project closes, nobody is let in any more, and what is being carried out gets GRACE_S to end.
* A project without a socket is a project all the same: where none can be made, this is said once and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from flyball.app.control.address import Bound, bind, peer
from flyball.app.control.counter import Counter
from flyball.app.control.office import Office
from flyball.app.control.wire import MAX_LINE, line, told
from flyball.core.errors import FlyballError

GRACE_S = 2.0
LOG = logging.getLogger("flyball")


class Server:
    """Serves one office."""

    def __init__(self, office: Office, bound: Bound) -> None:
        self._counter, self._bound = Counter(office), bound
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()
        self._streams: set[asyncio.Task[Any] | None] = set()
        self._open: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = {}
        self._closing = False

    @classmethod
    async def start(cls, office: Office, database: Path) -> Self | None:
        """Serves beside the database, which this process owns; None where no socket can be made."""
        try:
            bound = bind(database)
        except OSError as bad:
            LOG.warning("no control socket beside %s: %s", database, bad)
            return None
        server = cls(office, bound)
        server._server = await asyncio.start_unix_server(server._connected, sock=bound.socket, limit=MAX_LINE)
        return server

    @property
    def path(self) -> Path:
        """Where the socket is."""
        return self._bound.path

    async def close(self) -> None:
        """Lets nobody in, lets what began end (for a while), and goes."""
        self._closing = True
        self._bound.release()
        if self._server is not None:
            self._server.close()
        for task in self._streams:
            if task is not None:
                task.cancel()
        if self._busy:
            _, late = await asyncio.wait(self._busy, timeout=GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        still = [task for task in self._open if task is not None]
        for writer in self._open.values():
            writer.close()
        if still:
            await asyncio.wait(still, timeout=GRACE_S)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[asyncio.current_task()] = writer
        uid = peer(writer.get_extra_info("socket"))
        try:
            ahead: bytes | None = b""
            while ahead is not None and not self._closing and (raw := ahead + await _line(reader, writer)):
                ahead = await self._carry(raw, uid, reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            return  # whoever asked is gone, or this process ends: there is nobody to tell
        finally:
            self._open.pop(asyncio.current_task(), None)
            writer.close()

    async def _carry(
        self, raw: bytes, uid: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytes | None:
        """Answers one line; None once the other side hung up. That ends a stream, but never what changes something.

        Whoever asks again at once may be read a byte ahead by what listens for a hang-up: it belongs to the next line.
        """
        task = asyncio.get_running_loop().create_task(self._answer(raw, uid, writer))
        hung_up = asyncio.get_running_loop().create_task(reader.read(1))
        self._busy.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait({task, hung_up}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and task in self._streams:
            task.cancel()
        await asyncio.wait({task})
        if task.cancelled() and not writer.is_closing():
            await _send(writer, told(_gone()))
        hung_up.cancel()
        await asyncio.wait({hung_up})
        if hung_up.cancelled():
            return b""
        return hung_up.result() or None

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._streams.discard(task)

    async def _answer(self, raw: bytes, uid: int, writer: asyncio.StreamWriter) -> None:
        async for message in self._counter.answer(raw, uid):
            if "stream" in message:
                self._streams.add(asyncio.current_task())
            await _send(writer, message)


def _gone() -> FlyballError:
    return FlyballError(
        "owner_gone", "the owner of the project ended while it answered", "what began is recorded",
        "Look with flyball runs, and go on with flyball resume.",
    )  # fmt: skip


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    with suppress(ConnectionError):  # whoever asked has hung up; what they asked for is carried out all the same
        writer.write(line(message))
        await writer.drain()


async def _line(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """The next line; empty at the end, or after one that is too long was refused."""
    try:
        return await reader.readline()
    except ValueError:
        error = FlyballError("request_refused", "the request is refused", f"it is longer than {MAX_LINE} bytes")
        await _send(writer, told(error))
        return b""
