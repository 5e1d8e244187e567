"""How an attempt ended, what was recorded of a step before, and what its caller is told.

Rules (JOURNAL section 2):

* For an effect, any exception, timeout or cancellation after the call began is `unknown`, unless the tool raised
  `NotDone`. A result that does not fit its type is `executed` with `result_invalid`: quarantined, never hidden.
* The idempotency key is stable across attempts and replays of one step and new in every other step and run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import astuple

from flyball.core.budget import DIMENSIONS, Amounts
from flyball.core.doubt import meaning
from flyball.core.effect import READING
from flyball.core.guard import GUARD_BLOCKED, Edit
from flyball.core.identity import Authority
from flyball.core.journal import Claim, PendingRow
from flyball.core.proposal import Notes, Place, Proposal, Ruled
from flyball.core.record import Event, Opened, record_id
from flyball.core.result import Executed, Failed
from flyball.core.steps import bare

# A model's reply over the size of a result: nothing is wrong with a tool, and asking again costs as much again.
REPLY_TOO_LARGE: Final = "reply_too_large"
# Codes under which a result that is there is not handed on.
_WITHHELD: Final = (REPLY_TOO_LARGE, GUARD_BLOCKED)
# The outcome of what was under way when its run was over.
HALTED: Final = "halted"


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How an attempt ended, before anybody is told. `certain`: a failure that surely had no effect. `guards`: what each
    guard said of it, as facts; `edits` what they changed in it, guard by guard; `noted` what its performer says of its
    result: facts, and whose data it is besides the run's. `via` is the model that was asked where there were several;
    `elsewhere`: the next attempt asks another one, which need not be waited for."""

    status: str
    code: str = ""
    value: Any = None
    data: Any = None
    message: str = ""
    usage: Amounts = Amounts()
    certain: bool = False
    result_invalid: bool = False
    retry_after_ms: int = 0
    retryable: bool = True
    attempt: int = 1
    action: str = ""
    guards: tuple[Mapping[str, Any], ...] = ()
    edits: tuple[tuple[Edit, ...], ...] = ()
    noted: Notes = Notes()
    via: str = ""
    elsewhere: bool = False


class Lifted(msgspec.Struct, frozen=True, kw_only=True):
    """A granted approval that lifts a verdict: the row, and the salts under which its arguments were committed."""

    row: PendingRow
    salts: Mapping[str, bytes]
    first: bool


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What the log holds of one step: its records in order, and of each read that asked what it requires (`checks`)."""

    records: tuple[Opened, ...] = ()
    checks: tuple[Past, ...] = ()

    def last(self, kind: str) -> Opened | None:
        """The latest record of a kind."""
        return next((r for r in reversed(self.records) if r.kind == kind), None)

    def open_intent(self) -> Opened | None:
        """The intent whose outcome nobody recorded."""
        intent = self.last("intent")
        closed = {r.attempt for r in self.records if r.kind == "outcome"}
        return intent if intent is not None and intent.attempt not in closed else None

    def doubt(self) -> int:
        """The last attempt of which nobody knows whether it happened, unless a later one certainly did; 0: none."""
        found = 0
        for r in self.records:
            if r.kind == "outcome":
                lost = r.facts["status"] in ("unknown", "interrupted")
                found = r.attempt if lost else 0 if r.facts["status"] == "executed" else found
        return 0 if self._effect() == "read" else found

    def late(self) -> Opened | None:
        """What an attempt of which nobody knew came to after all: evidence that it happened."""
        return next((r for r in self.records if self._means(r) == "settles"), None) if self.doubt() else None

    def counted(self) -> Iterator[Opened]:
        """What says what happened: outcomes, evidence that nothing else contradicts, and people's words."""
        for r in self.records:
            if r.kind in ("outcome", "resolution") or (r.kind == "late" and self._means(r) != "asks"):
                yield r

    def contradicted(self) -> list[Opened]:
        """The questions that no person has answered whether something happened that the log says did not."""
        said = {r.facts["intent"] for r in self.records if r.kind == "resolution"}
        return [r for r in self._questions() if _intent(r) not in said]

    def word(self) -> Opened | None:
        """The record that says what the caller is told; None while that is open.

        Of what came to light and what a person said of a doubt the first counts, and what was told stands: a person's
        word on evidence that contradicts it counts only where nothing was told yet.
        """
        asked = {_intent(r) for r in self._questions()}
        words = [r for r in self.records if r.kind == "resolution"]
        settled, late = next((r for r in words if r.facts["intent"] not in asked), None), self.late()
        if settled is not None and (late is None or settled.index < late.index):
            return settled
        if self.doubt():
            # What a later attempt was told says nothing about the one that may have happened; what it came to does.
            return late
        outcome, decision = self.last("outcome"), self.last("decision")
        if outcome is not None and outcome.facts["final"] and outcome.facts["status"] != "unknown":
            return outcome
        if decision is not None and decision.facts["outcome"] == "deny":
            return decision
        return next((r for r in words if r.facts["status"] == "executed"), None)

    def _questions(self) -> Iterator[Opened]:
        return (r for r in self.records if r.kind == "asked" and "after" in r.facts.get("covers", {}))

    def _means(self, late: Opened) -> str:
        """What late evidence comes to; empty for every other record."""
        first = (r.facts["status"] for r in self.records if r.kind == "outcome" and r.attempt == late.attempt)
        return meaning(next(first, ""), late.facts["status"], effect=self._effect()) if late.kind == "late" else ""

    def _effect(self) -> str:
        intent = self.last("intent")
        return str(intent.facts.get("effect", "")) if intent is not None else ""

    def over(self) -> bool:
        """Was it certainly carried out, so that whoever asks again is told that, and nothing is decided any more?"""
        outcome = self.last("outcome")
        return outcome is not None and outcome.facts["status"] == "executed" and bool(outcome.facts["final"])

    def tried(self) -> tuple[str, ...]:
        """The models that were asked and failed, where there were several. Whom a crash cut short did not fail."""
        failed = {r.attempt for r in self.records if r.kind == "outcome" and r.facts["status"] == "failed"}
        asked = (r for r in self.records if r.kind == "intent" and r.attempt in failed and "route" in r.facts)
        return tuple(r.facts["route"]["chosen"] for r in asked)

    @property
    def attempts(self) -> int:
        """How many attempts began."""
        return max((r.attempt for r in self.records if r.kind == "intent"), default=0)


def _intent(asked: Opened) -> str:
    return record_id(asked.run, bare(asked.path), asked.attempt, "intent")


def about(ruled: Ruled) -> dict[str, Any]:
    """What an intent says besides the request: whose values, which object, on whose behalf."""
    # Repeated apart from the request, because an approval covers these and not the time or the budget left.
    return {
        "origins": dict(ruled.inputs.origins), "resource": msgspec.to_builtins(ruled.inputs.resource),
        "chain": chain_data(ruled.proposal.authority),
    }  # fmt: skip


def chain_data(authority: Authority) -> list[str]:
    """The chain as plain data: the principal, then each agent."""
    principal = authority.principal
    return [principal.tenant, principal.issuer, principal.id, *(link.agent for link in authority.links)]


def call_key(p: Proposal) -> str:
    """The idempotency key: stable across attempts and replays of one step, new in every other step, run and log."""
    text = "\0".join(("flyball/key/v1", p.place.log, p.place.tenant, p.place.run, p.place.path))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def business_claim(p: Proposal, keyed: Callable[[str], str]) -> Claim | None:
    """The claim of an action's business key, by a keyed digest of its value; None where it has none."""
    argument = p.action.key.business
    if not argument:
        return None
    digest = keyed("business\0" + msgspec.json.encode(p.arguments.get(argument)).decode())
    owner = f"{p.place.run}/{p.place.path}"
    return Claim(scope=f"business:{p.action.name}", key=digest, digest=digest, owner=owner)


def given_back(p: Proposal, ended: Ended, keyed: Callable[[str], str], *, final: bool) -> tuple[Claim, ...]:
    """The business key is free again once it is certain that nothing happened under it."""
    claim = business_claim(p, keyed) if final and ended.certain and ended.status in ("failed", "not_started") else None
    return (claim,) if claim is not None else ()


def outcome_event(place: Place, attempt: int, ended: Ended, *, final: bool) -> Event:
    """The outcome record of an attempt: fixed-size facts; result or message as private fields."""
    private: dict[str, Any] = {"result": ended.data} if ended.status == "executed" else {}
    if ended.message:
        private["error"] = ended.message
    facts: dict[str, Any] = {
        "status": ended.status, "code": ended.code, "usage": amounts_data(ended.usage), "final": final,
        "certain": ended.certain, "result_invalid": ended.result_invalid, **ended.noted.facts,
    }  # fmt: skip
    if ended.guards:
        facts["guards"] = list(ended.guards)
    if ended.edits:
        private["edits"] = ended.edits
    return Event(
        kind="outcome", run=place.run, path=place.path, attempt=attempt, private=private, facts=facts,
        subjects=(*place.subjects, *ended.noted.subjects),
    )  # fmt: skip


def told(ended: Ended) -> Executed[Any] | Failed:
    """What the caller of an ended attempt is told."""
    if ended.status == "executed" and not ended.result_invalid:
        return Executed(ended.value, ended.action)
    reason = failure(ended.code, result_invalid=ended.result_invalid)
    return Failed(reason, ended.message, action=ended.action)


def failure(code: str, *, result_invalid: bool) -> str:
    """The reason code of a failure: its own, or what became of a result that cannot be handed on."""
    if result_invalid:
        return code if code in _WITHHELD else "result_invalid"
    return code or "tool_failed"


def own_amounts(p: Proposal) -> Amounts:
    """What one attempt counts as, apart from what its performer adds: a step only at first, and not inside an agent,
    whose steps are its model calls, nor inside a step, as a precondition; a call and an effect at every attempt."""
    tool = p.action.kind == "tool"
    own = tool and not p.authority.links and not p.action.precondition
    step = p.attempt == 1 and (p.action.kind == "model" or own)
    return Amounts(steps=int(step), calls=int(tool), effects=int(tool and p.action.effect != "read"), usd=p.action.cost)


def taints(p: Proposal, ended: Ended) -> bool:
    """Does what this attempt returned make its run tainted?"""
    return p.action.kind in READING and ended.status == "executed" and ended.code == "untrusted"


def amounts_data(amounts: Amounts) -> dict[str, int]:
    """Amounts as plain data, without zeros."""
    return {name: amount for name, amount in zip(DIMENSIONS, astuple(amounts), strict=True) if amount}


def amounts_of(data: Mapping[str, int]) -> Amounts:
    """Amounts read back."""
    return Amounts(**data)
