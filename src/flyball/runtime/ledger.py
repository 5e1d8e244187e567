"""Ledger: the tenant's log as evidence: opened, signed, proved and exported.

Rules (JOURNAL section 5): the first leaf names the log; checkpoints are signed on demand, when a run parks or ends and
at close; the signer extends its own frontier and refuses a log that is not a continuation of what it signed, and that
check precedes any recovery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flyball.core.errors import FlyballError
from flyball.core.journal import Append, Appended, CheckpointRow, KeyRow
from flyball.core.merkle import leaf_hash
from flyball.core.record import Event
from flyball.core.signing import check_log, check_standing
from flyball.ports.recording import Recording
from flyball.ports.signer import Signer

SETTLE_S = 0.05
# How many logs are signed at once. A view is a short snapshot: it is taken when its turn has come, not before.
HANDS = 4


class Ledger:
    """Opens, signs and reads the logs of a project."""

    def __init__(self, record: Recording, signer: Signer, name: str) -> None:
        self._record, self._signer, self._name = record, signer, name
        self._signing: dict[str, asyncio.Task[None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._hands = asyncio.Semaphore(HANDS)
        self._noted: dict[str, int] = {}

    def origin(self, tenant: str) -> str:
        """The origin of a tenant's checkpoints."""
        return f"{self._name}/t/{tenant}"

    def verifier_key(self) -> str:
        """The public key that checks them, NAME+ID+KEY."""
        return self._signer.verifier_key()

    def signed(self) -> list[str]:
        """The tenants whose logs the signer has signed: none of them may be missing."""
        prefix = self.origin("")
        return [origin.removeprefix(prefix) for origin in self._signer.logs() if origin.startswith(prefix)]

    async def open(self, tenant: str) -> None:
        """Makes the tenant's log where there is none; checks that it goes on from what the signer has signed."""
        view = self._record.journal.view(tenant)
        log, frontier = view.tree()
        check_log(log, self.origin(tenant), self._signer.logs().get(self.origin(tenant), ""))
        if log:
            check_standing(self._signer.last(log), frontier, view.node)
            return
        log = self._record.salt()[:16].hex()
        event = Event(kind="opened", path="log", facts={"log": log, "origin": self.origin(tenant)})
        entry = self._record.seal(tenant, event)
        answer = await self._record.append(Append(id=entry.id, tenant=tenant, log=log, entries=(entry,)))
        if not isinstance(answer, Appended):
            raise FlyballError("log_not_opened", f"the log of {tenant} could not be opened", str(answer))

    # signing ---------------------------------------------------------------------------------------------------------
    async def checkpoint(self, tenant: str) -> str:
        """A signed checkpoint over everything that is in the tenant's log now."""
        async with self._locks.setdefault(tenant, asyncio.Lock()), self._hands:
            view = self._record.journal.view(tenant)
            log, frontier = view.tree()
            size = frontier.size
            if self._noted.get(tenant) == size:
                row = view.row(CheckpointRow, f"{size:016d}")
                if row is not None:
                    return row.note

            def leaves(start: int, end: int) -> Sequence[bytes]:
                return [leaf_hash(stored.leaf) for stored in view.records(after=start - 1, limit=end - start)]

            note = await asyncio.to_thread(self._signer.sign, log, self.origin(tenant), frontier, leaves)
            row = CheckpointRow(id=f"{size:016d}", note=note, time=self._record.clock.now())
            await self._record.append(Append(id=f"checkpoint/{size}", tenant=tenant, put=(row,)))
            self._noted[tenant] = size
            return note

    async def soon(self, tenant: str) -> None:
        """Asks for a checkpoint without waiting; many askers share one signature."""
        if tenant not in self._signing or self._signing[tenant].done():
            self._signing[tenant] = asyncio.get_running_loop().create_task(self._later(tenant))

    async def _later(self, tenant: str) -> None:
        await asyncio.sleep(SETTLE_S)
        await self.checkpoint(tenant)

    async def close(self) -> None:
        """Signs every log that has grown."""
        for task in self._signing.values():
            await asyncio.wait({task})
        for tenant in self._record.journal.tenants():
            _, frontier = self._record.journal.view(tenant).tree()
            if frontier.size and self._noted.get(tenant) != frontier.size:
                await self.checkpoint(tenant)

    # reading ---------------------------------------------------------------------------------------------------------
    def index_of(self, tenant: str, record: str) -> int:
        """A record's index by its id; raises FlyballError `unknown_record`."""
        stored = self._record.journal.view(tenant).record(record)
        if stored is None:
            raise FlyballError("unknown_record", f"there is no record {record!r}", fix="flyball show RUN lists them")
        return stored.index

    def disclosures(self, tenant: str, run: str, disclose: Any) -> Iterator[tuple[str, str, bytes, bytes]]:
        """Every private field of a run that can still be opened: record, field, salt, exact stored bytes."""
        view = self._record.journal.view(tenant)
        for stored in view.records(run=run, limit=1_000_000):
            try:
                fields: Mapping[str, tuple[bytes, bytes]] = disclose(tenant, stored, view)
            except LookupError:
                continue
            for field, (salt, data) in fields.items():
                yield stored.id, field, salt, data

    def keys(self, tenant: str) -> list[KeyRow]:
        """The directory of keys."""
        return self._record.journal.view(tenant).rows(KeyRow)
