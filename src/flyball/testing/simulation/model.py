"""The model of a simulated process: it says what its agent's script says after so many results of tools."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from flyball.core.model import ModelError, ModelReply, ModelRequest, OnDelta, ToolCall, Usage


class Asked(Protocol):
    """The process that asks."""

    @property
    def world(self) -> Any:
        """What counts the calls."""
        ...

    async def stage(self, point: str) -> str:
        """Passes a point."""
        ...


# What each agent proposes after so many results of tools; then it answers with what it was told last.
SCRIPTS: Final[Mapping[str, tuple[tuple[tuple[str, Mapping[str, Any]], ...], ...]]] = {
    "clerk": ((("price", {"cents": 5}),), (("pay", {"cents": 5}),)),
    "porter": ((("ring", {"cents": 5}), ("pay", {"cents": 500})),),
}


class SimModel:
    """Implements `ports.model.ModelPort`."""

    def __init__(self, process: Asked) -> None:
        self._process = process

    @property
    def scripted(self) -> bool:
        """No model thinks here."""
        return True

    async def complete(self, request: ModelRequest, _: OnDelta | None = None, /) -> ModelReply:
        """The next reply of the agent that asks."""
        number = self._process.world.number("m")
        try:
            fault = await self._process.stage(f"m{number}.asked")
        except ConnectionError as bad:
            raise ModelError("unavailable", "the connection was lost", sent=True) from bad
        if fault == "hang":
            await asyncio.sleep(request.deadline_ms / 1000 or 120)
            raise ModelError("timeout", "no answer in time", sent=True)
        reply = ModelReply(text="", usage=Usage(input=1, output=1)) if fault == "garbage" else _reply(request, number)
        await self._process.stage(f"m{number}.told")
        return reply

    async def close(self) -> None:
        """Nothing is open."""


def _reply(request: ModelRequest, number: int) -> ModelReply:
    results = [message for message in request.messages if message.role == "tool"]
    script = SCRIPTS[request.agent]
    played = 0
    while played < len(script) and sum(len(turn) for turn in script[: played + 1]) <= len(results):
        played += 1
    calls: tuple[ToolCall, ...] = ()
    if played < len(script):
        calls = tuple(
            ToolCall(id=f"c{number}-{n}", name=tool, arguments=msgspec.json.encode(arguments).decode())
            for n, (tool, arguments) in enumerate(script[played])
        )  # fmt: skip
    text = "" if calls else "; ".join(message.text for message in results)
    usage = Usage(input=len(request.messages), output=10)
    return ModelReply(text=text, calls=calls, usage=usage, model="scripted:sim", stop="tool" if calls else "end")
