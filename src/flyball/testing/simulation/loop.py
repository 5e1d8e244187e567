"""An event loop whose time passes only when nobody has anything to do, so that a day of waiting costs nothing."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Stuck(Exception):
    """Nothing is ready and nothing ever will be: somebody waits for a wake-up that nobody will give."""


class SimLoop(asyncio.SelectorEventLoop):
    """One thread, no waiting for the machine: what would run in another thread runs at once."""

    def __init__(self) -> None:
        self._passed = 0.0
        super().__init__(_Selector(self))
        self.set_exception_handler(lambda loop, context: None)  # what a dead process leaves behind says nothing

    def time(self) -> float:
        """Seconds of virtual time since the loop was made."""
        return self._passed

    def pass_time(self, seconds: float) -> None:
        """Lets time pass: nobody has anything to do before."""
        self._passed += seconds

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """The result of `func`, called here and now: threads would make the order of things a matter of luck."""
        told: asyncio.Future[T] = self.create_future()
        try:
            told.set_result(func(*args))
        except Exception as bad:  # noqa: BLE001 - handed to whoever awaits it, as an executor does
            told.set_exception(bad)
        return told


class _Selector(selectors.SelectSelector):
    """Never waits: where the loop would, its time passes."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Nothing from outside ever happens; raises Stuck where only that could help."""
        if timeout is None:
            raise Stuck("everybody waits for somebody else")
        if timeout > 0:
            self._loop.pass_time(timeout)
        return []
