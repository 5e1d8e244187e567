"""Observe: every decision, intent and outcome becomes a sealed record; T1 and T2 are made here.

Rules:

* T1 (`intend`) carries the verdict, the intent, the reservation, the idempotency claims, the approval it consumes and
  the epochs its verdict read, in one append. T2 (`conclude`) carries the outcome and the settlement.
* Outcome leaves hold only fixed-size fields. If the result cannot be stored, a minimal outcome is.
* Free text, arguments and results are private fields: committed in the leaf, sealed in the payload.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from flyball.core.approval import cure_names
from flyball.core.budget import Amounts
from flyball.core.caps import DENIAL, counted_at
from flyball.core.commitment import SALT_BYTES, pseudonym
from flyball.core.doubt import held_again, meaning, question
from flyball.core.effect import Isolation
from flyball.core.errors import FlyballError, Superseded
from flyball.core.journal import (
    Answered,
    Append,
    Appended,
    Claim,
    Conflict,
    Consume,
    Entry,
    Hold,
    Indeterminate,
    Refused,
    Reserve,
    Seen,
    Settle,
    Stored,
)
from flyball.core.memory import FACT
from flyball.core.merkle import leaf_hash
from flyball.core.outcome import (
    Ended,
    Lifted,
    about,
    amounts_data,
    amounts_of,
    business_claim,
    call_key,
    given_back,
    outcome_event,
    taints,
)
from flyball.core.proposal import Notes, Proposal, Ruled
from flyball.core.record import Event, Opened, commitments, leaf
from flyball.core.result import Blocked
from flyball.core.seal import Opening, Sealed, open_payload, seal_payload
from flyball.ports.clock import Clock, Entropy
from flyball.ports.journal import Journal, View
from flyball.ports.keyring import Keyring

# Two findings about one attempt may come at once: one of them asks.
MAX_ASKED = 3


class Recorder:
    """Seals events into entries and appends them; opens stored records again."""

    def __init__(self, journal: Journal, keyring: Keyring, clock: Clock, entropy: Entropy) -> None:
        self.journal, self.clock, self._keyring, self._entropy = journal, clock, keyring, entropy
        self.hints: set[asyncio.Event] = set()
        self.woken: Callable[[str, str], None] = lambda *_: None
        self.isolation: Callable[[Proposal], Isolation] = lambda _: "none"
        self._jumps: dict[str, int] = {}

    # sealing -------------------------------------------------------------------------------------------------------
    def person(self, tenant: str, name: str) -> str:
        """The keyed pseudonym of a person in this tenant."""
        return pseudonym(self._keyring.pseudonym(tenant), name)

    def salt(self) -> bytes:
        """A fresh salt, for a field that two records will commit to."""
        return self._entropy.bytes(SALT_BYTES)

    def seal(self, tenant: str, event: Event, time: int | None = None) -> Entry:
        """The entry of an event: commitments in the leaf, private fields sealed under its subjects' keys."""
        now, id = self.clock.now() if time is None else time, event.id
        data = {name: msgspec.json.encode(value) for name, value in event.private.items()}
        salts = _salts(event, self._entropy)
        raw = leaf(event, tenant, now, commitments(data, salts))
        sealed = Sealed(None, ())
        if data:
            sealed = seal_payload(
                self._keyring, tenant, id, event.subjects, data, salts, self._entropy.bytes
            )  # fmt: skip
        return Entry(
            id=id, kind=event.kind, run=event.run, path=event.path, attempt=event.attempt, time=now, leaf=raw,
            hash=leaf_hash(raw), payload=sealed.payload, bodies=sealed.bodies,
        )  # fmt: skip

    def open(self, tenant: str, stored: Stored, view: View) -> Opened:
        """A stored record with its private fields; they are None where the subject was erased."""
        told = msgspec.json.decode(stored.leaf)
        private: dict[str, Any] | None = {}
        salts: dict[str, bytes] = {}
        if stored.payload is not None:
            try:
                fields = open_payload(self._keyring, tenant, stored.id, stored.payload, view.body)
                private = {name: msgspec.json.decode(data) for name, (_, data) in fields.items()}
                salts = {name: salt for name, (salt, _) in fields.items()}
            except LookupError:
                private = None
        return Opened(
            index=stored.index, kind=stored.kind, run=stored.run, path=stored.path, attempt=stored.attempt,
            time=stored.time, facts=told["facts"], commits=told["commit"], private=private, salts=salts,
        )  # fmt: skip

    def disclose(self, tenant: str, stored: Stored, view: View) -> Mapping[str, Opening]:
        """Salt and exact stored bytes of each private field, for an auditor; raises LookupError once erased."""
        if stored.payload is None:
            return {}
        return open_payload(self._keyring, tenant, stored.id, stored.payload, view.body)

    async def append(self, append: Append) -> Appended | Conflict | Answered:
        """Appends. Where nobody can say whether it is durable, or a driver has lost its run, nothing may go on:
        raises Superseded in a run, FlyballError elsewhere."""
        answer = await self.journal.append(append)
        if isinstance(answer, Appended):
            for hint in self.hints:
                hint.set()
            if self._jumps.get(append.tenant, 0) < len(self.clock.jumps()):
                await self._note_jumps(append.tenant)
            return answer
        error = _final(answer)
        of_run = append.fence is not None or append.settle is not None or _closes(append)
        if error is not None and of_run:
            raise Superseded(error)
        if isinstance(answer, Refused) and answer.reason == "disk_full" and append.fence is not None:
            raise Superseded(refusal(answer))  # the run stands where its log stands, until there is room again
        if isinstance(answer, Indeterminate):
            raise error or FlyballError("indeterminate", "not durable")
        return answer

    async def _note_jumps(self, tenant: str) -> None:
        """Somebody set the machine's clock: a reader of the log's times must know. After an append, so that a log is
        there and this is not its opening."""
        jumps, noted = self.clock.jumps(), self._jumps.get(tenant, 0)
        self._jumps[tenant] = len(jumps)
        for jump in jumps[noted:]:
            facts = {"at": jump.at, "by": jump.by}
            entry = self.seal(tenant, Event(kind="clock_set", path=f"clock:{jump.at}:{jump.by}", facts=facts))
            await self.journal.append(Append(id=entry.id, tenant=tenant, entries=(entry,)))

    async def write(self, tenant: str, *events: Event, id: str = "", **rest: Any) -> Appended:
        """Appends events that must not be refused; raises FlyballError `conflict` or `refused` where they are."""
        entries = tuple(self.seal(tenant, e) for e in events)
        append = Append(id=id or entries[0].id, tenant=tenant, entries=entries, **rest)
        answer = await self.append(append)
        if not isinstance(answer, Appended):
            raise Superseded(refusal(answer)) if rest.get("fence") or _closes(append) else refusal(answer)
        return answer

    # the two appends of an action ----------------------------------------------------------------------------------
    async def intend(self, ruled: Ruled, reserve: Reserve, lifted: Lifted | None, required: str = "") -> Answered:
        """T1: everything before the effect, in one transaction. `required`: the record that says that it may go on."""
        p, facts, private = ruled.proposal, self._facts(ruled), self._private(ruled)
        place, key, now = p.place, call_key(p), self.clock.now()
        facts |= {
            "key": key, "idempotency": p.action.idempotency, "deadline": now + p.action.timeout_ms * 1000,
            "isolation": self.isolation(p), **p.performer.facts,
            "reserved": amounts_data(reserve.holds[0].amounts if reserve.holds else Amounts()),
        }  # fmt: skip
        if required:
            facts["precondition"] = required
        if p.streams:
            facts["streamed"] = True
        event = Event(
            kind="intent", run=place.run, path=place.path, attempt=p.attempt, facts=facts, private=private,
            subjects=place.subjects,
        )  # fmt: skip
        consume = None
        if lifted is not None:
            covered = about(ruled)
            event = replace(
                event, private={**private, **covered}, salts=lifted.salts,
                facts={**facts, "approval": {"pending": lifted.row.id, "over": lifted.row.over}},
            )  # fmt: skip
            if lifted.first:
                consume = Consume(pending=lifted.row.id, version=lifted.row.version, intent=event.id)
        entry = self.seal(place.tenant, event, now)
        return await self._begin(p, Append(
            id=f"{entry.id}@{place.fence.epoch if place.fence else 0}", tenant=place.tenant, entries=(entry,),
            fence=place.fence, epochs=tuple(Seen(n, v) for n, v in ruled.epochs.items()), claims=self._claims(p),
            reserve=replace(reserve, id=entry.id) if reserve.holds else None, consume=consume,
            relaxed=p.action.pure_read,
        ))  # fmt: skip

    def _keyed(self, p: Proposal) -> Callable[[str], str]:
        return partial(self.person, p.place.tenant)

    def _claims(self, p: Proposal) -> tuple[Claim, ...]:
        # The idempotency key is a digest of tenant, run and path: the step key of the intent is its claim.
        business = business_claim(p, self._keyed(p)) if p.action.effect != "read" else None
        return () if business is None else (business,)

    async def _begin(self, p: Proposal, append: Append) -> Answered:
        try:
            return await self.append(append)
        except asyncio.CancelledError:
            # Whoever waited is gone, T1 may be durable: asked again by its id, it says; then it closes as not started.
            if isinstance(await self.append(append), Appended):
                await self.conclude(p, Ended(status="not_started", code="cancelled", certain=True), final=False)
            raise

    async def conclude(self, p: Proposal, ended: Ended, *, final: bool) -> Ended:
        """T2: the outcome. First wins, a later one is kept as `late` evidence. Returns it with its record id.

        A final `unknown` keeps its reservation until somebody settles it.
        """
        place, held = p.place, final and ended.status == "unknown"
        event = outcome_event(place, p.attempt, ended, final=final)
        append = Append(
            id=event.id, tenant=place.tenant, entries=(self._storable(place.tenant, event),),
            settle=None if held else Settle(id=event.id.removesuffix("outcome") + "intent", actual=ended.usage),
            urgent=True, unclaim=given_back(p, ended, self._keyed(p), final=final),
            raises=_moved(p, ended),
        )  # fmt: skip
        answer = await self.append(append)
        if isinstance(answer, Conflict) or (isinstance(answer, Appended) and answer.repeated):
            if ended.code != "crash":  # what recovery closes because nobody knows is no evidence
                await self.late(p, ended)
            # Whoever closed it has the run: its caller was told that other outcome.
            raise Superseded(FlyballError("conflict", f"another driver closed {event.id}", fix="read the run again"))
        if isinstance(answer, Refused) and answer.reason == "disk_full" and p.performer.lasting:
            raise Superseded(refusal(answer))  # what a flow or agent came to, its own records say again
        if not isinstance(answer, Appended):
            # The caller is told what the log can tell again: that it happened, and that its result is lost.
            ended = _unstored(ended)
            minimal = replace(outcome_event(place, p.attempt, ended, final=final), private={})
            await self.write(place.tenant, minimal, settle=append.settle, urgent=True)
        return replace(ended, attempt=p.attempt, action=event.id)

    async def late(self, p: Proposal, ended: Ended) -> None:
        """Keeps what an attempt came to after its outcome was recorded: evidence, that the run is woken for.

        Where the outcome was unknown the run goes on with this one, and nobody is asked any more (see `Recover`).
        Where it was said not to have happened, a person is asked what is true, whether the run has ended or not.
        """
        for _ in range(MAX_ASKED):
            answer = await self._late(p, outcome_event(p.place, p.attempt, ended, final=True), ended)
            if not isinstance(answer, Conflict):
                break
        self.woken(p.place.tenant, p.place.run)

    async def _late(self, p: Proposal, event: Event, ended: Ended) -> Answered | None:
        place, intent = p.place, event.id.removesuffix("outcome") + "intent"
        view = self.journal.view(place.tenant)
        closed, begun = view.record(event.id), view.record(intent)
        if closed is None or begun is None:
            return None  # no outcome yet: whoever records it finds this one
        first = _facts(closed)
        means = meaning(first["status"], ended.status, effect=p.action.effect if p.action.kind == "tool" else "read")
        entries = [self._storable(place.tenant, replace(event, kind="late", path=f"{event.path}~{self.clock.now()}"))]
        row, asked = question(p, after=first["status"])
        asks = means == "asks" and view.record(asked.id) is None
        if asks:
            entries.append(self._storable(place.tenant, asked))
        reserved, charged = amounts_of(_facts(begun)["reserved"]), amounts_of(first["usage"])
        return await self.append(Append(
            id=entries[0].id, tenant=place.tenant, entries=tuple(entries), urgent=True, wakes=(place.run,),
            settle=Settle(id=intent, actual=ended.usage) if means == "settles" else None,
            reserve=held_again(p, begun.time, reserved, charged) if asks else None, put=(row,) if asks else (),
            raises=place.taints if taints(p, ended) else (),
        ))  # fmt: skip

    def _storable(self, tenant: str, event: Event) -> Entry:
        try:
            return self.seal(tenant, event)
        except LookupError:  # the subject was erased while the call ran: what happened is still recorded
            return self.seal(tenant, replace(event, private={}))

    # endings without an effect -------------------------------------------------------------------------------------
    async def block(self, ruled: Ruled, blocked: Blocked) -> Blocked:
        """Records a proposal that may not run after its verdict was reached, and why."""
        facts = self._facts(ruled) | {"outcome": "deny", "reason": blocked.reason}
        # Whose budget is spent: the run's own ends it, at a replay too. And the read that was not met, or was refused.
        facts |= {name: blocked.data[name] for name in ("node", "precondition") if name in blocked.data}
        return await self._blocked(ruled.proposal, facts, self._private(ruled), blocked)

    async def refuse(self, proposal: Proposal, blocked: Blocked) -> Blocked:
        """Records a proposal that never reached the policies: not identified, not valid."""
        facts = self._base(proposal) | {
            "outcome": "deny", "reason": blocked.reason, "bundles": [], "policies": [], "cures": [],
        }  # fmt: skip
        return await self._blocked(proposal, facts, {"problem": blocked.what, "proposed": proposal.digest}, blocked)

    async def unappended(self, ruled: Ruled, answer: Answered) -> Blocked:
        """What a refused T1 means for the proposal: a spent budget denies it, a lost fence ends this driver."""
        if isinstance(answer, Conflict) and answer.what == "claim":
            return await self.block(ruled, Blocked(
                "duplicate", what=f"{ruled.proposal.action.name} was done under this business key", why=answer.held,
            ))  # fmt: skip
        reason = getattr(answer, "reason", "")
        if reason != "budget":
            raise Superseded(refusal(answer))
        node, _, dimension = getattr(answer, "detail", "").rpartition(":")
        code = {"steps": "max_steps", "ms": "max_seconds"}.get(dimension, "budget_exhausted")
        blocked = Blocked(code, what=f"{dimension} of {node} are used up")
        blocked.data = {**blocked.data, "node": node}
        return await self.block(ruled, blocked)

    async def _blocked(self, p: Proposal, facts: Mapping[str, Any], private: Mapping[str, Any], b: Blocked) -> Blocked:
        # A replay tells the flow the same words: it may have put them into what it did next.
        told = {"what": b.what, "why": b.why, "fix": b.fix, "policies": b.policies, "cures": b.cures}
        place, event = p.place, Event(
            kind="decision", run=p.place.run, path=p.place.path, attempt=p.attempt, facts=facts,
            private={**private, "told": told}, subjects=p.place.subjects,
        )  # fmt: skip
        b.action = event.id
        entry = self.seal(place.tenant, event)
        reserve, settle = _counted(entry.id, counted_at(place.holds, DENIAL, self.clock.now()))
        answer = await self.append(Append(
            id=entry.id, tenant=place.tenant, entries=(entry,), fence=place.fence, reserve=reserve, settle=settle
        ))  # fmt: skip
        if isinstance(answer, Refused) and answer.reason == "budget":
            # Recorded all the same, uncounted: it ends whose denials are used up, at a replay too.
            node = answer.detail.rpartition(":")[0]
            b.data = {**b.data, "capped": node}
            await self.write(place.tenant, replace(event, facts={**facts, "capped": node}), fence=place.fence)
        elif not isinstance(answer, Appended):
            raise Superseded(refusal(answer)) if place.fence else refusal(answer)
        return b

    # parts of a record ---------------------------------------------------------------------------------------------
    def _base(self, p: Proposal) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "action": p.action.name, "action_kind": p.action.kind, "effect": p.action.effect,
            "schema": p.action.schema_digest, "by": self.person(p.place.tenant, p.authority.principal.id),
            "chain": [link.agent for link in p.authority.links], "release": p.place.release,
        }  # fmt: skip
        return facts | _said(p)

    def _facts(self, ruled: Ruled) -> dict[str, Any]:
        d = ruled.decision
        facts = self._base(ruled.proposal)
        facts |= {
            "outcome": d.outcome, "reason": d.reason, "bundles": list(ruled.bundles), "policies": list(d.determining),
            "cures": list(cure_names(d)), "modifiers": [f"{c.layer}/{c.policy}" for c in d.modifiers],
        }  # fmt: skip
        if ruled.shadow:
            facts["shadow"] = list(ruled.shadow)
        return facts

    def _private(self, ruled: Ruled) -> dict[str, Any]:
        p = ruled.proposal
        private: dict[str, Any] = {"args": ruled.decision.arguments, "request": ruled.inputs}
        if ruled.decision.arguments != p.arguments:
            private["proposed"] = p.arguments
        if ruled.decision.errors:
            private["errors"] = list(ruled.decision.errors)
        return {**private, **p.extra} if p.extra else private


def _said(p: Proposal) -> dict[str, Any]:
    """What was found out about a proposal on its way to the gate: the choice of its model, what guards said."""
    facts: dict[str, Any] = {} if p.route is None else {"route": p.route.told}
    if p.screened is not None and p.screened.looked:
        facts["guards"] = [one.told for one in p.screened.looked]
    return facts


def _facts(stored: Stored) -> Mapping[str, Any]:
    return msgspec.json.decode(stored.leaf)["facts"]  # type: ignore[no-any-return]


def _counted(id: str, holds: tuple[Hold, ...]) -> tuple[Reserve | None, Settle | None]:
    return (Reserve(id=id, holds=holds), Settle(id=id, actual=None)) if holds else (None, None)


def _salts(event: Event, entropy: Entropy) -> dict[str, bytes]:
    fresh = entropy.bytes(SALT_BYTES * len(event.private))  # at once: each call takes a lock
    salts = {name: fresh[at * SALT_BYTES : (at + 1) * SALT_BYTES] for at, name in enumerate(event.private)}
    return {**salts, **event.salts} if event.salts else salts


def _unstored(ended: Ended) -> Ended:
    """What is left of an outcome whose payload cannot be stored."""
    lost = ended.result_invalid or ended.status == "executed"
    return replace(ended, code="payload_not_stored", message="", result_invalid=lost, noted=Notes())


def _moved(p: Proposal, ended: Ended) -> tuple[str, ...]:
    """The epochs that an outcome moves: a taint that its run had not, and that of what its tenant remembers."""
    tainted = p.place.taints if taints(p, ended) and not p.place.tainted else ()
    return (*tainted, FACT) if FACT in ended.noted.facts else tainted


def _closes(append: Append) -> bool:
    # An outcome that cannot be recorded must not reach the flow as an error of its tool.
    return any(entry.kind in ("outcome", "late") for entry in append.entries)


def _final(answer: Answered) -> FlyballError | None:
    if isinstance(answer, Indeterminate):
        return FlyballError(
            "indeterminate", "the journal cannot say whether an append is durable", answer.detail,
            "stop this process, look at the disk, start again: recovery looks the append up by its id",
        )  # fmt: skip
    lost = isinstance(answer, Conflict) and answer.what in ("fence", "ended")
    closed = isinstance(answer, Refused) and answer.reason in ("closed", "read_only")
    return refusal(answer) if lost or closed else None


def refusal(answer: Answered) -> FlyballError:
    """The error of an append that had to succeed."""
    if isinstance(answer, Conflict):
        return FlyballError(
            "conflict", f"{answer.what} has moved", answer.detail or answer.held, "read it again", {"what": answer.what}
        )
    reason, detail = getattr(answer, "reason", "refused"), getattr(answer, "detail", "")
    return FlyballError(str(reason), f"the journal refused an append: {reason}", detail, "see flyball doctor")
