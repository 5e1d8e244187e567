"""The socket for an index of memories: one for each tenant, derived from its log and made again from it at any time.

Whoever adds one runs `flyball.testing.conformance.memory` on it. A query is words, never the syntax of an engine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from flyball.core.memory_index import Change, Cursor, Found, Held, Indexed, Sought


class MemoryIndex(Protocol):
    """Finds memories by words, and by vectors where they have some."""

    async def held(self, tenant: str, by: str, now: int) -> Held:
        """How far the index has read, and what is kept at `now` (microseconds), by `by` and by all."""
        ...

    async def apply(
        self, tenant: str, changes: Sequence[Change], cursor: Cursor, *, now: int = 0, afresh: bool = False
    ) -> None:
        """Makes changes in order, drops what has expired at `now`, and moves the cursor, all or none; `afresh`: after
        everything of the tenant is gone. What is dropped leaves no word of it in any file."""
        ...

    async def search(self, tenant: str, sought: Sought) -> list[Found]:
        """The memories of an owner that may answer, those that certainly do among them where `limit` allows."""
        ...

    async def rows(
        self, tenant: str, *, id: str = "", owner: str = "", about: tuple[str, ...] = (), now: int = 0, after: str = "",
        limit: int = 1_000,
    ) -> list[Indexed]:  # fmt: skip
        """Rows that have not expired at `now` with an id above `after`, in order of their id; the one with
        an id, those of one owner, and about one thing, where they are named."""
        ...

    async def close(self) -> None:
        """Gives back what it holds."""
        ...
