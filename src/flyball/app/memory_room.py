"""The room of memories: what a person may see of them, and having them forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

import msgspec

from flyball.app.wiring import Rooms
from flyball.core.errors import FlyballError
from flyball.core.identity import Authority, Principal
from flyball.core.journal import Seen
from flyball.core.memory import FACT, FORGET, OWN, Kept, Memory, Scope, check_recall, told
from flyball.core.origin import UNKNOWN, Origins
from flyball.core.policy import Node, Uid
from flyball.core.proposal import Performer, Place, Proposal, Ruled
from flyball.core.record import Event
from flyball.core.result import Blocked
from flyball.core.session import scope as session_of
from flyball.runtime.memory.memories import Reading
from flyball.runtime.memory.projection import forgotten_id
from flyball.runtime.memory.scene import writer

PORTION: Final = 1_000


class _Person(msgspec.Struct, frozen=True, kw_only=True):
    """A scene without a run: a person who looks into what they may read."""

    principal: Principal
    agent: str = ""
    session: str = ""
    source: str = ""
    subjects: tuple[str, ...] = ()
    sensitivity: str = "public"

    @property
    def tenant(self) -> str:
        return self.principal.tenant

    def tainted(self) -> bool:
        return True

    def origin(self, value: Any) -> str:
        return UNKNOWN


class MemoryRoom:
    """What is remembered. A person sees what is theirs, and what agents and the tenant keep in common."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms, self._projection = rooms, rooms.memories.projection

    async def list(self, *, by: Principal, scope: Scope | None = None, most: int = 100) -> Sequence[Memory]:
        """The memories that somebody may see, the youngest first."""
        found = [told(kept) async for kept in self._seen(by) if scope in (None, kept.scope)]
        return sorted(found, key=lambda m: (-m.created.timestamp(), m.id))[:most]

    async def search(
        self, query: str, *, by: Principal, scope: Scope = "user", agent: str = "", session: str = "", top_k: int = 10,
        min_score: float = 0.0,
    ) -> Sequence[Memory]:  # fmt: skip
        """The memories of a scope that answer a query, the best first: as an agent of this principal would recall."""
        check_recall(top_k, min_score, (scope,))
        record = self._rooms.record
        known = record.person(by.tenant, session_of(by, session)) if session else ""  # as its runs know it
        reading = Reading(record, self._projection, _Person(principal=by, agent=agent, session=known))
        return (await reading.of(query, scope, top_k, min_score)).memories

    async def forget(self, id: str, *, by: Principal, reason: str = "") -> str:
        """Has a memory forgotten: a record says so, its text is gone from the index, and nobody is told it any more.

        Gives the id of that record. Raises FlyballError `unknown_memory`, or Blocked where policy does not let them.
        """
        tenant = by.tenant
        await self._projection.follow(tenant)
        kept = await self._one(tenant, id)
        mine = kept.scope in OWN and kept.by == writer(self._rooms.record, tenant, by)
        ruled = await self._ruled(by, kept, mine=mine)
        facts = {
            FACT: id, "scope": kept.scope, "by": self._rooms.record.person(tenant, by.id),
            "bundles": list(ruled.bundles), "policies": list(ruled.decision.determining),
        }  # fmt: skip
        event = Event(kind="forgotten", path=id, facts=facts, private={"reason": reason}, subjects=kept.subjects)
        epochs = tuple(Seen(name, value) for name, value in ruled.epochs.items())
        await self._rooms.record.write(tenant, event, raises=(FACT,), epochs=epochs)
        await self._projection.follow(tenant)
        return forgotten_id(id)

    async def rebuild(self, *, tenant: str = "local") -> int:
        """Makes the index again from the log; gives how many memories are in it."""
        return await self._projection.rebuild(tenant)

    async def _one(self, tenant: str, id: str) -> Kept:
        rows = await self._projection.index.rows(tenant, id=id)
        kept = self._projection.kept(tenant, rows[0], self._rooms.ports.journal.view(tenant)) if rows else None
        if kept is None:
            what = f"there is no memory {id} in tenant {tenant}"
            raise FlyballError("unknown_memory", what, fix="flyball memory list")
        return kept

    async def _ruled(self, by: Principal, kept: Kept, *, mine: bool) -> Ruled:
        node = Node(uid=Uid("Memory", kept.scope), attrs={"mine": mine, "egress": False})
        proposal = Proposal(
            place=Place(tenant=by.tenant, run="", path="", fence=None, release="", subjects=(), subject=""),
            action=FORGET, performer=Performer(perform=lambda *_: None), authority=Authority(principal=by),
            arguments={}, origins=Origins(), resource=node.uid, entities=(node,),
        )  # fmt: skip
        ruled = await self._rooms.enforce.rule(proposal)
        if ruled.decision.outcome != "allow":
            what = f"{by.id} may not have a memory of scope {kept.scope} forgotten"
            fix = "ask whoever it is, or somebody in the group admin"
            raise Blocked(ruled.decision.reason, policies=ruled.decision.determining, what=what, fix=fix)
        return ruled

    async def _seen(self, by: Principal) -> AsyncIterator[Kept]:
        record, tenant, now = self._rooms.record, by.tenant, self._rooms.ports.clock.now()
        me, after = writer(record, tenant, by), ""
        await self._projection.follow(tenant)
        while rows := await self._projection.index.rows(tenant, now=now, after=after, limit=PORTION):
            after, view = rows[-1].id, self._rooms.ports.journal.view(tenant)
            for row in rows:
                kept = self._projection.kept(tenant, row, view)
                if kept is not None and (kept.scope not in OWN or kept.by == me):
                    yield kept
