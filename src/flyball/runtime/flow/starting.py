"""Starting: what a run is started with, its id, and the one append that starts it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from flyball.core.identity import Principal
from flyball.core.journal import Answered, Append, Claim, RunRow
from flyball.core.lifecycle import QUEUED
from flyball.core.limits import Limits, counted
from flyball.core.record import Event, Opened
from flyball.core.signature import to_json
from flyball.ports.recording import Recording
from flyball.runtime.flow.session import Place, Sessions


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is started with. `guards`: which of them redacted its input, as facts; `traceparent`: where its caller
    says that it belongs."""

    kind: str
    what: str
    input: Any
    by: Principal
    release: str
    key: str = ""
    session: str = ""
    subject: str = ""
    limits: Limits = Limits()
    parent: str = ""
    guards: tuple[Mapping[str, Any], ...] = ()
    traceparent: str = ""


class Starts:
    """Names runs and appends their starts."""

    def __init__(self, record: Recording, sessions: Sessions) -> None:
        self.record, self.sessions = record, sessions

    def id_of(self, wanted: Started) -> str:
        """The id of a run that is started so: with a key always the same one."""
        if wanted.key:
            return "r-" + self.record.person(wanted.by.tenant, f"run\0{wanted.by.id}\0{wanted.key}")[:20]
        # Ids that begin with the time keep a run's rows together on the journal's pages.
        return f"r-{self.record.clock.now() // 1000:011x}{self.record.salt()[:6].hex()}"

    async def append(self, wanted: Started, run: str) -> tuple[Answered, Event, RunRow]:
        """Asks for the run to be started, as the next turn of its session where it has one."""
        tenant, now, data = wanted.by.tenant, self.record.clock.now(), to_json(wanted.input)
        place = self.sessions.place(wanted.by, wanted.session)
        claims = place.claims(run)
        if wanted.key:
            body = self.record.person(tenant, hashlib.sha256(msgspec.json.encode([wanted.what, data])).hexdigest())
            claims = (Claim(scope="run", key=run, digest=body, owner=run), *claims)
        event = self._event(wanted, run, data, place)
        row = RunRow(
            id=run, kind=wanted.kind, what=wanted.what, state=QUEUED if place.waits else "running",
            epoch=0 if place.waits else 1, release=wanted.release, session=place.session, turn=place.turn,
            parent=wanted.parent, started=now,
        )  # fmt: skip
        entry = self.record.seal(tenant, event, now)
        answer = await self.record.append(Append(
            id=entry.id, tenant=tenant, entries=(entry,), claims=claims, put=(row,),
        ))  # fmt: skip
        return answer, event, row

    def _event(self, wanted: Started, run: str, data: Any, place: Place) -> Event:
        tenant, subject = wanted.by.tenant, wanted.subject or wanted.by.id
        named = {"session": wanted.session} if wanted.session else {}
        return Event(
            kind="run_started", run=run, subjects=(subject,),
            facts={"kind": wanted.kind, "what": wanted.what, "release": wanted.release, "key": bool(wanted.key),
                   "by": self.record.person(tenant, wanted.by.id), "generation": 1,
                   **({"parent": wanted.parent} if wanted.parent else {}),
                   **({"guards": list(wanted.guards)} if wanted.guards else {}), **place.facts},
            private={"input": data, "principal": msgspec.to_builtins(wanted.by, order="deterministic"),
                     "subject": subject, "limits": msgspec.to_builtins(counted(wanted.limits)), "key": wanted.key,
                     **named, **({"traceparent": wanted.traceparent} if wanted.traceparent else {})},
        )  # fmt: skip


def as_read(event: Event, index: int, time: int) -> Opened:
    """A record that was just written, as it would be read: numbers, lists and texts of its JSON."""
    private = msgspec.json.decode(msgspec.json.encode(event.private))
    return Opened(
        index=index, kind=event.kind, run=event.run, path=event.path, attempt=event.attempt, time=time,
        facts=event.facts, commits={}, private=private,
    )  # fmt: skip
