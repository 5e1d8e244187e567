"""Recover: goes on from what the log holds of a step, and says what its caller is told. It never guesses.

Rules (JOURNAL section 2):

* An intent without an outcome: a read closes as `interrupted`, is charged its reservation and is tried again; a call
  under a key is made again with that key while the remote remembers it; a probe is asked; else the outcome is unknown
  and a person is asked.
* A probe's no counts only after the attempt's deadline and GRACE_US; a probe that fails says nothing.
* An agent or flow that was running is entered again and folds its own records.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from flyball.core.budget import ZERO
from flyball.core.doubt import question, returned
from flyball.core.effect import may_retry
from flyball.core.guard import Screened, Signal
from flyball.core.journal import Append, PendingRow, Settle
from flyball.core.jumps import ahead
from flyball.core.outcome import Ended, Past, amounts_of, failure, told
from flyball.core.proposal import Proposal
from flyball.core.record import Event, Opened, record_id
from flyball.core.result import Blocked, Executed, Failed, Governed, Pending
from flyball.core.signature import from_json
from flyball.ports.clock import Entropy
from flyball.ports.recording import Recording

GRACE_US = 2_000_000
MICROSECOND = timedelta(microseconds=1)
# How often a read is tried whose attempts end with the process: it may be what ends it.
MOST_READS = 8


class Asks(Protocol):
    """Who can say what became of a call: the broker."""

    async def ask(self, p: Proposal, /) -> Ended | None:
        """What became of the call; None where its probe says that it did not happen."""
        ...

    def still(self, p: Proposal, /) -> bool:
        """May this attempt still be at work in this process?"""
        ...

    async def late(self, p: Proposal, /) -> Ended | None:
        """What an attempt came to that was given up on; None where it says nothing."""
        ...

    def follow(self, p: Proposal, keep: Callable[[Proposal, Ended], Awaitable[None]], /) -> None:
        """Hands over what an attempt that was given up on comes to, once it ends."""
        ...


class Concluding(Recording, Protocol):
    """A recording that closes attempts."""

    async def conclude(self, p: Proposal, ended: Ended, *, final: bool) -> Ended:
        """T2 of an attempt; raises Superseded where another driver closed it first."""
        ...

    async def late(self, p: Proposal, ended: Ended) -> None:
        """Keeps what an attempt came to after its outcome."""
        ...


class Recover:
    """Decides how a step goes on."""

    def __init__(self, record: Concluding, calls: Asks, entropy: Entropy) -> None:
        self._record, self._calls, self._entropy = record, calls, entropy

    async def begin(self, proposal: Proposal, past: Past) -> Proposal | Governed[Any]:
        """What a step that the log knows is told, or the proposal with which it goes on."""
        begun = await self._begin(proposal, past)
        if isinstance(begun, Proposal) and proposal.action.precondition:
            # It asks about what would run now, whatever it was asked about before, and whoever edited that.
            return replace(
                begun, arguments=proposal.arguments, given=proposal.given, edited=proposal.edited, typed=proposal.typed
            )
        return begun

    async def _begin(self, proposal: Proposal, past: Past) -> Proposal | Governed[Any]:
        if not past.records:
            return proposal
        if any(r.private is None for r in past.records):
            return Blocked("subject_erased", what="what this step did was erased with its subject")
        ended = self.known(proposal, past)
        if ended is not None:
            return await self._as_known(proposal, past, ended)
        doubt = past.doubt()
        proposal = replace(_edited(proposal, past), asked=past.last("asked") is not None, doubt=doubt)
        intent = past.open_intent()
        if intent is not None and not proposal.performer.lasting:
            return await self._close(replace(proposal, attempt=intent.attempt, tried=past.tried()), intent)
        if doubt and (_over(past) or self._forgotten(proposal)):
            return await self._ask_person(replace(proposal, attempt=doubt))
        attempt = past.attempts + 1 if intent is None else intent.attempt
        return replace(proposal, attempt=attempt, tried=past.tried())

    def known(self, proposal: Proposal, past: Past) -> Governed[Any] | None:
        """What the caller was told, where that is settled."""
        word = past.word()
        if word is None:
            return None
        if word.kind == "resolution":
            return _resolved(proposal, word)
        return blocked_again(word) if word.kind == "decision" else told_again(proposal, word)

    async def _as_known(self, proposal: Proposal, past: Past, ended: Governed[Any]) -> Governed[Any]:
        """What is known now, once nobody is asked and nothing is open that late evidence has settled."""
        word, late, intent = past.word(), past.late(), past.open_intent()
        if intent is not None and word is not None and word.kind in ("late", "resolution"):
            halted = Ended(status="interrupted", code="crash", usage=amounts_of(intent.facts["reserved"]))
            await self._record.conclude(replace(proposal, attempt=intent.attempt), halted, final=True)
        if late is None or word is not late:
            return ended
        place, doubted = proposal.place, past.doubt()
        row = self._row(replace(proposal, attempt=doubted))
        if row is not None and row.state == "open":
            gone = msgspec.structs.replace(row, state="void", version=row.version + 1)
            event = Event(
                kind="voided", run=place.run, path=f"{place.path}!{row.version}", attempt=doubted,
                facts={"pending": row.id, "over": row.over, "why": "its outcome came late"},
            )  # fmt: skip
            # Under one key all attempts are one call: the doubt about the last one ends with it, and costs no more.
            await self._record.write(
                place.tenant, event, put=(gone,), expect=((row.id, row.version),), fence=place.fence,
                settle=Settle(id=row.intent, actual=ZERO),
            )  # fmt: skip
        return ended

    async def _close(self, p: Proposal, intent: Opened) -> Proposal | Governed[Any]:
        """Closes the intent that a crash left open, and says how the step goes on."""
        action, deadline = p.action, int(intent.facts["deadline"])
        p = replace(p, arguments=(intent.private or {})["args"], given=_given(p))
        again = action.idempotency == "key" and p.attempt < action.retry.attempts and not self._forgotten(p)
        charged = amounts_of(intent.facts["reserved"])
        if action.effect == "read" and p.attempt >= max(MOST_READS, action.retry.attempts):
            what = f"the process ended during each of {p.attempt} attempts"
            ended = Ended(status="failed", code="crash", usage=charged, message=what)
            return told(await self._conclude(p, ended, final=True))
        if action.effect == "read" or again:
            ended = Ended(
                status="interrupted", code="crash", usage=charged, message="the process ended during the call"
            )
            await self._conclude(p, ended, final=False)
            return replace(p, attempt=p.attempt + 1, doubt=0 if action.effect == "read" else p.attempt)
        lost = Ended(status="unknown", code="crash", message="the process ended during the call")
        ended = await self.settle(p, lost, deadline)
        ended = await self._conclude(p, ended, final=self.final(p, ended))
        return await self.next(p, ended)

    async def _conclude(self, p: Proposal, ended: Ended, *, final: bool) -> Ended:
        """Closes an attempt whose driver is gone; the call itself may still be at work here, and comes to something."""
        try:
            return await self._record.conclude(p, ended, final=final)
        finally:
            self._calls.follow(p, self._record.late)

    async def settle(self, p: Proposal, ended: Ended, deadline: int) -> Ended:
        """Turns `unknown` into what the tool's probe says, where it has one. `deadline` in microseconds."""
        if ended.status != "unknown":
            return ended
        if p.action.idempotency == "none" or p.performer.probe is None:
            return await self._calls.late(p) or ended
        while True:
            answer = await self._calls.ask(p)
            if answer is not None:
                return answer if answer.status != "unknown" else ended
            # The remote's time goes on as it does, whoever sets the clock here.
            set_on = ahead(self._record.clock.jumps(), deadline - p.action.timeout_ms * 1000)
            if self._record.clock.now() >= deadline + GRACE_US + set_on:
                if self._calls.still(p):
                    return ended  # what it comes to will be told (see `Recorder.late`)
                return Ended(status="failed", code="not_done", certain=True, message="the probe says it did not happen")
            await self._record.clock.wait(deadline + GRACE_US + set_on)

    def too_late(self, p: Proposal) -> Ended | None:
        """What becomes of an attempt that is about to begin when the remote has forgotten the key of one before it: its
        T1 may have taken that long."""
        if not p.doubt or not self._forgotten(p):
            return None
        return Ended(
            status="not_started", code="key_forgotten", certain=True, message="the remote no longer remembers its key"
        )

    def final(self, p: Proposal, ended: Ended) -> bool:
        """Is this the last attempt?"""
        if ended.status in ("executed", "not_started"):
            return True
        more = p.attempt < p.action.retry.attempts and not p.performer.lasting
        if (p.doubt or not ended.certain) and self._forgotten(p, _wait(p, ended)):
            return True
        return not (more and ended.retryable and may_retry(p.action, certain=ended.certain))

    async def next(self, p: Proposal, ended: Ended) -> Proposal | Governed[Any]:
        """After an attempt: what its caller is told, or the proposal of the next attempt, after its wait."""
        if not self.final(p, ended):
            await self._record.clock.wait(self._record.clock.now() + self._pause(p, ended))
            if self._row(p) is not None:  # evidence came meanwhile that it happened after all, and a person is asked
                return await self._ask_person(p)
            tried = (*p.tried, ended.via) if ended.via else p.tried
            doubt = p.attempt if ended.status == "unknown" else p.doubt
            return replace(p, attempt=p.attempt + 1, doubt=doubt, tried=tried)
        if ended.status == "unknown":
            return await self._ask_person(p)
        if p.doubt and ended.status != "executed":
            return await self._ask_person(replace(p, attempt=p.doubt))
        if ended.status == "not_started":
            return Blocked(ended.code, what=ended.message, action=ended.action)
        return told(ended)

    async def refused(self, p: Proposal, told: Governed[Any]) -> Governed[Any]:
        """What the caller of a refused attempt is told: an earlier attempt may have happened all the same."""
        if isinstance(told, Blocked) and p.doubt:
            return await self._ask_person(replace(p, attempt=p.doubt))
        return told

    def _forgotten(self, p: Proposal, wait: int = 0) -> bool:
        """Will the remote have forgotten the key, counted from the first attempt? `wait` in microseconds."""
        window = p.action.key.window
        if p.action.effect == "read" or p.action.idempotency != "key" or window is None:
            return False
        place, first = p.place, record_id(p.place.run, p.place.path, 1, "intent")
        begun = self._record.journal.view(place.tenant).record(first)
        return begun is not None and self._record.clock.now() + wait >= begun.time + window // MICROSECOND

    def _pause(self, p: Proposal, ended: Ended) -> int:
        """How long to wait now, in microseconds. For a model a share of it, at random (full jitter), so that a thousand
        runs that failed at once do not come back at once; never less than its provider asked for."""
        if p.action.kind != "model":
            return _wait(p, ended)
        if ended.elsewhere:
            return 0
        share = int.from_bytes(self._entropy.bytes(4))
        return max((p.action.retry.wait(p.attempt) // MICROSECOND * share) >> 32, _asked_to_wait(ended))

    def _row(self, p: Proposal) -> PendingRow | None:
        name = f"{p.place.run}/{p.place.path}?{p.attempt}"
        return self._record.journal.view(p.place.tenant).row(PendingRow, name)

    async def _ask_person(self, p: Proposal) -> Pending | Blocked:
        """Nobody can say what happened: a row waits for a person who can find out."""
        place = p.place
        fresh, event = question(p)
        row = self._row(p)
        if row is None:
            row, entry = fresh, self._record.seal(place.tenant, event)
            await self._record.append(Append(
                id=entry.id, tenant=place.tenant, entries=(entry,), fence=place.fence, put=(row,),
            ))  # fmt: skip
        return Pending(
            id=row.id, kind="unknown", run=place.run, about=p.action.name, arguments=p.arguments, over=row.over,
            question=event.private["shown"]["question"], asked_by=p.authority.principal.id, version=row.version,
        )  # fmt: skip


def blocked_again(decision: Opened) -> Blocked:
    """What the log says of a proposal that was not let run, in the words of then."""
    facts = decision.facts
    said = (decision.private or {}).get("told", {})
    told = Blocked(
        facts["reason"], policies=tuple(said.get("policies", facts["policies"])),
        cures=tuple(said.get("cures", facts["cures"])), action=decision.id, what=said.get("what", ""),
        why=said.get("why", ""), fix=said.get("fix", ""),
    )  # fmt: skip
    told.data = {**told.data, **{name: facts[name] for name in ("node", "capped") if name in facts}}
    return told


def told_again(proposal: Proposal, outcome: Opened) -> Executed[Any] | Failed | Blocked:
    """What the log says the caller was told."""
    facts, private = outcome.facts, outcome.private or {}
    if facts["status"] == "not_started":
        return Blocked(facts["code"], what=private.get("error", ""), action=outcome.id)
    if facts["status"] != "executed" or facts["result_invalid"]:
        reason = failure(facts["code"], result_invalid=facts["result_invalid"])
        return Failed(reason, private.get("error", ""), action=outcome.id)
    return Executed(from_json(private.get("result"), returned(proposal)), outcome.id)


def _resolved(proposal: Proposal, record: Opened) -> Executed[Any] | Failed:
    private = record.private or {}
    if record.facts["status"] != "executed":
        return Failed("not_done", private.get("reason", "a person found that it did not happen"), action=record.id)
    try:
        return Executed(from_json(private.get("result"), returned(proposal)), record.id)
    except msgspec.ValidationError as bad:
        return Failed("result_invalid", f"the person's answer does not fit: {bad}", action=record.id)


def _edited(proposal: Proposal, past: Past) -> Proposal:
    """A person's edit is the proposal now; else what was asked about, whose modifiers have been applied."""
    edit, asked = past.last("edited"), past.last("asked")
    shown: Mapping[str, Any] = {}
    if edit is not None and (asked is None or edit.index > asked.index):
        shown = edit.private or {}
    elif asked is not None:
        shown = asked.private or {}
    if "args" not in shown:
        return proposal
    # What was asked after an edit repeats the edited leaves: they stay the editor's, or its approval would be void.
    edits = [r.private or {} for r in past.records if r.kind == "edited"]
    edited = frozenset(name for e in edits for name in e.get("changed", ())) | proposal.edited
    given = _given(proposal) | edited
    typed = frozenset(form for e in edits for form in e.get("typed", ()))
    return replace(
        proposal, arguments=shown["args"], edited=edited, typed=typed, given=given,
        screened=_screened(shown) or proposal.screened,
    )  # fmt: skip


def _screened(shown: Mapping[str, Any]) -> Screened | None:
    """What guards said when this was first asked about: what they redacted then, they cannot find any more."""
    before = shown.get("request", {}).get("facts", {}).get("guard")
    return Screened(before=msgspec.convert(before, dict[str, Signal])) if before else None


def _given(p: Proposal) -> frozenset[str]:
    return frozenset(p.arguments) if p.given is None else p.given


def _over(past: Past) -> bool:
    """Was the last word said of this step: a final outcome, or a refusal?"""
    outcome, decision = past.last("outcome"), past.last("decision")
    denied = decision is not None and decision.facts["outcome"] == "deny"
    return denied or (outcome is not None and bool(outcome.facts["final"]))


def _wait(p: Proposal, ended: Ended) -> int:
    """How long before the next attempt, in microseconds."""
    return max(p.action.retry.wait(p.attempt) // MICROSECOND, _asked_to_wait(ended))


def _asked_to_wait(ended: Ended) -> int:
    return ended.retry_after_ms * 1_000
