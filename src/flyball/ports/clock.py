"""The sockets for time and chance: the runtime asks these, so that a test can own both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Jump(NamedTuple):
    """The machine's clock was set: seen at `at`, and it went `by` microseconds more than time did (less: negative)."""

    at: int
    by: int


class Clock(Protocol):
    """Wall-clock time in integer microseconds since 1970, and waiting for it."""

    def now(self) -> int:
        """Microseconds since 1970, UTC."""
        ...

    def begin_at(self, at: int) -> None:
        """From now on time goes on from `at` at least, in microseconds: a log's time never goes back."""
        ...

    async def wait(self, until: int) -> None:
        """Returns when `now() >= until`."""
        ...

    def jumps(self) -> Sequence[Jump]:
        """How often the machine's clock was set since this clock is there, oldest first."""
        ...


class Entropy(Protocol):
    """Random bytes for salts, nonces and ids."""

    def bytes(self, count: int) -> bytes:
        """`count` unpredictable bytes."""
        ...
