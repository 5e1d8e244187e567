"""The queue before the writer: urgent appends first, then tenant by tenant in turn, first in first out in each tenant.

It is bounded for each tenant, in appends and in bytes: whoever finds it full waits for room and holds up nobody else.
Urgent appends (outcomes, kills) always have room; there are never more of them than effects under way.

What one turn of an event loop brings is handed to the writer together, or as soon as it is `ENOUGH`: a commit costs
about the same for one append and for many, and a writer that is woken for the first of them leaves the rest waiting.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Final

from flyball.core.journal import Answered, Append

PER_TENANT: Final = 2_048
TENANT_BYTES: Final = 64 * 1024 * 1024
BATCH: Final = 512
ENOUGH: Final = 48
BATCH_BYTES: Final = 16 * 1024 * 1024


class Job:
    """An append on its way, and who waits for its answer."""

    __slots__ = ("accepted", "append", "future", "loop", "size")

    def __init__(self, append: Append, loop: asyncio.AbstractEventLoop) -> None:
        self.append = append
        self.loop = loop
        self.future: asyncio.Future[Answered] = loop.create_future()
        self.accepted = False
        self.size = 0
        for entry in append.entries:
            self.size += len(entry.leaf) + len(entry.payload or b"")
            for _, body in entry.bodies:
                self.size += len(body)


class Queue:
    """Filled by event loops, emptied by the writer's thread."""

    def __init__(self, per_tenant: int = PER_TENANT, tenant_bytes: int = TENANT_BYTES) -> None:
        self._per_tenant, self._tenant_bytes = per_tenant, tenant_bytes
        self._bytes: dict[str, int] = {}
        self._changed = threading.Condition()
        self._urgent: deque[Job] = deque()
        self._turns: dict[str, deque[Job]] = {}
        self._rooms: dict[str, deque[asyncio.Future[None]]] = {}
        self.closed = False
        self._waiting = 0
        self._announced: asyncio.AbstractEventLoop | None = None

    def put(self, job: Job) -> asyncio.Future[None] | bool:
        """True: it is in. False: the queue was closed. A future: wait for it and try again."""
        append = job.append
        with self._changed:
            if self.closed:
                return False
            if append.urgent:
                self._urgent.append(job)
            else:
                line = self._turns.setdefault(append.tenant, deque())
                if self._free(append.tenant) <= 0:
                    room: asyncio.Future[None] = job.loop.create_future()
                    self._rooms.setdefault(append.tenant, deque()).append(room)
                    return room
                line.append(job)
                self._bytes[append.tenant] = self._bytes.get(append.tenant, 0) + job.size
            self._waiting += 1
            if self._waiting >= ENOUGH:
                self._changed.notify()
            elif self._announced is not job.loop:
                self._announced = job.loop
                job.loop.call_soon(self._hand_over)
        return True

    def _hand_over(self) -> None:
        with self._changed:
            self._announced = None
            self._changed.notify()

    def take(self) -> list[Job]:
        """The next batch, waiting for one; empty once the queue is closed and everything in it was taken."""
        with self._changed:
            while not (self._urgent or self._turns or self.closed):
                self._changed.wait()
            batch, size = list[Job](), 0
            while (self._urgent or self._turns) and len(batch) < BATCH and size < BATCH_BYTES:
                job = self._urgent.popleft() if self._urgent else self._next_in_turn()
                batch.append(job)
                size += job.size
            self._waiting -= len(batch)
            self._make_room()
        return batch

    def make_room(self) -> None:
        """Tells who waits for room that there is some, if there is."""
        with self._changed:
            self._make_room()

    def close(self) -> None:
        """Nothing more gets in; what is in will still be taken."""
        with self._changed:
            self.closed = True
            self._make_room()
            self._changed.notify()

    def _next_in_turn(self) -> Job:
        tenant = next(iter(self._turns))
        line = self._turns.pop(tenant)
        job = line.popleft()
        self._bytes[tenant] -= job.size
        if line:
            self._turns[tenant] = line
        else:
            del self._bytes[tenant]
        return job

    def _free(self, tenant: str) -> int:
        """How many more appends of a tenant get in; none while its bytes are over. The first always gets in."""
        over = self._bytes.get(tenant, 0) >= self._tenant_bytes
        return 0 if over else self._per_tenant - len(self._turns.get(tenant, ()))

    def _make_room(self) -> None:
        for tenant in list(self._rooms):
            # Who has given up takes nobody's place.
            waiting = deque(room for room in self._rooms.pop(tenant) if not room.done())
            free = len(waiting) if self.closed else self._free(tenant)
            tell([(waiting.popleft(), None) for _ in range(min(free, len(waiting)))])
            if waiting:
                self._rooms[tenant] = waiting


def tell(answers: Iterable[tuple[asyncio.Future[Any], Any]]) -> None:
    """Resolves futures from another thread: one call into each loop, skipping who was cancelled or has gone."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
    for answer in answers:
        by_loop.setdefault(answer[0].get_loop(), []).append(answer)
    for loop, some in by_loop.items():
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, some)


def _resolve(answers: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in answers:
        if not future.done():
            future.set_result(answer)
