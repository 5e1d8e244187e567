"""The remote: the world outside. It outlives every process, and its own log of effects is the oracle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextvars import Context
from dataclasses import dataclass
from typing import Final, Protocol

from flyball.core.result import NotDone

# An hour too late; where the remote can be asked, within the grace after which its no counts; where it forgets keys,
# before it forgets this one: nobody can tell a request that is under way for longer from a new one.
LATE_SECONDS: Final = 3600.0
IN_GRACE_SECONDS: Final = 31.0
STUBBORN_SECONDS: Final = 45.0
FOR_EVER: Final = float("inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """One effect, as the remote saw it. `allowed`: an intent under this key was durable when it happened."""

    key: str
    tool: str
    cents: int
    time: int
    allowed: bool


class Place(Protocol):
    """What a request passes on its way: the simulated process that makes it."""

    async def stage(self, point: str) -> str:
        """Passes a point; the kind of fault that the remote itself has to play there, else empty."""
        ...

    def now(self) -> int:
        """The time, in microseconds."""
        ...

    def intended(self, key: str) -> bool:
        """Is an intent under this key durable?"""
        ...


class Remote:
    """Remembers every effect. `asked_about`: the tools that may ask it whether something happened; `windows`: for how
    many seconds it remembers the keys of a tool, where not for ever."""

    def __init__(self, asked_about: frozenset[str], windows: Mapping[str, float]) -> None:
        self.effects: list[Done] = []
        self.requests: list[tuple[str, str]] = []
        self.asked = 0
        self._asked_about, self._windows = asked_about, windows
        self._late: set[asyncio.Task[None]] = set()

    async def send(self, place: Place, tool: str, key: str, cents: int, *, remembers: bool) -> object:
        """One request; its answer is a text (or, where the fault says so, no text)."""
        self.requests.append((key, tool))
        number = len(self.requests)
        fault = await place.stage(f"r{number}.before")
        if fault == "notdone":
            raise NotDone("the remote is busy")
        if fault in ("hang", "late"):
            await self._silent(place, fault, tool, key, cents, remembers=remembers)
        if fault == "stubborn":
            await _endure(STUBBORN_SECONDS)
        await place.stage(f"r{number}.part")
        told = self._apply(place, tool, key, cents, remembers=remembers)
        if await place.stage(f"r{number}.applied") == "again" and remembers:
            self._apply(place, tool, key, cents, remembers=remembers)
        return 13 if await place.stage(f"r{number}.after") == "invalid" else told

    async def ask(self, place: Place, key: str) -> str | None:
        """Whether it happened under this key."""
        self.asked += 1
        if await place.stage(f"q{self.asked}") == "hang":
            await asyncio.get_running_loop().create_future()
        return next((said(done) for done in self.effects if done.key == key), None)

    def happened(self, key: str) -> Done | None:
        """The oracle: the effect under this key, if there is one."""
        return next((done for done in self.effects if done.key == key), None)

    async def _silent(self, place: Place, fault: str, tool: str, key: str, cents: int, *, remembers: bool) -> None:
        if fault == "late":
            late = self._apply_late(place, tool, key, cents, remembers=remembers)
            # In a context of its own: the remote does not die with the process that asked.
            self._late.add(asyncio.get_running_loop().create_task(late, context=Context()))
        await asyncio.get_running_loop().create_future()

    async def _apply_late(self, place: Place, tool: str, key: str, cents: int, *, remembers: bool) -> None:
        late = min(LATE_SECONDS, self._windows.get(tool, FOR_EVER) / 2)
        await asyncio.sleep(IN_GRACE_SECONDS if tool in self._asked_about else late)
        self._apply(place, tool, key, cents, remembers=remembers)

    def _apply(self, place: Place, tool: str, key: str, cents: int, *, remembers: bool) -> str:
        now = place.now()
        done = Done(key=key, tool=tool, cents=cents, time=now, allowed=place.intended(key))
        known = self.happened(key)
        if known is None or not remembers or now - known.time > self._windows.get(tool, FOR_EVER) * 1_000_000:
            self.effects.append(done)
        return said(done)


def said(done: Done) -> str:
    """What the remote answers to what it has done."""
    return f"{done.tool} {done.cents}"


async def _endure(seconds: float) -> None:
    """Waits, whoever cancels it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        try:
            await asyncio.sleep(until - loop.time())
        except asyncio.CancelledError:
            continue
