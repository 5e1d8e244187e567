"""The socket through which stations write evidence: `runtime.record` is what stands behind it."""

from __future__ import annotations

from typing import Any, Protocol

from flyball.core.journal import Answered, Append, Appended, Entry, Stored
from flyball.core.record import Event, Opened
from flyball.ports.clock import Clock
from flyball.ports.journal import Journal, View


class Recording(Protocol):
    """Seals events, appends them, opens records again."""

    journal: Journal
    clock: Clock

    def person(self, tenant: str, name: str) -> str:
        """The keyed pseudonym of a person."""
        ...

    def salt(self) -> bytes:
        """A fresh salt."""
        ...

    def seal(self, tenant: str, event: Event, time: int | None = None) -> Entry:
        """The entry of an event."""
        ...

    def open(self, tenant: str, stored: Stored, view: View) -> Opened:
        """A stored record with its private fields."""
        ...

    async def append(self, append: Append) -> Answered:
        """Appends; raises where nobody can say whether it is durable."""
        ...

    async def write(self, tenant: str, *events: Event, id: str = "", **rest: Any) -> Appended:
        """Appends what must not be refused."""
        ...
