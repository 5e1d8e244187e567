"""The index of memories as a projection of the log: it follows each append that wrote or forgot one, by a cursor.

Rules:

* The epoch `memory` says whether anything was written or forgotten since the index was read: where it has not moved,
  nothing is read again. It moves in the very append that writes or forgets.
* Where an embedding model is configured each text gets a vector. One that gets none, because the model did not answer,
  is found by its words.
* An index that is behind, after a crash, reads on from its cursor when it is next asked. One that is ahead of the log,
  or whose vectors another model made, is made again from the beginning.
* What has expired is dropped from the index when it is first read in a process, and every PURGE_US after that.
* What the log says of a memory is read each time that it is told: see `kept`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from flyball.core.journal import EpochRow, Stored
from flyball.core.memory import FACT, Kept
from flyball.core.memory_index import Change, Cursor, Drop, Indexed
from flyball.core.record import NO_RUN, record_id
from flyball.core.relevance import words
from flyball.ports.embedding import Embedding
from flyball.ports.journal import View
from flyball.ports.memory import MemoryIndex
from flyball.ports.recording import Recording

PORTION = 1_000
# A cursor that is so far behind is written down although nothing was found: a crash must not make the way long.
BEHIND = 10_000
PURGE_US = 3_600_000_000
_MARK = f'"{FACT}":'.encode()
_WRITTEN = frozenset({"outcome", "forgotten"})


class Projection:
    """Keeps the index of each tenant where its log is."""

    def __init__(self, record: Recording, index: MemoryIndex, embedding: Embedding | None = None) -> None:
        self._record, self.index, self.embedding = record, index, embedding
        self._cursors: dict[str, Cursor] = {}
        self._saved: dict[str, tuple[int, int]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def follow(self, tenant: str) -> None:
        """Brings a tenant's index to where its log is now."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            await self._follow(tenant)

    async def rebuild(self, tenant: str) -> int:
        """Makes a tenant's index again from its log; gives how many memories are in it."""
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            await self._read(tenant, Cursor(), afresh=True)
        held = await self.index.held(tenant, "", self._record.clock.now())
        return held.tenant.items

    async def _follow(self, tenant: str) -> None:
        if tenant not in self._cursors:
            cursor = (await self.index.held(tenant, "", 0)).cursor
            self._cursors[tenant], self._saved[tenant] = cursor, (cursor.index, 0)
        cursor, view = self._cursors[tenant], self._record.journal.view(tenant)
        last = view.tree()[1].size - 1
        if cursor.index > last or (cursor.index >= 0 and cursor.model != self._model):
            await self._read(tenant, Cursor(), afresh=True)
        elif _epoch(view) != cursor.epoch:
            await self._read(tenant, cursor)
        else:
            self._cursors[tenant] = replace(cursor, index=last)
            saved, when = self._saved[tenant]
            if last - saved > BEHIND or self._record.clock.now() - when > PURGE_US:
                await self._save(tenant, (), self._cursors[tenant])

    async def _read(self, tenant: str, cursor: Cursor, *, afresh: bool = False) -> None:
        view = self._record.journal.view(tenant)
        epoch, last = _epoch(view), view.tree()[1].size - 1
        while afresh or cursor.index < last:
            view = self._record.journal.view(tenant)
            portion = view.records(after=cursor.index, limit=min(PORTION, max(1, last - cursor.index)))
            told = [one for stored in portion if (one := self._change(tenant, stored, view)) is not None]
            found = await self._with_vectors(told)
            reached = portion[-1].index if portion else last
            cursor = Cursor(index=reached, epoch=epoch if reached >= last else cursor.epoch, model=self._model)
            await self._save(tenant, found, cursor, afresh=afresh)
            afresh = False
            await asyncio.sleep(0)  # others go on while a long log is read

    async def _save(self, tenant: str, found: Sequence[Change], cursor: Cursor, *, afresh: bool = False) -> None:
        now = self._record.clock.now()
        await self.index.apply(tenant, found, cursor, now=now, afresh=afresh)
        self._cursors[tenant], self._saved[tenant] = cursor, (cursor.index, now)

    @property
    def _model(self) -> str:
        return self.embedding.model if self.embedding is not None else ""

    async def _with_vectors(self, told: Sequence[tuple[Change, str]]) -> list[Change]:
        vectors = await self.vectors([text for change, text in told if isinstance(change, Indexed)])
        given = iter(vectors)
        return [
            replace(change, vector=next(given)) if vectors and isinstance(change, Indexed) else change
            for change, _ in told
        ]

    async def vectors(self, texts: Sequence[str]) -> list[tuple[float, ...]]:
        """A vector for each text; none at all where no embedding model answers."""
        if self.embedding is None or not texts:
            return []
        try:
            made = await self.embedding.embed(texts)
        except Exception:  # noqa: BLE001 - a station boundary: whatever a foreign model raised, words find it still
            return []
        return made if len(made) == len(texts) else []

    def _change(self, tenant: str, stored: Stored, view: View) -> tuple[Change, str] | None:
        if stored.kind not in _WRITTEN or _MARK not in stored.leaf:
            return None
        opened = self._record.open(tenant, stored, view)
        id = str(opened.facts.get(FACT, ""))
        if opened.kind == "forgotten" or forgotten(view, id):
            return Drop(id), ""
        kept = _kept(opened.private)
        return None if kept is None else (indexed(kept, opened.id), kept.text)

    def kept(self, tenant: str, row: Indexed, view: View) -> Kept | None:
        """What the log says of a memory that the index proposed; None where it says nothing of it any more: it was
        forgotten, its subject erased, or the index is wrong."""
        stored = view.record(row.record)
        if stored is None or stored.kind != "outcome" or forgotten(view, row.id):
            return None
        opened = self._record.open(tenant, stored, view)
        if opened.facts.get(FACT) != row.id:
            return None  # what a tool returned may look like a memory
        kept = _kept(opened.private)
        return kept if kept is not None and kept.id == row.id and kept.owner == row.owner else None


def forgotten(view: View, id: str) -> bool:
    """Does the log say that a memory was forgotten?"""
    return view.record(forgotten_id(id)) is not None


def forgotten_id(id: str) -> str:
    """The id of the record that says so."""
    return record_id(NO_RUN, id, 0, "forgotten")


def indexed(kept: Kept, record: str) -> Indexed:
    """A memory as it is found."""
    return Indexed(
        id=kept.id, record=record, owner=kept.owner, by=kept.by, about=words(kept.about), words=words(kept.text),
        created=_micros(kept.created), expires=_micros(kept.expires),
        bytes=len(kept.text.encode(errors="surrogatepass")),
    )  # fmt: skip


def _kept(private: Any) -> Kept | None:
    held = ((private or {}).get("result") or {}).get("kept")
    return msgspec.convert(held, Kept) if held else None


def _epoch(view: View) -> int:
    row = view.row(EpochRow, FACT)
    return row.value if row is not None else 0


def _micros(moment: Any) -> int:
    return int(moment.timestamp() * 1_000_000)
