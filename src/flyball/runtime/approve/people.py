"""People: approving, rejecting, editing and answering what waits. Each is an append that wakes the run.

Rules (GATE section 4):

* Whoever submits names the `over` of the version they were shown; if it was edited or decided since, that is a conflict
  and nothing is consumed.
* The approver is an authenticated person in the group, nobody in the chain, no editor, no owner of a credential that
  the action uses; distinct cures, distinct people.
* An edit is a new proposal: the pending approval becomes void, the edited arguments are decided again, and only the
  edited leaves become trusted.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from flyball.core.admission import MAX_APPEND
from flyball.core.approval import cure_for, leaf_cure, member, objection, people, shown_group, unmet
from flyball.core.attested import changed, misstated
from flyball.core.budget import Amounts
from flyball.core.credential import verify_approval
from flyball.core.doubt import outlives
from flyball.core.errors import FlyballError, Superseded
from flyball.core.fits import misfit
from flyball.core.identity import Authority, Link, Principal
from flyball.core.journal import Append, Appended, HoldRow, KeyRow, PendingRow, Refused, RunRow, Settle
from flyball.core.lifecycle import LIVE, moved
from flyball.core.origin import forms
from flyball.core.record import Event, Opened
from flyball.core.result import Pending
from flyball.core.signature import plain
from flyball.core.steps import bare
from flyball.ports.journal import View
from flyball.ports.recording import Recording
from flyball.runtime.approve.show import pending_of

Signature = tuple[str, str]
May = Callable[[Principal, PendingRow], Awaitable[Mapping[str, str]]]
Wake = Callable[[str, str], None]
ALL = 1_000_000
# What became of something that was decided meanwhile, in words.
BECAME: Mapping[str, str] = {
    "open": "it was edited, and is decided again", "granted": "it is approved already",
    "consumed": "it was approved, and what it allowed has run", "rejected": "it was denied",
    "expired": "nobody decided in time", "void": "it was decided already, or another one took its place",
}  # fmt: skip


class People:
    """What people may do about what waits. `may` asks policy whether this person may decide this at all."""

    def __init__(self, record: Recording, may: May, wake: Wake) -> None:
        self._record, self._may, self._wake = record, may, wake

    # reading ---------------------------------------------------------------------------------------------------------
    def pending(self, tenant: str, *, run: str = "", kind: str = "") -> list[Pending]:
        """Everything open in a tenant, or in one of its runs."""
        where = {name: value for name, value in (("run", run), ("kind", kind)) if value}
        view = self._record.journal.view(tenant)
        return [self.one(tenant, row.id)[0] for row in view.rows(PendingRow, state="open", **where)]

    def one(self, tenant: str, pending: str) -> tuple[Pending, PendingRow, Opened]:
        """One pending thing as it stands, with its row and its `asked` record; raises `unknown_pending`."""
        view = self._record.journal.view(tenant)
        row = view.row(PendingRow, pending)
        if row is None:
            raise FlyballError("unknown_pending", f"nothing waits as {pending!r}", fix="flyball approvals")
        asked = self._opened(tenant, row.record, view)
        return pending_of(row, asked.private or {}, asked.facts), row, asked

    # deciding --------------------------------------------------------------------------------------------------------
    async def approve(
        self, pending: Pending | str, by: Principal, reason: str = "", signed: Signature | None = None
    ) -> Pending:
        """Signs the version that was shown. Returns it as it stands now: still open where more people are needed."""
        row, asked, lets = await self._open(pending, by, "approval")
        self._check_signature(by, row, signed)
        pseudonym = self._record.person(by.tenant, by.id)
        cure = cure_for(by, row.groups, row.given, pseudonym, self._others(by, row, asked), lets)
        if cure is None:
            raise self._not_eligible(by, row, asked, pseudonym)
        given = {"by": pseudonym, "cure": cure} | ({"key": signed[0], "sig": signed[1]} if signed else {})
        met = not unmet(row.groups, (*row.given, given))
        state = moved("approval", row.state, "complete" if met else "grant")
        changed = msgspec.structs.replace(row, state=state, given=(*row.given, given), version=row.version + 1)
        facts = {"cure": cure, **self._signature(signed)}
        await self._decide("approved", row, changed, by, facts, {"reason": reason})
        return self.one(by.tenant, row.id)[0]

    async def reject(
        self, pending: Pending | str, by: Principal, reason: str = "", signed: Signature | None = None
    ) -> None:
        """Says no: the proposal is blocked, and the same one is not asked about again in this run."""
        row, asked, _ = await self._open(pending, by, "approval")
        if not any(member(by, people(cure)[1]) for cure in row.groups):
            raise self._not_eligible(by, row, asked, "")
        changed = msgspec.structs.replace(row, state=moved("approval", row.state, "reject"), version=row.version + 1)
        await self._decide("rejected", row, changed, by, self._signature(signed), {"reason": reason})

    async def edit(
        self, pending: Pending | str, changes: Mapping[str, Any], by: Principal, reason: str = "",
        signed: Signature | None = None,
    ) -> None:  # fmt: skip
        """Changes arguments of what waits: a new proposal, decided again. The editor cannot approve it."""
        row, asked, _ = await self._open(pending, by, "approval")
        if not any(member(by, people(cure)[1]) for cure in row.groups):
            raise self._not_eligible(by, row, asked, "")
        args, changes = dict((asked.private or {})["args"]), plain(changes, max_bytes=MAX_APPEND)
        strange = sorted(changes.keys() - args.keys())
        if strange or not changes:
            what = f"{asked.facts['covers']['action']} has no argument {', '.join(strange)}" if strange else "no change"
            raise FlyballError("bad_edit", what, fix=f"it has {', '.join(sorted(args))}")
        wrong = misfit(args | dict(changes), (asked.private or {}).get("schema", {}))
        if wrong is not None:
            raise FlyballError(
                "bad_edit", "the edited arguments do not fit", wrong, "Give values that fit; nothing was changed."
            )
        changed = msgspec.structs.replace(row, state=moved("approval", row.state, "edit"), version=row.version + 1)
        typed = forms(dict(changes)) - forms(args)
        private = {"args": args | dict(changes), "changed": sorted(changes), "typed": sorted(typed), "reason": reason}
        await self._decide("edited", row, changed, by, self._signature(signed), private)

    async def answer(
        self, pending: Pending | str, value: Any, by: Principal, reason: str = "", signed: Signature | None = None
    ) -> None:
        """Answers a flow's question."""
        row, asked, _ = await self._open(pending, by, "question")
        if by.kind != "user" or by.agent is not None:
            raise FlyballError("not_eligible", f"{by.id} is no person")
        if not any(member(by, people(cure)[1]) for cure in row.groups):
            raise self._not_eligible(by, row, asked, "")
        value = plain(value, max_bytes=MAX_APPEND)
        wrong = misfit(value, (asked.private or {}).get("schema", {}))
        if wrong is not None:
            raise FlyballError(
                "bad_answer", "the answer does not fit the question", wrong, "answer with JSON that fits"
            )
        changed = msgspec.structs.replace(row, state="void", version=row.version + 1)
        cure = leaf_cure(row.groups[0], partial(self._record.person, by.tenant))
        facts = {"cure": cure, **self._signature(signed)}
        await self._decide("answered", row, changed, by, facts, {"value": value, "reason": reason})

    async def resolve(
        self, pending: Pending | str, status: str, by: Principal, result: Any = None, reason: str = "",
        signed: Signature | None = None,
    ) -> None:  # fmt: skip
        """Says what became of an unknown outcome: `executed` (with its result) or `failed`. Settles its reservation."""
        row, asked, _ = await self._open(pending, by, "unknown")
        if status not in ("executed", "failed"):
            raise FlyballError("bad_resolution", f"{status!r} is no resolution", fix="executed or failed")
        if by.kind != "user" or by.agent is not None or by.assurance == "os":
            fix = "act with a person's key: FLYBALL_KEY"
            raise FlyballError("not_eligible", f"{by.id} cannot settle this", fix=fix)
        if not any(member(by, people(cure)[1]) for cure in row.groups):
            raise self._not_eligible(by, row, asked, "")
        if not outlives(row) and self._came_late(by.tenant, row):
            raise FlyballError("conflict", f"{row.id} needs no answer", "it has come to light", "flyball show RUN")
        result = plain(result, max_bytes=MAX_APPEND)
        wrong = misfit(result, (asked.private or {}).get("schema", {})) if status == "executed" else None
        if wrong is not None:
            raise FlyballError(
                "bad_resolution", "the result does not fit what the tool returns", wrong, "--result JSON"
            )
        changed = msgspec.structs.replace(row, state="void", version=row.version + 1)
        event = Event(
            kind="resolution", run=row.run, path=row.path, attempt=asked.attempt,
            subjects=(*self._subjects(by.tenant, row.run), by.id),
            facts={"intent": row.intent, "status": status, "by": self._record.person(by.tenant, by.id),
                   **self._signature(signed)},
            private={"result": result, "reason": reason, "person": by.id},
        )  # fmt: skip
        # What happened is charged as it was reserved: nobody measured it.
        spent = self._reserved(by.tenant, row) if status == "executed" else Amounts()
        await self._append(by.tenant, event, row, changed, settle=Settle(id=row.intent, actual=spent))

    # parts -----------------------------------------------------------------------------------------------------------
    async def _open(
        self, pending: Pending | str, by: Principal, kind: str
    ) -> tuple[PendingRow, Opened, frozenset[str]]:
        """The row, its `asked` record, and the approvals of it that policy does not let this person give."""
        name = pending if isinstance(pending, str) else pending.id
        now, row, asked = self.one(by.tenant, name)
        if row.kind != kind:
            how = {"approval": "approve", "question": "answer", "unknown": "answer ... executed|failed"}
            fix = f"flyball {how.get(row.kind, 'show')}"
            raise FlyballError("wrong_kind", f"{name} is of kind {row.kind}", fix=fix)
        wrong = misstated(row, asked, partial(self._record.person, by.tenant))
        if wrong:
            raise changed(f"{name}: {wrong}")
        shown = now.over if isinstance(pending, str) else pending.over
        if row.state != "open" or shown != row.over:
            became = BECAME.get(row.state, f"it is {row.state} now")
            raise FlyballError(
                "conflict", f"{name} is not what you were shown", became, "flyball approvals", {"state": row.state}
            )
        if 0 < row.expires <= self._record.clock.now():
            raise FlyballError("conflict", f"{name} has expired", fix="flyball approvals", data={"state": "expired"})
        run = self._record.journal.view(by.tenant).row(RunRow, row.run)
        if run is None or not (run.state in LIVE or outlives(row)):
            raise FlyballError("conflict", f"run {row.run} has ended", fix="flyball show RUN")
        if by.assurance == "key" and not self._has_key(by):
            raise FlyballError("auth_failed", f"{by.id} has no valid key", fix="flyball key create NAME --group GROUP")
        refused = await self._may(by, row)
        if refused and all(cure in refused for cure in row.groups if member(by, people(cure)[1])):
            why = "; ".join(dict.fromkeys(refused.values()))
            raise FlyballError("policy_denied", f"policy does not let {by.id} decide this", why)
        return row, asked, frozenset(refused)

    def _check_signature(self, by: Principal, row: PendingRow, signed: Signature | None) -> None:
        """A key holder signs `over`; the signature is checked before it becomes evidence."""
        if by.assurance != "key" and signed is None:
            return  # the host program vouches, and the record says so
        key = self._record.journal.view(by.tenant).row(KeyRow, signed[0]) if signed is not None else None
        mine = key is not None and key.person == by.id and not key.revoked
        if signed is None or key is None or not mine or not verify_approval(b64decode(key.public), row.over, signed[1]):
            raise FlyballError("auth_failed", f"{by.id} did not sign this approval", fix="act with FLYBALL_KEY")

    def _has_key(self, by: Principal) -> bool:
        return any(not row.revoked for row in self._record.journal.view(by.tenant).rows(KeyRow, person=by.id))

    def _not_eligible(self, by: Principal, row: PendingRow, asked: Opened, pseudonym: str) -> FlyballError:
        authority = authority_of(asked)
        why = objection(by, authority, pseudonym, self._editors(by.tenant, row), owners_of(asked))
        groups = ", ".join(shown_group(c) for c in unmet(row.groups, row.given))
        if why is None and pseudonym and any(g["by"] == pseudonym for g in row.given):
            why = f"{by.id} signed already, and one person counts once"
        why = why or f"{by.id} is not in {groups}"
        can = self._able(by.tenant, row, asked)
        fix = f"{len(can)} can: {', '.join(can)}" if can else "Nobody can yet: flyball key create NAME --group GROUP"
        return FlyballError("not_eligible", f"waiting for {groups}", why, fix)

    def _others(self, by: Principal, row: PendingRow, asked: Opened) -> dict[str, set[str]]:
        """Who else could sign, where there is a directory: each with their groups, and themselves."""
        gone = {g["by"] for g in row.given} | self._editors(by.tenant, row) | owners_of(asked)
        behind, found = authority_of(asked).principal, dict[str, set[str]]()
        for key in self._record.journal.view(by.tenant).rows(KeyRow):
            other = key.person not in (by.id, behind.id, behind.on_behalf_of)
            if other and not key.revoked and self._record.person(by.tenant, key.person) not in gone:
                found.setdefault(key.person, {key.person}).update(key.groups)
        return found

    def _able(self, tenant: str, row: PendingRow, asked: Opened) -> list[str]:
        wanted = {people(cure)[1] for cure in unmet(row.groups, row.given)}
        keys = self._record.journal.view(tenant).rows(KeyRow)
        able = {k.person for k in keys if not k.revoked and wanted & set(k.groups)}
        able -= {authority_of(asked).principal.id}
        able = {name for name in able if self._record.person(tenant, name) not in owners_of(asked)}
        return sorted(name.partition(":")[2] for name in able)

    def _editors(self, tenant: str, row: PendingRow) -> frozenset[str]:
        view = self._record.journal.view(tenant)
        edits = (s for s in view.records(run=row.run, limit=ALL) if s.kind == "edited")
        records = (self._record.open(tenant, s, view) for s in edits)
        return frozenset(str(r.facts["by"]) for r in records if bare(r.path) == row.path)

    async def objection(self, by: Principal, row: PendingRow) -> str | None:
        """Why this person may not sign this row, apart from policy; None where they may."""
        _, _, asked = self.one(by.tenant, row.id)
        pseudonym = self._record.person(by.tenant, by.id)
        return objection(by, authority_of(asked), pseudonym, self._editors(by.tenant, row), owners_of(asked))

    async def _decide(
        self, kind: Any, row: PendingRow, changed: PendingRow, by: Principal, facts: Mapping[str, Any],
        private: Mapping[str, Any],
    ) -> None:  # fmt: skip
        if kind in ("approved", "rejected", "edited"):
            why = await self.objection(by, row)
            if why is not None:
                raise self._not_eligible(by, row, self.one(by.tenant, row.id)[2], self._record.person(by.tenant, by.id))
        event = Event(
            kind=kind, run=row.run, path=f"{row.path}!{row.version}" if kind != "answered" else row.path,
            attempt=int(row.id.rpartition("#")[2]), subjects=(*self._subjects(by.tenant, row.run), by.id),
            facts={"pending": row.id, "over": row.over, "by": self._record.person(by.tenant, by.id),
                   "assurance": by.assurance, **facts},
            private={**private, "person": by.id},
        )  # fmt: skip
        await self._append(by.tenant, event, row, changed)

    async def _append(self, tenant: str, event: Event, row: PendingRow, changed: PendingRow, **rest: Any) -> None:
        plain(event.private, max_bytes=MAX_APPEND)  # what no record gives back as it is decides nothing
        entry = self._record.seal(tenant, event)
        try:
            answer = await self._record.append(Append(
                id=entry.id, tenant=tenant, entries=(entry,), put=(changed,), expect=((row.id, row.version),),
                wakes=(row.run,), urgent=True, **rest,
            ))  # fmt: skip
        except Superseded as lost:  # a person is no driver of the run: they are told what happened
            raise lost.error from None
        if isinstance(answer, Refused):
            what = f"the decision about {row.id} could not be recorded"
            raise FlyballError(answer.reason, what, answer.detail, "see flyball doctor, then decide again")
        if not isinstance(answer, Appended) or answer.repeated:
            raise FlyballError("conflict", f"{row.id} was decided by somebody else meanwhile", fix="flyball approvals")
        self._wake(tenant, row.run)

    def _came_late(self, tenant: str, row: PendingRow) -> bool:
        """Is it in the log that it happened? The run may not have been driven since."""
        view = self._record.journal.view(tenant)
        late = (s for s in view.records(run=row.run, limit=ALL) if s.kind == "late" and bare(s.path) == bare(row.path))
        return any(self._record.open(tenant, s, view).facts["status"] == "executed" for s in late)

    def _reserved(self, tenant: str, row: PendingRow) -> Amounts:
        held = self._record.journal.view(tenant).row(HoldRow, row.intent)
        return held.holds[0].amounts if held is not None and held.holds else Amounts()

    def _opened(self, tenant: str, id: str, view: View) -> Opened:
        stored = view.record(id)
        if stored is None:
            why, fix = f"the log holds no {id}, which a row names", "restore a backup; do not repair the file by hand"
            raise FlyballError("journal_corrupt", "the journal is damaged", why, fix)
        return self._record.open(tenant, stored, view)

    def _subjects(self, tenant: str, run: str) -> tuple[str, ...]:
        view = self._record.journal.view(tenant)
        first = self._record.open(tenant, view.records(run=run, limit=1)[0], view)
        return (str((first.private or {})["subject"]),) if first.private else ()

    @staticmethod
    def _signature(signed: Signature | None) -> dict[str, str]:
        return {"key": signed[0], "sig": signed[1]} if signed else {}


def owners_of(asked: Opened) -> frozenset[str]:
    """Whose credentials what waits would use, by pseudonym."""
    return frozenset(asked.facts.get("owners", ()))


def authority_of(asked: Opened) -> Authority:
    """The chain behind what waits, from its `asked` record."""
    private = asked.private or {}
    shown = private.get("shown", {})
    tenant, issuer, name, *agents = private.get("chain") or ["local", "host", shown.get("by", "user:?")]
    links = tuple(Link(agent=a, role="executor") for a in agents)
    principal = Principal(name, tenant=tenant, issuer=issuer, on_behalf_of=shown.get("on_behalf_of"))
    return Authority(principal=principal, links=links)
