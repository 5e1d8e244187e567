"""Two writers over one content, as one journal: every promise of `conformance.journal` has to hold through it.

For a journal that admits several writers, as one over a database server does; a journal with one owner refuses the
second, which is its own test.

    class Both:
        def open(self) -> Journal:
            return TwoWriters(MyJournal.open(url), MyJournal.open(url))
"""

from __future__ import annotations

from itertools import cycle
from typing import TypeVar

from flyball.core.journal import Answered, Append, Row
from flyball.ports.journal import Journal, View

R = TypeVar("R", bound=Row)


class TwoWriters:
    """Appends go to one and the other in turn, so appends at once race; what is read is read from the other one."""

    def __init__(self, first: Journal, second: Journal) -> None:
        self._both = (first, second)
        self._writers = cycle(self._both)
        self._readers = cycle((second, first))

    async def append(self, append: Append) -> Answered:
        """By the writer whose turn it is."""
        return await next(self._writers).append(append)

    def view(self, tenant: str) -> View:
        """A snapshot of one of them."""
        return next(self._readers).view(tenant)

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row as one of them has it now."""
        return next(self._readers).row(tenant, kind, id)

    def tenants(self) -> list[str]:
        """The tenants that one of them knows."""
        return next(self._readers).tenants()

    def flaws(self) -> list[str]:
        """What either finds."""
        return [flaw for each in self._both for flaw in each.flaws()]

    async def close(self) -> None:
        """Closes both."""
        for each in self._both:
            await each.close()
