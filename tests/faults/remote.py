"""The remote of real processes: it lives in the test, outlives every worker, and logs each effect: the oracle."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from types import TracebackType


class Remote:
    """Serves a socket: `pay TOOL KEY` makes an effect (once for each key of a tool that has one), `ask KEY` tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.effects: list[tuple[str, str]] = []
        self.requests = Counter[tuple[str, str]]()

    async def __aenter__(self) -> Remote:
        self._server = await asyncio.start_unix_server(self._serve, self.path)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            word, *rest = (await reader.readline()).decode().split()
            writer.write(f"{self._pay(*rest) if word == 'pay' else self._ask(*rest)}\n".encode())
            await writer.drain()
        except (ValueError, ConnectionError):
            pass  # a worker that died in the middle of its request
        finally:
            writer.close()

    def _pay(self, tool: str, key: str) -> str:
        self.requests[tool, key] += 1
        if tool != "pay" or (tool, key) not in self.effects:
            self.effects.append((tool, key))
        return tool

    def _ask(self, key: str) -> str:
        return "yes" if any(known == key for _, known in self.effects) else "no"

    def happened(self, key: str) -> int:
        """How often something happened under this key."""
        return sum(known == key for _, known in self.effects)
