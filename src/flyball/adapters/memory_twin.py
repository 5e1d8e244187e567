"""An index of memories in memory: what every other one is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt

from flyball.core.memory_index import Change, Cursor, Drop, Found, Held, Indexed, Sought
from flyball.core.relevance import content, coverage
from flyball.core.useful import Usage


class MemoryTwin:
    """One dictionary for each tenant."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Indexed]] = {}
        self._cursors: dict[str, Cursor] = {}

    async def held(self, tenant: str, by: str, now: int) -> Held:
        """How far it has read, and what is kept."""
        live = [row for row in self._rows.get(tenant, {}).values() if row.expires > now]
        cursor = self._cursors.get(tenant, Cursor())
        return Held(cursor=cursor, tenant=_usage(live), principal=_usage(row for row in live if row.by == by))

    async def apply(
        self, tenant: str, changes: Sequence[Change], cursor: Cursor, *, now: int = 0, afresh: bool = False
    ) -> None:
        """Makes the changes and moves the cursor."""
        rows = {} if afresh else dict(self._rows.get(tenant, {}))
        for change in changes:
            if isinstance(change, Drop):
                rows.pop(change.id, None)
            else:
                rows[change.id] = change
        self._rows[tenant] = {id: row for id, row in rows.items() if row.expires > now}
        self._cursors[tenant] = cursor

    async def search(self, tenant: str, sought: Sought) -> list[Found]:
        """Whatever shares a word with the query, or has a vector, the likeliest first."""
        asked, found = content(sought.words), list[Found]()
        for row in self._rows.get(tenant, {}).values():
            if row.owner == sought.owner and row.expires > sought.now:
                cosine = likeness(sought.vector, row.vector)
                if cosine is not None or asked & {*row.words, *row.about} or {*sought.words} & {*row.about}:
                    found.append(Found(row=row, cosine=cosine))
        found.sort(key=lambda f: (-_likely(sought, f), -f.row.created, f.row.id))
        return found[: sought.limit]

    async def rows(
        self, tenant: str, *, id: str = "", owner: str = "", about: tuple[str, ...] = (), now: int = 0, after: str = "",
        limit: int = 1_000,
    ) -> list[Indexed]:  # fmt: skip
        """Rows in order of their id."""
        found = [
            row for name, row in sorted(self._rows.get(tenant, {}).items())
            if name > after and row.expires > now
            and id in ("", name) and owner in ("", row.owner) and about in ((), row.about)
        ]  # fmt: skip
        return found[:limit]

    async def close(self) -> None:
        """There is nothing to give back: a process that opens it again finds what it left."""


def likeness(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The cosine of two vectors; None where there are not both, of one length."""
    if not one or len(one) != len(other):
        return None
    norm = sqrt(sum(x * x for x in one)) * sqrt(sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / norm if norm else 0.0


def _likely(sought: Sought, found: Found) -> float:
    words = coverage(sought.words, found.row.words, found.row.about)
    return max(words, found.cosine if found.cosine is not None else -1.0)


def _usage(rows: Iterable[Indexed]) -> Usage:
    sizes = [row.bytes for row in rows]
    return Usage(items=len(sizes), bytes=sum(sizes))
