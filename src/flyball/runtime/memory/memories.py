"""Memories: remembering and recalling as governed actions.

What is remembered is the payload of the outcome that says so: nothing else is written, so that a crash leaves nothing
behind that the log does not hold. The index follows. What was recalled is recorded, so that a replay tells the same
without an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from flyball.core.budget import ZERO
from flyball.core.call import Call
from flyball.core.effect import Action
from flyball.core.errors import said
from flyball.core.memory import (
    FACT,
    LEAVING,
    MAX_QUERY,
    OWN,
    RECALL,
    RECALL_SIGNATURE,
    REMEMBER,
    REMEMBER_SIGNATURE,
    Kept,
    Memory,
    Recall,
    Recalled,
    Recalling,
    Remembering,
    Scope,
    Sensitivity,
    Written,
    check_recall,
    flagged,
    ordered,
    told,
)
from flyball.core.memory_index import Found, Indexed, Sought
from flyball.core.origin import APPROVER, DEFAULT, REQUEST, UNKNOWN
from flyball.core.policy import Node, Uid
from flyball.core.proposal import Notes, Performer, Variant
from flyball.core.relevance import coverage, joined, relevance, words
from flyball.core.result import NotDone
from flyball.core.session import NAME as HISTORY
from flyball.core.signature import to_json
from flyball.core.source import highest
from flyball.core.useful import Caps, Standing, useful
from flyball.ports.recording import Recording
from flyball.runtime.memory.projection import Projection
from flyball.runtime.memory.scene import Scene, owner_of, writer

Prepared = tuple[Action, Performer, Mapping[str, Any]]
CANDIDATES: Final = 200
# What a principal said is vouched for to that principal alone.
_PERSONAL: Final = frozenset({REQUEST, DEFAULT, APPROVER})
_TOLD: Final = frozenset({RECALL.name, HISTORY})


class Memories:
    """Prepares what a run proposes to remember and to recall. `caps`: how much a tenant and a principal may keep."""

    def __init__(self, record: Recording, projection: Projection, caps: Caps) -> None:
        self._record, self.projection, self._caps = record, projection, caps

    def remember(self, scene: Scene, wanted: Remembering) -> Prepared:
        """The proposal to remember something; raises FlyballError `no_scope`."""
        owner_of(self._record, scene, wanted.scope)
        writing = _Writing(self._record, self.projection, self._caps, scene)
        performer = Performer(
            perform=cast("Any", writing.perform),
            signature=REMEMBER_SIGNATURE,
            notes=_written,
            variant=self._of(wanted.scope),
        )
        return self._leaving(REMEMBER), performer, to_json(wanted)

    def recall(self, scene: Scene, query: str, top_k: int, min_score: float, scope: Scope) -> Prepared:
        """The proposal to recall; raises FlyballError `no_scope`, `bad_memory`."""
        check_recall(top_k, min_score, (scope,))
        owner_of(self._record, scene, scope)
        reading = Reading(self._record, self.projection, scene)
        wanted = Recalling(query=query[:MAX_QUERY], scope=scope, top_k=top_k, least=round(min_score * 1000))
        performer = Performer(
            perform=cast("Any", reading.perform),
            signature=RECALL_SIGNATURE,
            notes=reading.notes,
            variant=self._of(scope),
        )  # fmt: skip
        return self._leaving(RECALL), performer, to_json(wanted)

    def _leaving(self, action: Action) -> Action:
        return action if self.projection.embedding is None else LEAVING[action.name]

    def _of(self, scope: Scope) -> Any:
        """The resource of a scope. Memories that its owner alone reads and writes are their own; where an embedding
        model is configured, what is remembered and asked leaves."""
        attrs = {"mine": scope in OWN, "egress": self.projection.embedding is not None}
        node = Node(uid=Uid("Memory", scope), attrs=attrs)
        return lambda _: Variant(resource=node.uid, entities=(node,), reserved=ZERO)

    def recalls(self, scene: Scene, query: str, wanted: Recall) -> list[Prepared]:
        """What an agent recalls when it starts: one proposal for each scope that there is."""
        there: dict[str, bool] = {"session": bool(scene.session), "agent": bool(scene.agent)}
        scopes: list[Scope] = [scope for scope in wanted.scopes if there.get(scope, True)]
        return [self.recall(scene, query, wanted.top_k, wanted.min_score, scope) for scope in scopes]

    async def close(self) -> None:
        """Closes the index, and the embedding model."""
        await self.projection.index.close()
        if self.projection.embedding is not None:
            await self.projection.embedding.close()

    async def follow(self, tenant: str) -> None:
        """Brings the index to where the log is; where it cannot be, whoever asks it next is told why."""
        try:
            await self.projection.follow(tenant)
        except Exception:  # noqa: BLE001 - a station boundary: what was remembered is in the log, and is read from there
            return


def _written(written: Written) -> Notes:
    kept = written.kept
    return Notes() if kept is None else Notes(facts={FACT: kept.id}, subjects=kept.subjects)


class _Writing:
    """Carries out one `remember`."""

    def __init__(self, record: Recording, projection: Projection, caps: Caps, scene: Scene) -> None:
        self._record, self._projection, self._caps, self._scene = record, projection, caps, scene

    async def perform(
        self, call: Call, text: str, about: str, scope: Scope, sensitivity: Sensitivity, seconds: int
    ) -> Written:
        """What becomes of it, by the rules of `core.useful`."""
        tenant, now = self._scene.tenant, self._record.clock.now()
        wanted = Remembering(text=text, about=about, scope=scope, sensitivity=sensitivity, seconds=seconds)
        kept = self._kept(call, wanted, now)
        try:
            await self._projection.follow(tenant)
            held = await self._projection.index.held(tenant, kept.by, now)
            near = await self._near(tenant, kept.owner, words(about), now)
        except Exception as bad:  # a station boundary: nothing was written yet, whatever the index raised
            raise NotDone(f"the index of memories cannot be read: {said(bad)}; flyball memory rebuild") from bad
        return useful(kept, near, Standing(tenant=held.tenant, principal=held.principal), self._caps)

    def _kept(self, call: Call, wanted: Remembering, now: int) -> Kept:
        scene, scope, origin = self._scene, wanted.scope, self._scene.origin(wanted.text)
        created = datetime.fromtimestamp(now / 1_000_000, UTC)
        return Kept(
            id=f"m-{call.key[:24]}", text=wanted.text, about=wanted.about, scope=scope,
            owner=owner_of(self._record, scene, scope), by=writer(self._record, scene.tenant, scene.principal),
            source=scene.source, origin=origin, trusted=not scene.tainted() and vouched(origin, scope),
            sensitivity=highest([wanted.sensitivity, scene.sensitivity]), created=created,  # type: ignore[arg-type]
            expires=created + timedelta(seconds=wanted.seconds), subjects=tuple(scene.subjects),
        )  # fmt: skip

    async def _near(self, tenant: str, owner: str, about: tuple[str, ...], now: int) -> list[Kept]:
        rows = await self._projection.index.rows(tenant, owner=owner, about=about, now=now)
        view = self._record.journal.view(tenant)
        return [kept for row in rows if (kept := self._projection.kept(tenant, row, view)) is not None]


def vouched(origin: str, scope: Scope) -> bool:
    """Is a text of this origin vouched for in a scope, where nothing untrusted was read?"""
    if origin == UNKNOWN:
        return False
    return scope in OWN or (origin not in _PERSONAL and origin.partition(".")[0] not in _TOLD)


class Reading:
    """Carries out one `recall`; knows afterwards whose data was told."""

    def __init__(self, record: Recording, projection: Projection, scene: Scene) -> None:
        self._record, self._projection, self._scene = record, projection, scene
        self._subjects: tuple[str, ...] = ()

    async def perform(self, call: Call, query: str, scope: Scope, top_k: int, least: int) -> Recalled:
        """The memories of a scope that answer a query."""
        return await self.of(query, scope, top_k, least / 1000)

    async def of(self, query: str, scope: Scope, top_k: int, least: float) -> Recalled:
        """The same for whoever looks, with the least score from 0 to 1."""
        tenant, now = self._scene.tenant, self._record.clock.now()
        await self._projection.follow(tenant)
        vectors, embedding = await self._projection.vectors([query]), self._projection.embedding
        sought = Sought(
            owner=owner_of(self._record, self._scene, scope), words=words(query), now=now, limit=CANDIDATES,
            vector=vectors[0] if vectors else (),
        )  # fmt: skip
        found = await self._projection.index.search(tenant, sought)
        best = chosen(sought.words, found, top_k, least, embedding.floor if embedding is not None else 0.0)
        rows = await self._with_latest(tenant, sought, best, top_k)
        kept = self._confirmed(tenant, rows, now)
        self._subjects = tuple(sorted({name for one, _ in kept for name in one.subjects}))
        return divided([told(one, score) for one, score in kept])

    async def _with_latest(
        self, tenant: str, sought: Sought, best: Sequence[tuple[Indexed, float]], top_k: int
    ) -> list[tuple[Indexed, float]]:
        """The best, each with what was last said about the same, were it in other words."""
        rows: dict[str, tuple[Indexed, float]] = {}
        for row, score in best:
            if len(rows) >= top_k:
                break
            rows.setdefault(row.id, (row, score))
            same = await self._projection.index.rows(tenant, owner=row.owner, about=row.about, now=sought.now)
            last = max(same, key=lambda r: (r.created, r.id), default=row)
            if last.created > row.created and len(rows) < top_k:
                rows.setdefault(last.id, (last, relevance(sought.words, last.words, last.about)))
        return list(rows.values())

    def _confirmed(self, tenant: str, rows: Sequence[tuple[Indexed, float]], now: int) -> list[tuple[Kept, float]]:
        """What the log says of them, each text once."""
        view, texts, found = self._record.journal.view(tenant), set[str](), list[tuple[Kept, float]]()
        for row, score in rows:
            kept = self._projection.kept(tenant, row, view)
            live = kept is not None and kept.expires.timestamp() * 1_000_000 > now
            if kept is not None and live and kept.text not in texts:
                texts.add(kept.text)
                found.append((kept, score))
        return found

    def notes(self, recalled: Recalled) -> Notes:
        """How sensitive what was told is, and whose data."""
        if not recalled.memories:
            return Notes()
        return Notes(
            facts={"sensitivity": highest([m.sensitivity for m in recalled.memories])}, subjects=self._subjects
        )  # fmt: skip


def chosen(
    query: tuple[str, ...], found: Sequence[Found], top_k: int, least: float, floor: float = 0.0
) -> list[tuple[Indexed, float]]:
    """The best `top_k` of what an index found, with their scores; none below `least`. `floor`: see `core.relevance`."""
    scored = [(one.row, joined(relevance(query, one.row.words, one.row.about), one.cosine, floor)) for one in found]
    good = [(row, score) for row, score in scored if score >= least]
    good.sort(key=lambda p: (-p[1], -coverage(query, p[0].words, p[0].about), -p[0].created, p[0].id))
    return good[:top_k]


def divided(memories: Sequence[Memory]) -> Recalled:
    """Memories as they are recorded."""
    best = flagged(ordered(memories))
    return Recalled(trusted=tuple(m for m in best if m.trusted), untrusted=tuple(m for m in best if not m.trusted))
