"""The socket for isolation: where a piece of this program's own code runs apart from the process that owns the journal.

A sandbox knows nothing of tools. It is handed the name of an entry, `module:function`, calls it with bytes and a `Line`
in a process made for this one call, and says how that ended.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal, Protocol

import msgspec

from flyball.core.effect import Isolation

MEBI: Final = 1_048_576


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one call may use: bytes of address space and of each file, open files, processes beside its own."""

    memory: int = 1024 * MEBI
    file: int = 64 * MEBI
    files: int = 256
    processes: int = 64


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One call: the entry, its input, the module path it is looked up on, `seconds` until it is killed.

    An answer of more than `most` bytes is not read.
    """

    entry: str
    input: bytes
    path: tuple[str, ...]
    seconds: float
    most: int


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended. `begun`: the entry said that it begins; without it nothing of it happened.

    `answered` with its `answer`; `timeout`; `died` without an answer; `garbled`: it wrote what is no answer. `detail`
    says how the process ended, `printed` is the end of what it printed.
    """

    how: Literal["answered", "timeout", "died", "garbled"]
    begun: bool
    answer: bytes = b""
    detail: str = ""
    printed: str = ""


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The isolation that was obtained when it was tried out, and why it is not more."""

    isolation: Isolation
    why: str = ""


class Line(Protocol):
    """What an entry has of the world outside."""

    def begin(self) -> None:
        """Says that what cannot be taken back begins now. Raises OSError where nobody hears it."""
        ...

    def tell(self, data: bytes, /) -> None:
        """Tells the caller something while it runs."""
        ...

    def answer(self, data: bytes, /) -> None:
        """Says what it came to, once, at the end."""
        ...


class Sandbox(Protocol):
    """Runs entries apart. Each call has a process of its own, which does not outlive it."""

    async def level(self) -> Level:
        """The isolation that calls get, found out by running one, not by looking."""
        ...

    async def run(self, job: Job, tell: Callable[[bytes], None], /) -> Ending:
        """Runs one entry and says how it ended. Cancelled, it kills it first."""
        ...
