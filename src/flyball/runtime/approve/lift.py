"""Lift: does a verdict need somebody's approval, and is there one that covers exactly this?

Rules (GATE section 4):

* An approval covers tenant, run, step, tool with schema, resource, chain, final arguments, cures, origins and expiry.
  Anything else a fresh decision finds voids it, and the person is asked again.
* A granted approval is used once, in T1; it covers all attempts of its one intent.
* What was rejected (this tool with these critical arguments) is denied without asking again.
* A change of a determining policy voids it; an unrelated policy edit or deploy does not.
* A row says where to look; that it was approved, and what, stands in the log. A row that says otherwise lifts nothing.
* Nobody approves who owns a credential that the action uses. Where another person owns it by now it is asked again.
* What expires only because the machine's clock was set forward is asked again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from flyball.core.approval import approvals, cure_names, filled, over, slots
from flyball.core.attested import DECISIONS, key_objection, misstated, unapproved
from flyball.core.caps import APPROVAL, counted_at, full
from flyball.core.commitment import commit
from flyball.core.errors import FlyballError, Superseded
from flyball.core.guard import GUARD_BLOCKED
from flyball.core.journal import Append, Appended, KeyRow, PendingRow, Refused, Stored
from flyball.core.jumps import ahead
from flyball.core.outcome import Lifted, about
from flyball.core.proposal import Proposal, Ruled
from flyball.core.record import NO_RUN, Event, Opened
from flyball.core.result import Blocked, Pending
from flyball.core.steps import bare
from flyball.ports.journal import View
from flyball.ports.recording import Recording
from flyball.runtime.approve.show import pending_of, shown

COVERED = ("args", "origins", "resource", "chain")


class Again(msgspec.Struct, frozen=True):
    """An approval was voided: the gate runs once more without it."""


def nobody(_: str, __: tuple[str, ...]) -> tuple[str, ...]:
    """No credential is anybody's."""
    return ()


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """How the project asks: expiry in milliseconds, whether a directory of people is configured; `owners` says whose
    credentials are, by tenant and names."""

    expires_ms: int = 48 * 3_600_000
    on_expiry: str = "deny"
    directory: bool = False
    owners: Callable[[str, tuple[str, ...]], tuple[str, ...]] = nobody


Block = Callable[[Ruled, Blocked], Awaitable[Blocked]]


class Approve:
    """Finds, asks for and checks approvals."""

    def __init__(self, record: Recording, asking: Asking, block: Block) -> None:
        self._record, self._asking, self._block = record, asking, block

    def granted(self, p: Proposal) -> PendingRow | None:
        """The approval that this step already has, if it is granted or was used by it."""
        row = self._latest(p)
        return row if row is not None and row.state in ("granted", "consumed") else None

    def given(self, p: Proposal) -> dict[str, tuple[str, ...]]:
        """The approvals really given for this step, by layer: what a fresh evaluation may assume."""
        row = self.granted(p)
        return approvals(row.groups) if row else {}

    def asks(self, ruled: Ruled) -> bool:
        """Would a person be asked about this now, for the first time or anew?"""
        if ruled.decision.outcome != "require_approval":
            return False
        row = self._latest(ruled.proposal)
        return (row is None or row.state == "void") and self._objection(ruled) is None

    async def lift(self, ruled: Ruled) -> Blocked | Pending | Again | tuple[Ruled, Lifted | None]:
        """Blocked, waiting, to be decided again, or free to go on (with the approval that T1 must use up)."""
        p, decision = ruled.proposal, ruled.decision
        if decision.outcome == "deny":
            return await self._block(ruled, _denied(ruled))
        row = self._latest(p)
        if row is None or row.state == "void":
            needed = decision.outcome == "require_approval"
            return await self._ask(ruled, row) if needed else (ruled, None)
        if row.state == "open" and 0 < row.expires <= self._record.clock.now():
            return await self._expire(ruled, row)
        if row.state == "open":
            return self._still(ruled, row) or await self._void(ruled, row)
        if row.state in ("rejected", "expired"):
            reason = "approval_rejected" if row.state == "rejected" else "approval_expired"
            return await self._block(ruled, Blocked(
                reason, policies=row.policies, cures=row.groups, what=f"{p.action.name} was not approved"
            ))  # fmt: skip
        return await self._use(ruled, row)

    async def _use(self, ruled: Ruled, row: PendingRow) -> Blocked | Pending | Again | tuple[Ruled, Lifted | None]:
        asked = self._asked(ruled.proposal, row)
        if asked is None or self._differs(ruled, row, asked) or self._unlike_the_log(ruled.proposal, row, asked):
            return await self._void(ruled, row)
        if ruled.decision.outcome == "require_approval":  # more is needed than was given: a policy was tightened
            return await self._void(ruled, row)
        if row.state == "granted" and 0 < row.expires <= self._record.clock.now():
            if self._set_forward(ruled.proposal.place.tenant, row, asked):
                return await self._void(ruled, row)
            return await self._block(ruled, Blocked("approval_expired", what="the approval expired before it was used"))
        # Only what the intent repeats verbatim: a salt under two different values would tie one to the other.
        salts = {name: asked.salts[name] for name in COVERED}
        return ruled, Lifted(row=row, salts=salts, first=row.state == "granted")

    # asking ----------------------------------------------------------------------------------------------------------
    async def _ask(self, ruled: Ruled, before: PendingRow | None) -> Blocked | Pending:
        objection = self._objection(ruled)
        if objection is not None:
            return await self._block(ruled, objection)
        p, place = ruled.proposal, ruled.proposal.place
        number = 1 if before is None else int(before.id.rpartition("#")[2]) + 1
        row_id = f"{place.run}/{place.path}#{number}"
        private = {"args": ruled.decision.arguments, **about(ruled), "request": msgspec.to_builtins(ruled.inputs)}
        if ruled.decision.arguments != p.arguments:
            private["proposed"] = p.arguments
        salts = {name: self._record.salt() for name in COVERED}
        expires = self._record.clock.now() + self._asking.expires_ms * 1000
        covers = self._covers(ruled, private, salts, expires)
        row = PendingRow(
            id=row_id, run=place.run, path=place.path, kind="approval", state="open", over=over(covers),
            record=f"{place.run}/{place.path}#{number}/{p.attempt}/asked", groups=tuple(covers["cures"]),
            policies=tuple(ruled.decision.determining), expires=expires, default=self._asking.on_expiry,
            counts=counted_at(place.holds, APPROVAL, self._record.clock.now()),
        )  # fmt: skip
        show, whose = shown(ruled, self._owners(p)), self._whose(p)
        event = Event(
            kind="asked", run=place.run, path=f"{place.path}#{number}", attempt=p.attempt, subjects=place.subjects,
            facts={"pending": row_id, "kind": "approval", "covers": covers, "over": row.over,
                   "bundles": list(ruled.bundles), "prints": _prints(ruled), **({"owners": whose} if whose else {})},
            private={**private, "shown": show, "critical": critical(p, ruled.decision.arguments),
                     "schema": p.action.input_schema, **p.extra},
            salts=salts,
        )  # fmt: skip
        entry = self._record.seal(place.tenant, event)
        answer = await self._record.append(Append(
            id=entry.id, tenant=place.tenant, fence=place.fence, put=(row,),
            entries=(entry,),
        ))  # fmt: skip
        if isinstance(answer, Refused) and answer.reason == "budget":
            what = full(answer.detail, row.counts, place.run)
            return await self._block(ruled, Blocked("policy_denied", what=what))
        if not isinstance(answer, Appended):
            why = answer.detail if isinstance(answer, Refused) else getattr(answer, "what", "")
            # Nothing is recorded: told as a refusal it would be another one at the next replay.
            raise Superseded(FlyballError("not_asked", "the approval could not be asked for", why))
        return pending_of(row, {**private, **p.extra, "shown": show}, {"covers": covers})

    def _owners(self, p: Proposal) -> tuple[str, ...]:
        return self._asking.owners(p.place.tenant, p.action.credentials) if p.action.credentials else ()

    def _whose(self, p: Proposal) -> list[str]:
        """Whose credentials the action uses now, by pseudonym."""
        return sorted(self._record.person(p.place.tenant, name) for name in self._owners(p))

    def _objection(self, ruled: Ruled) -> Blocked | None:
        p, place = ruled.proposal, ruled.proposal.place
        if critical(p, ruled.decision.arguments) in place.rejected:
            return Blocked("approval_rejected", what=f"{p.action.name} with these arguments was rejected in this run")
        if self._asking.directory and not self._eligible(ruled):
            return Blocked("policy_denied", what=f"nobody can approve {p.action.name}",
                           cures=cure_names(ruled.decision), fix="flyball key create NAME --group GROUP")  # fmt: skip
        return None

    def _eligible(self, ruled: Ruled) -> bool:
        place, behind = ruled.proposal.place, ruled.proposal.authority.principal
        groups: dict[str, set[str]] = {}
        cannot = {behind.id, behind.on_behalf_of, *self._owners(ruled.proposal)}
        for key in self._record.journal.view(place.tenant).rows(KeyRow):
            if not key.revoked and key.person not in cannot:
                groups.setdefault(key.person, {key.person}).update(key.groups)
        needed = slots(cure_names(ruled.decision))
        return filled(needed, groups) == len(needed)

    def _covers(
        self, ruled: Ruled, private: Mapping[str, Any], salts: Mapping[str, bytes], expires: int
    ) -> dict[str, Any]:
        p = ruled.proposal
        return {
            "tenant": p.place.tenant, "run": p.place.run, "path": p.place.path, "action": p.action.name,
            "schema": p.action.schema_digest, "policies": sorted(ruled.decision.determining),
            "cures": list(cure_names(ruled.decision)), "expires": expires,
            **{name: commit(name, salt, msgspec.json.encode(private[name])) for name, salt in salts.items()},
        }  # fmt: skip

    # checking --------------------------------------------------------------------------------------------------------
    def _latest(self, p: Proposal) -> PendingRow | None:
        if not p.asked:
            return None
        rows = self._record.journal.view(p.place.tenant).rows(PendingRow, run=p.place.run, kind="approval")
        mine = [r for r in rows if r.path == p.place.path]
        return max(mine, key=lambda r: int(r.id.rpartition("#")[2]), default=None)

    def _asked(self, p: Proposal, row: PendingRow) -> Opened | None:
        view = self._record.journal.view(p.place.tenant)
        found = view.record(row.record)
        opened = self._record.open(p.place.tenant, found, view) if found is not None else None
        return opened if opened is not None and opened.private is not None else None

    @staticmethod
    def _records(p: Proposal, view: View) -> list[Stored]:
        return view.records(run=p.place.run, limit=1_000_000)

    def _misstated(self, p: Proposal, row: PendingRow, asked: Opened) -> str:
        if asked.facts["covers"]["path"] != p.place.path:
            return "it was asked for another step"
        return misstated(row, asked, partial(self._record.person, p.place.tenant))

    def _unlike_the_log(self, p: Proposal, row: PendingRow, asked: Opened) -> str:
        """Why the log does not say that people approved this; empty where it does."""
        tenant, view = p.place.tenant, self._record.journal.view(p.place.tenant)
        person, number = partial(self._record.person, tenant), int(row.id.rpartition("#")[2])

        def key(name: str) -> KeyRow | None:
            found = view.row(KeyRow, name)
            apart = view.records(run=NO_RUN, limit=1_000_000)
            return found if found is not None and not key_objection(found, apart, person) else None

        of_step = (s for s in self._records(p, view) if s.attempt == number and bare(s.path) == p.place.path)
        decisions = (self._record.open(tenant, s, view) for s in of_step if s.kind in DECISIONS)
        return self._misstated(p, row, asked) or unapproved(row, decisions, person, key, asked.facts.get("owners", ()))

    def _differs(self, ruled: Ruled, row: PendingRow, asked: Opened) -> bool:
        """Is this another action than the one that was shown, or has a determining policy changed since?"""
        private = asked.private or {}
        now = {"args": ruled.decision.arguments, **about(ruled)}
        same = all(msgspec.json.encode(private[k]) == msgspec.json.encode(v) for k, v in now.items())
        prints = asked.facts["prints"]
        kept = all(ruled.fingerprints.get(policy) == print_ for policy, print_ in prints.items())
        # What was used up covers its attempts, whoever owns the credential by now.
        whose = row.state == "consumed" or list(asked.facts.get("owners", ())) == self._whose(ruled.proposal)
        return not (same and kept and whose and asked.facts["covers"]["schema"] == ruled.proposal.action.schema_digest)

    def _still(self, ruled: Ruled, row: PendingRow) -> Pending | None:
        asked = self._asked(ruled.proposal, row)
        if asked is None or self._differs(ruled, row, asked) or self._misstated(ruled.proposal, row, asked):
            return None
        if ruled.decision.outcome != "require_approval" or set(cure_names(ruled.decision)) != set(row.groups):
            return None
        return pending_of(row, asked.private or {}, asked.facts)

    async def _expire(self, ruled: Ruled, row: PendingRow) -> Blocked | Again:
        """Nobody decided in time: denied, or asked about once more where the project escalates. Never allowed."""
        set_forward = self._set_forward(ruled.proposal.place.tenant, row, self._asked(ruled.proposal, row))
        once_more = set_forward or (row.default == "escalate" and row.id.endswith("#1"))
        state, why = ("void", "clock" if set_forward else "escalated") if once_more else ("expired", "time")
        if not await self._close(ruled, row, state, "expired", why):
            return Again()
        if once_more:
            return Again()
        what = f"nobody approved {ruled.proposal.action.name} in time"
        return await self._block(ruled, Blocked("approval_expired", policies=row.policies, cures=row.groups, what=what))

    def _set_forward(self, tenant: str, row: PendingRow, asked: Opened | None) -> bool:
        """Did it expire only because somebody set the machine's clock forward since it was asked?"""
        clock, view = self._record.clock, self._record.journal.view(tenant)
        since = asked.time if asked is not None else 0
        return clock.now() - ahead(clock.jumps(), since, view.records(run=NO_RUN, limit=1_000_000)) < row.expires

    async def _close(self, ruled: Ruled, row: PendingRow, state: str, kind: Any, why: str) -> bool:
        place = ruled.proposal.place
        event = Event(
            kind=kind, run=place.run, path=f"{row.path}!{row.version}", attempt=int(row.id.rpartition("#")[2]),
            facts={"pending": row.id, "over": row.over, "why": why},
        )  # fmt: skip
        entry = self._record.seal(place.tenant, event)
        answer = await self._record.append(Append(
            id=entry.id, tenant=place.tenant, entries=(entry,), fence=place.fence, expect=((row.id, row.version),),
            put=(msgspec.structs.replace(row, state=state, version=row.version + 1),),
        ))  # fmt: skip
        return isinstance(answer, Appended)

    async def _void(self, ruled: Ruled, row: PendingRow) -> Blocked | Pending | Again | tuple[Ruled, Lifted | None]:
        """The approval is for something else than what would run now: it is void, and the gate goes on without it."""
        if row.state == "consumed":  # its one intent was another one: never inherited
            return await self._block(ruled, Blocked("policy_denied", what="the approval was used for something else"))
        await self._close(ruled, row, "void", "voided", "another action, or another policy")
        return Again()


def _denied(ruled: Ruled) -> Blocked:
    action, decision = ruled.proposal.action.name, ruled.decision
    if decision.reason == GUARD_BLOCKED:
        return Blocked(GUARD_BLOCKED, what=f"a guard blocks {action}", why="; ".join(decision.errors))
    return Blocked(
        "policy_denied", policies=decision.determining, what=f"policy denies {action}",
        why="; ".join((decision.reason, *decision.errors, *decision.determining)),
    )  # fmt: skip


def critical(p: Proposal, arguments: Mapping[str, Any]) -> str:
    """What was rejected: the tool with its critical arguments (all of them where none is marked)."""
    names = p.action.critical or frozenset(arguments)
    data = msgspec.json.encode({n: arguments.get(n) for n in sorted(names)})
    return hashlib.sha256(p.action.name.encode() + b"\0" + data).hexdigest()


def _prints(ruled: Ruled) -> dict[str, str]:
    return {p: ruled.fingerprints[p] for p in ruled.decision.determining if p in ruled.fingerprints}
