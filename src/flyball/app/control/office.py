"""The office: the rooms of an open project in which commands are carried out, and who is known there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from flyball.app.memory_room import MemoryRoom
from flyball.app.policy_room import PolicyRoom
from flyball.app.rooms import Approvals, Budgets, Keys, LedgerRoom, Questions, Releases, Runs
from flyball.app.wiring import Rooms
from flyball.core.event import Event
from flyball.core.journal import BundleRow
from flyball.runtime.watch import watch

STARTER = "flyball/starter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Rooms over one journal. `scripted` names the models that play a script; `code` is False where the project's own
    modules were not loaded, so that nothing can be started."""

    rooms: Rooms
    runs: Runs
    approvals: Approvals
    questions: Questions
    policies: PolicyRoom
    ledger: LedgerRoom
    budgets: Budgets
    keys: Keys
    releases: Releases
    memory: MemoryRoom
    scripted: tuple[str, ...] = ()
    code: bool = True

    @classmethod
    def of(cls, rooms: Rooms, *, scripted: tuple[str, ...] = (), code: bool = True, runs: Runs | None = None) -> Office:
        """The office over wired rooms."""
        return cls(
            rooms=rooms, runs=runs or Runs(rooms), approvals=Approvals(rooms), questions=Questions(rooms),
            policies=PolicyRoom(rooms), ledger=LedgerRoom(rooms), budgets=Budgets(rooms), keys=Keys(rooms),
            releases=Releases(rooms), memory=MemoryRoom(rooms), scripted=scripted, code=code,
        )  # fmt: skip

    def watch(self, *, run: str | None, after: int, tenant: str) -> AsyncIterator[Event]:
        """Events with a sequence above `after`; of one run until it ends, else for ever."""
        return watch(self.rooms.record, self.rooms.watching, tenant, run=run, after=after)

    def notices(self, tenant: str) -> dict[str, object]:
        """What every surface says: scripted models, the starter policy, what on disk is not in force, reviews."""
        rows = self.rooms.ports.journal.view(tenant).rows(BundleRow)
        return {"scripted": list(self.scripted), "starter": any(row.name == STARTER for row in rows),
                "standing": self.policies.notices(tenant=tenant)}  # fmt: skip
