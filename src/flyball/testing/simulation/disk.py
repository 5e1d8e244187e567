"""The disk under the journal: what is durable outlives a process, what was only accepted may be lost with it."""

from __future__ import annotations

from typing import Any, Final, Protocol, TypeVar

import msgspec

from flyball.app.plugs import adapter
from flyball.core.journal import Answered, Append, Appended, Indeterminate, Refused, Row
from flyball.ports.clock import Entropy
from flyball.ports.journal import View

R = TypeVar("R", bound=Row)
STOPPED: Final = "a commit reported an error; open the journal again and look the append up"


class Disk:
    """One deployment's log. Appends are made in order; a relaxed one is accepted before it is durable."""

    def __init__(self, entropy: Entropy) -> None:
        self._inner: Any = adapter("journal.memory")(entropy)
        self._durable: Any = None  # what is there without the appends that were only accepted, where there are any

    def copy(self, entropy: Entropy) -> Disk:
        """Another disk with the same on it."""
        other = Disk(entropy)
        other._inner = self._inner.reopened()
        return other

    async def append(self, append: Append) -> Answered:
        """As the journal beneath; what waited becomes durable with the next append that does not."""
        if append.relaxed and self._durable is None:
            self._durable = self._inner.reopened()
        answer: Answered = await self._inner.append(append)
        if not append.relaxed and isinstance(answer, Appended):
            self._durable = None
        return answer

    def lose(self) -> None:
        """The process died in the middle of a commit: what was only accepted is not there."""
        if self._durable is not None:
            self._inner, self._durable = self._durable, None

    def keep(self) -> None:
        """The process died between two commits, or ended in order: everything accepted is there."""
        self._durable = None

    def view(self, tenant: str) -> View:
        """A snapshot."""
        return self._inner.view(tenant)  # type: ignore[no-any-return]

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        return self.view(tenant).row(kind, id)

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        return self._inner.tenants()  # type: ignore[no-any-return]

    def flaws(self) -> list[str]:
        """What does not fit together in how it is stored."""
        return self._inner.flaws()  # type: ignore[no-any-return]

    def durable(self, tenant: str) -> View:
        """What would be there if the process died now in the middle of a commit."""
        return (self._durable or self._inner).view(tenant)  # type: ignore[no-any-return]


class Owner(Protocol):
    """The process that appends: it meets the faults."""

    async def meet(self, append: Append) -> str:
        """What happens at this append, where it is the journal that has to play it; else empty."""
        ...

    async def met(self, fault: str) -> None:
        """What happens once the append is made."""
        ...


class FaultyJournal:
    """One process's journal over the disk; implements `ports.journal.Journal`."""

    def __init__(self, disk: Disk, owner: Owner) -> None:
        self._disk, self._owner = disk, owner
        self._stopped = self._closed = self._scarce = False

    @property
    def whole(self) -> bool:
        """Can this process still write? Where not, only another one can go on."""
        return not (self._stopped or self._closed or self._scarce)

    async def append(self, append: Append) -> Answered:
        """As the disk, with what happens at this append."""
        fault = await self._owner.meet(append)
        if self._closed or self._stopped:
            return Refused(reason="closed", detail=STOPPED)
        if fault == "full" or (fault == "full_long" and not append.urgent) or (self._scarce and not append.urgent):
            self._scarce = self._scarce or fault == "full_long"
            return Refused(reason="disk_full", detail="there is no room")
        self._scarce = self._scarce or fault == "full_long"
        if fault == "io_lost":
            self._stopped = True
            self._disk.lose()
            return Indeterminate(detail=STOPPED)
        answer = await self._disk.append(append)
        if fault in ("twice", "repeated"):
            again = await self._disk.append(append)
            answer = again if fault == "repeated" else answer
        if fault == "io_kept" and isinstance(answer, Appended):
            self._stopped = True
            return Indeterminate(detail=STOPPED)
        await self._owner.met(fault)
        return answer

    def view(self, tenant: str) -> View:
        """A snapshot to read from."""
        return self._disk.view(tenant)

    def row(self, tenant: str, kind: type[R], id: str) -> R | None:
        """One row by its id."""
        return self._disk.row(tenant, kind, id)

    def tenants(self) -> list[str]:
        """The tenants that have a log."""
        return self._disk.tenants()

    def flaws(self) -> list[str]:
        """What does not fit together in how it is stored."""
        return self._disk.flaws()

    async def close(self) -> None:
        """Later appends of this process are refused."""
        self._closed = True


def intended(view: View, key: str) -> bool:
    """Is there an intent under this key?"""
    kinds = (r for r in view.records(limit=1_000_000) if r.kind == "intent")
    return any(msgspec.json.decode(r.leaf)["facts"]["key"] == key for r in kinds)
