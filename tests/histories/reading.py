"""Reads a history as whoever keeps one does: from its file, the corpus's content and the code of then; nothing else.

Leaves are what stands in the file, to the byte; payloads are sealed anew. What the
journal alone may write (budgets, reservations, claims, epochs) is asked of it, as it was then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from flyball.app.plugs import adapter
from flyball.app.project import Project
from flyball.app.wiring import Ports, Rooms, wire
from flyball.core.config import Config
from flyball.core.journal import (
    ROWS,
    Append,
    Appended,
    BlobRow,
    BudgetRow,
    Claim,
    ClaimRow,
    Entry,
    EpochRow,
    Hold,
    HoldRow,
    Reserve,
    Row,
    RunRow,
    Settle,
)
from flyball.core.merkle import leaf_hash
from flyball.core.model import ModelConfig
from flyball.core.seal import seal_payload
from flyball.testing.chance import Seeded
from flyball.testing.clock import VirtualClock
from flyball.testing.values import project_of
from tests.histories.recorder import FORMAT, Head, Kept, Line

TABLES: Final = {kind.TABLE: kind for kind in ROWS}
OWNED: Final = (BudgetRow, HoldRow, ClaimRow, EpochRow)


class Same(msgspec.Struct, frozen=True):
    """Stands for a line that several histories share."""

    same: str


class Keys:
    """People have the names in a log that they had then; implements `ports.keyring.Keyring`."""

    def __init__(self, key: str, fresh: Seeded) -> None:
        self._key, self._fresh = bytes.fromhex(key), fresh
        self._subjects: dict[str, bytes] = {}

    def subject(self, tenant: str, subject: str) -> bytes:
        if subject not in self._subjects:
            self._subjects[subject] = self._fresh.bytes(32)
        return self._subjects[subject]

    def pseudonym(self, tenant: str) -> bytes:
        return self._key

    def erase(self, tenant: str, subject: str) -> None:
        self._subjects.pop(subject)

    def close(self) -> None: ...


@dataclass(frozen=True)
class History:
    """One file of a corpus."""

    path: Path
    content: Path
    modules: tuple[ModuleType, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def head(self) -> Head:
        """What it is; a format that this version does not read is an error."""
        head = msgspec.json.decode(self._lines[0], type=Head)
        assert head.flyball_log == FORMAT
        return head

    @cached_property
    def records(self) -> list[Line]:
        """Every record of the log, in order."""
        return [msgspec.json.decode(line, type=Line) for line in self._bodies if b'"leaf"' in line[:10]]

    @cached_property
    def rows(self) -> list[Row]:
        """Every row beside it."""
        kept = [msgspec.json.decode(line, type=Kept) for line in self._bodies if b'"row"' in line[:10]]
        return [msgspec.json.decode(bytes(each.value), type=TABLES[each.row]) for each in kept]

    @property
    def runs(self) -> list[RunRow]:
        return [row for row in self.rows if isinstance(row, RunRow)]

    def leaves(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(bytes(record.leaf)) for record in self.records]

    @cached_property
    def _lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines()

    @property
    def _bodies(self) -> Iterator[bytes]:
        for line in self._lines[1:]:
            yield self._shared(msgspec.json.decode(line, type=Same).same) if line.startswith(b'{"same"') else line

    def _shared(self, digest: str) -> bytes:
        line = (self.content / digest).read_bytes()
        assert sha256(line).hexdigest() == digest
        return line

    # as a project ----------------------------------------------------------------------------------------------------
    async def ports(self) -> Ports:
        """A journal that holds it, in memory, at the time of its last record; no model answers."""
        fresh = Seeded(f"read/{self.name}")
        ports = Ports(
            journal=adapter("journal.memory")(fresh), keyring=Keys(self.head.key, fresh),
            signer=adapter("signer.memory")("lab", fresh.bytes(32)), engine=adapter("policy.cedar")(),
            clock=VirtualClock(self.leaves()[-1]["t"]), entropy=fresh, models={}, prices=adapter("prices")(None),
        )  # fmt: skip
        await self._load(ports)
        return ports

    def project(self) -> Project:
        """The code of then."""
        return project_of("lab", (), self.modules)

    async def rooms(self) -> Rooms:
        """The project over it, wired; nothing is driven."""
        return wire(config_of(), self.project(), await self.ports())

    async def _load(self, ports: Ports) -> None:
        entries = tuple(self._entry(record, ports) for record in self.records)
        blobs = tuple(BlobRow(id=path.name, content=path.read_bytes()) for path in sorted(self.content.iterdir()))
        put = (*blobs, *(row for row in self.rows if not isinstance(row, OWNED)))
        asked = [Append(id="history", tenant=self.head.tenant, log=self.head.log, entries=entries, put=put)]
        asked += [append for row in self.rows for append in _owned(row, self.head.tenant)]
        for append in asked:
            answer = await ports.journal.append(append)
            assert isinstance(answer, Appended), answer

    def _entry(self, record: Line, ports: Ports) -> Entry:
        raw = bytes(record.leaf)
        leaf = msgspec.json.decode(raw)
        data = {name: bytes(value) for name, value in record.private.items()}
        salts = {name: bytes.fromhex(salt) for name, salt in record.salts.items()}
        sealed = seal_payload(
            ports.keyring, leaf["tenant"], leaf["id"], ("history:kept",), data, salts, ports.entropy.bytes
        )  # fmt: skip
        return Entry(
            id=leaf["id"], kind=leaf["kind"], run=leaf["run"], path=leaf["path"], attempt=leaf["attempt"],
            time=leaf["t"], leaf=raw, hash=leaf_hash(raw), payload=sealed.payload,
            bodies=sealed.bodies,
        )  # fmt: skip


def config_of() -> Config:
    """The shop's configuration: what it was is in the log, this only names what a project needs."""
    models = {"default": ModelConfig(name="default", adapter="scripted")}
    return msgspec.structs.replace(Config.bare("lab", "/srv/shop", home="/home/shop"), models=models)


def _owned(row: Row, tenant: str) -> Iterator[Append]:
    """What to ask of a journal so that it comes to this row."""
    if isinstance(row, EpochRow):
        yield from (Append(id=f"{row.id} {n}", tenant=tenant, raises=(row.id,)) for n in range(row.value))
    elif isinstance(row, ClaimRow):
        scope, _, key = row.id.partition("|")
        claim = Claim(scope=scope, key=key, digest=row.digest, owner=row.owner)
        yield Append(id=row.id, tenant=tenant, claims=(claim,))
    elif isinstance(row, HoldRow):
        yield Append(id=f"hold {row.id}", tenant=tenant, reserve=Reserve(id=row.id, holds=row.holds))
    elif isinstance(row, BudgetRow):
        spent = Reserve(id=f"spent {row.id}", holds=(Hold(node=row.id, amounts=row.spent),))
        yield Append(id=spent.id, tenant=tenant, reserve=spent)
        yield Append(id=f"settled {row.id}", tenant=tenant, settle=Settle(id=spent.id, actual=row.spent))
