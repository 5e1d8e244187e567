"""Artifacts: keeps files as sealed records of the log, and finds them by their values.

Rules:

* A record of its own for each value, named by a pseudonym of the whole of it and of whom it is about: a value that was
  changed, and one of another tenant or subject, leads to no record. The bytes are a payload, stored once for a subject.
* What a run and a tenant keep counts in the append that keeps it: no concurrency passes a cap.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from flyball.core.artifact import Artifact, check_named
from flyball.core.attested import changed
from flyball.core.budget import Amounts, Limit
from flyball.core.config import Artifacts as Caps
from flyball.core.errors import FlyballError
from flyball.core.journal import Append, Appended, Conflict, Hold, Reserve, Settle
from flyball.core.proposal import Proposal
from flyball.core.record import NO_RUN, Event, record_id
from flyball.core.source import SENSITIVITIES
from flyball.ports.recording import Recording

KEPT: Final = "artifacts"
"""The budget node of all that a tenant keeps."""


class Artifacts:
    """The artifacts of this deployment."""

    def __init__(self, record: Recording, caps: Caps) -> None:
        self._record, self._caps = record, caps

    def shelf(self, p: Proposal) -> CallShelf:
        """What one call may put and get."""
        return CallShelf(self, p)

    async def put(
        self, tenant: str, subject: str, data: bytes, named: Artifact, holds: Iterable[Hold] = ()
    ) -> Artifact:  # fmt: skip
        """Keeps bytes for somebody under a name; `holds` are the budget nodes of the run that does. Raises FlyballError
        `bad_artifact`, `artifact_too_large`, `artifacts_full`."""
        check_named(named.name, named.media_type)
        if named.sensitivity not in SENSITIVITIES:
            fix = f"use one of {', '.join(SENSITIVITIES)}"
            raise FlyballError("bad_artifact", f"sensitivity={named.sensitivity!r}", "that is no label", fix)
        if len(data) > self._caps.file_bytes:
            why = f"[artifacts] file_bytes lets {self._caps.file_bytes}"
            raise FlyballError("artifact_too_large", f"{named.name} has {len(data)} bytes", why, "keep a smaller one")
        made = msgspec.structs.replace(named, digest=self._digest(tenant, data), size=len(data))
        path, view = self._path(tenant, subject, made), self._record.journal.view(tenant)
        if view.record(record_id(NO_RUN, path, 0, "artifact")) is None:
            await self._keep(tenant, subject, path, made, data, holds)
        return made

    async def _keep(
        self, tenant: str, subject: str, path: str, made: Artifact, data: bytes, holds: Iterable[Hold]
    ) -> None:  # fmt: skip
        runs = [hold.node.removeprefix("run/") for hold in holds if hold.node.startswith("run/")]
        event = Event(
            kind="artifact", path=path, facts={"size": made.size, "runs": runs}, subjects=(subject,),
            private={"artifact": msgspec.to_builtins(made), "data": base64.b64encode(data).decode()},
        )  # fmt: skip
        entry, size = self._record.seal(tenant, event), Amounts(stored=made.size)
        most = Limit(stored=self._caps.run_bytes)
        nodes = (
            Hold(node=KEPT, amounts=size, limit=Limit(stored=self._caps.tenant_bytes)),
            *(Hold(node=f"run/{run}", amounts=size, limit=most) for run in runs),
        )
        answer = await self._record.append(Append(
            id=entry.id, tenant=tenant, entries=(entry,), reserve=Reserve(id=entry.id, holds=nodes),
            settle=Settle(id=entry.id, actual=None),
        ))  # fmt: skip
        if isinstance(answer, (Appended, Conflict)):
            return  # it is there, by this append or by one that came first
        reason, detail = getattr(answer, "reason", ""), str(getattr(answer, "detail", answer))
        if reason == "budget":
            cap = "tenant_bytes" if detail.startswith(KEPT) else "run_bytes"
            why = f"with {made.size} bytes more it is over [artifacts] {cap} = {getattr(self._caps, cap)}"
            raise FlyballError("artifacts_full", f"{made.name} is not kept", why, "keep less, or raise the cap")
        raise FlyballError("artifact_not_kept", f"{made.name} is not kept: {reason}", detail, "see flyball doctor")

    def known(self, tenant: str, subject: str, value: Mapping[str, Any]) -> bool:
        """Was exactly this kept for this subject?"""
        try:
            wanted = msgspec.convert(value, Artifact)
        except msgspec.ValidationError:
            return False
        return self._record.journal.view(tenant).record(self._id(tenant, subject, wanted)) is not None

    def get(self, tenant: str, subject: str, artifact: Artifact) -> bytes:
        """The bytes; raises FlyballError `unknown_artifact`, `subject_erased`."""
        view = self._record.journal.view(tenant)
        stored = view.record(self._id(tenant, subject, artifact))
        if stored is None:
            why = "nothing was kept under exactly this value for the person whom this is about"
            raise FlyballError("unknown_artifact", f"there is no artifact {artifact.name}", why, "put it first")
        private = self._record.open(tenant, stored, view).private
        if private is None:
            raise FlyballError("subject_erased", f"artifact {artifact.name} was erased with whom it was about")
        data = base64.b64decode(private["data"])
        if self._digest(tenant, data) != artifact.digest:
            raise changed(f"artifact {artifact.name} is another file")
        return data

    def _digest(self, tenant: str, data: bytes) -> str:
        # Two pseudonyms of 128 bits: keyed, and long enough that nobody makes two files of one digest.
        content = hashlib.sha256(data).hexdigest()
        return "".join(self._record.person(tenant, f"artifact\0{half}\0{content}") for half in "ab")

    def _path(self, tenant: str, subject: str, artifact: Artifact) -> str:
        value = msgspec.json.encode(("artifact", subject, artifact)).decode()
        return f"artifact:{self._record.person(tenant, value)}"

    def _id(self, tenant: str, subject: str, artifact: Artifact) -> str:
        return record_id(NO_RUN, self._path(tenant, subject, artifact), 0, "artifact")


class CallShelf:
    """The artifacts that one call may reach: those about its run's subject. What it puts came from its tool."""

    def __init__(self, artifacts: Artifacts, p: Proposal) -> None:
        self._artifacts, self._p = artifacts, p

    async def put(self, data: bytes, /, *, name: str, media_type: str, sensitivity: str = "internal") -> Artifact:
        """Keeps these bytes, sealed; durable when it returns."""
        place, origin = self._p.place, self._p.action.name
        named = Artifact(
            digest="", name=name, media_type=media_type, size=0, sensitivity=sensitivity, origin=origin
        )  # fmt: skip
        return await self._artifacts.put(place.tenant, place.subject, data, named, place.holds)

    async def get(self, artifact: Artifact, /) -> bytes:
        """The bytes; raises FlyballError `unknown_artifact`, `subject_erased`."""
        return self._artifacts.get(self._p.place.tenant, self._p.place.subject, artifact)
