"""The one path. Every effect in the system, whoever asks for it, goes through `govern`; there is no second way in.

    identify -> validate -> label -> route -> guard -> enforce -> approve -> reserve -> T1 -> perform -> T2

What an action requires of the world is an action too: a read beneath it, before anybody is asked to approve it and
again before its T1.

A proposal becomes evidence twice: `record.intend` (T1: verdict, intent, reservation, idempotency claim, approval
consumed, epochs read) before anything happens, `record.conclude` (T2: outcome, settlement) after it. Nothing runs
until T1 is durable. A crash between the two leaves an intent without an outcome; `recover` closes it: a key is used
again, a probe is asked, otherwise the outcome is unknown and a person is asked. Without a key nothing unknown is tried
again, because it may have happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from flyball.core.guard import Screened
from flyball.core.journal import Appended, Conflict
from flyball.core.outcome import Ended, Lifted, Past
from flyball.core.proposal import Proposal, Ruled, at_attempt
from flyball.core.result import Blocked, Governed, Pending
from flyball.runtime.approve.lift import Again, Approve
from flyball.runtime.broker.broker import Broker
from flyball.runtime.enforce import Enforce
from flyball.runtime.guard import Guards
from flyball.runtime.identify import Identify
from flyball.runtime.label import label
from flyball.runtime.record import Recorder
from flyball.runtime.recover import Recover
from flyball.runtime.require import Checks, unmet
from flyball.runtime.reserve import Reserving
from flyball.runtime.route import Routing
from flyball.runtime.validate import Validate

# How often the whole gate runs again because an epoch moved between its verdict and T1.
MAX_ROUNDS = 8
# How old, in microseconds, a verdict may be at T1: what waited for a rate or a precondition is decided again.
FRESH_US = 1_000_000
NOTHING = Past()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stations:
    """The rooms on the path, in order. `guard` is None where no guard is configured."""

    identify: Identify
    validate: Validate
    route: Routing
    enforce: Enforce
    approve: Approve
    reserve: Reserving
    record: Recorder
    broker: Broker
    recover: Recover
    guard: Guards | None = None


async def govern(s: Stations, proposal: Proposal, past: Past = NOTHING) -> Governed[Any]:
    """Decides one proposal, carries it out where it may run, and records both. Returns what became of it.

    `past` is what the log holds of this step: after a crash or a wait the step goes on from there. `Pending`: a person
    must look first, or nobody can say what happened. The run parks; asking again later goes on.
    """
    begun = await s.recover.begin(proposal, past)
    resumed, checks = past.open_intent() if proposal.performer.lasting else None, Checks(past)
    while isinstance(begun, Proposal):
        # An agent or flow that was running goes on under its first verdict; each of its own steps is decided afresh.
        going = resumed is not None and begun.attempt == resumed.attempt
        # Its own arguments are those of that verdict: guards may have redacted what was handed in.
        arguments = (resumed.private or {})["args"] if resumed is not None and going else begun.arguments
        ended = await (_carry_out(s, begun, arguments) if going else _attempt(s, begun, checks))
        if not isinstance(ended, Ended):
            return await s.recover.refused(begun, ended)
        begun = await s.recover.next(begun, ended)
    return begun


async def _attempt(s: Stations, proposal: Proposal, checks: Checks) -> Ended | Governed[Any]:
    """The gate, T1, the effect and T2 of one attempt."""
    ready, required, about = False, "", None
    for _ in range(MAX_ROUNDS):
        admitted = await _admit(s, proposal, checks)
        if isinstance(admitted, Again):
            continue
        if isinstance(admitted, (Blocked, Pending)):
            return admitted
        ruled, lifted = admitted
        decided = s.record.clock.now()
        if not ready:
            objection = await s.broker.objection(ruled)
            if objection is not None:
                return await s.record.block(ruled, objection)
            ready = True  # its place under the rate is taken
        if about is None or about != ruled.decision.arguments:
            asked = await _require(s, ruled, checks)
            if not isinstance(asked, str):
                return asked
            required, about = asked, ruled.decision.arguments
        if s.record.clock.now() - decided > FRESH_US:
            continue
        ruled = s.enforce.streams(ruled)
        answer = await s.record.intend(ruled, s.reserve.hold(ruled), lifted, required)
        if isinstance(answer, Appended) and not answer.repeated:  # a T1 that was there already is another driver's
            return await _carry_out(s, ruled.proposal, ruled.decision.arguments)
        if isinstance(answer, Conflict) and answer.what.startswith(("epoch", "pending")):
            s.enforce.refresh(proposal.place.tenant, answer.what.removeprefix("epoch:"))
            continue  # what the verdict read has moved: the whole gate runs again, never only the append
        return await s.record.unappended(ruled, answer)
    what = "the policies moved faster than this proposal could be decided"
    return await s.record.refuse(proposal, Blocked("policy_denied", what=what))


async def _carry_out(s: Stations, proposal: Proposal, arguments: Mapping[str, Any]) -> Ended:
    """The effect and T2. What a probe can still find out is found out before T2 says anything."""
    deadline = s.record.clock.now() + proposal.action.timeout_ms * 1000
    ended = s.recover.too_late(proposal) or await s.broker.perform(proposal, arguments)
    ended = await s.recover.settle(proposal, ended, deadline)
    try:
        ended = await s.record.conclude(proposal, ended, final=s.recover.final(proposal, ended))
    finally:
        s.broker.follow(proposal, s.record.late)  # a call that was given up on may still come to something
    if ended.code == "untrusted" and not proposal.place.tainted:  # T2 moved the epoch that the next verdict reads
        for moved in proposal.place.taints:
            s.enforce.refresh(proposal.place.tenant, moved)
    return ended


async def _require(s: Stations, ruled: Ruled, checks: Checks) -> str | Blocked | Pending:
    """The id of the outcome that says that what the action requires is so; empty where it requires nothing."""
    asks = ruled.proposal.performer.requires
    if asks is None:
        return ""
    told = await govern(s, *checks.next(ruled, asks))
    if isinstance(told, Pending):
        return told
    objection = unmet(ruled, told)
    return told.action if objection is None else await s.record.block(ruled, objection)


async def _admit(
    s: Stations, proposal: Proposal, checks: Checks
) -> Blocked | Pending | Again | tuple[Ruled, Lifted | None]:
    """Identify to approve: the verdict, and the approval that lifts it where one is needed."""
    s.enforce.epochs(proposal.place.tenant)  # before the directory is read: it is never older than its epoch
    proposal = s.identify.current(proposal)
    objection = s.identify.objection(proposal)
    if objection is None:
        parsed = s.validate.parse(at_attempt(proposal))
        if isinstance(parsed, Proposal):
            routed = await s.route.chosen(label(parsed))
            if isinstance(routed, Blocked):
                return await s.record.refuse(parsed, routed)
            ruled = await (s.enforce.rule(routed) if s.guard is None else _guarded(s, s.guard, routed))
            if isinstance(ruled, Blocked):
                return ruled
            if parsed.performer.requires is not None and s.approve.asks(ruled):  # nobody is asked in vain
                required = await _require(s, ruled, checks)
                if not isinstance(required, str):
                    return required
            return await s.approve.lift(ruled)
        proposal, objection = replace(proposal, arguments={}), parsed
    return await s.record.refuse(proposal, objection)


async def _guarded(s: Stations, guard: Guards, proposal: Proposal) -> Ruled | Blocked:
    """The verdict on what guards leave of a proposal. They look after the cheap pass of policy: where that denies, only
    guards of this process do, so that the record of the denial is redacted, too."""
    if not guard.reads(proposal):
        return await s.enforce.rule(proposal)
    resolved, denied = await s.enforce.first(proposal)
    seen = await guard.proposal(resolved, elsewhere=not denied)
    if seen.arguments is not resolved.arguments:  # other arguments may not fit, and may name another object
        parsed = s.validate.parse(at_attempt(replace(seen, resource=proposal.resource, entities=proposal.entities)))
        if isinstance(parsed, Blocked):
            return await s.record.refuse(seen, parsed)
        seen = parsed
    ruled = await s.enforce.rule(seen)
    if denied and ruled.decision.outcome != "deny":
        ruled = await s.enforce.rule(replace(seen, screened=replace(seen.screened or Screened(), refused=denied)))
    return ruled
