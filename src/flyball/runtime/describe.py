"""Describe: a run told from its records as plain data: who did what, under whose authority, why it was let, what it
cost, what is still open. Nothing is asked of the code or of the policies as they are now; an erased part says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flyball.core.approval import shown_group, unmet
from flyball.core.budget import ZERO, minus, plus
from flyball.core.effect import LASTING, REQUIRES
from flyball.core.journal import PendingRow, RunRow
from flyball.core.outcome import amounts_data, amounts_of
from flyball.core.record import Opened
from flyball.core.signals import number
from flyball.core.steps import bare, parent

RUN_KINDS = frozenset({"run_started", "run_parked", "run_continued", "run_ended", "run_stopped", "run_moved", "marker"})
PEOPLE = frozenset({"approved", "rejected", "edited", "answered"})
ERASED = "erased"


def describe(row: RunRow, records: Sequence[Opened], waits: Sequence[PendingRow] = ()) -> dict[str, Any]:
    """The run as plain data. `waits` are its open pending rows; times are microseconds since 1970."""
    steps = described_steps(records)
    return {
        **_head(row, records),
        "steps": steps,
        "cost": cost(records),
        "open": open_things(row, records, waits),
        "records": {"count": len(records), "first": records[0].index, "last": records[-1].index} if records else {},
    }


def cost(records: Sequence[Opened]) -> dict[str, Any]:
    """What was used by attempts that ended, and what is still held by those whose outcome is open or unknown."""
    used, held = ZERO, ZERO
    intents = {(r.path, r.attempt): r for r in records if r.kind == "intent"}
    ended = {(r.path, r.attempt): r for r in records if r.kind == "outcome"}
    settled = {str(r.facts["intent"]): str(r.facts["status"]) for r in records if r.kind == "resolution"}
    asked = {(bare(r.path), r.attempt) for r in records if r.kind == "asked" and "after" in r.facts.get("covers", {})}
    came = {(bare(r.path), r.attempt): r for r in records if r.kind == "late" and r.facts["status"] == "executed"}
    for at, intent in intents.items():
        outcome, open_ = ended.get(at), amounts_of(intent.facts["reserved"])
        if outcome is not None and (outcome.facts["status"] != "unknown" or not outcome.facts["final"]):
            charged = amounts_of(outcome.facts["usage"])
            used, open_ = plus(used, charged), minus(open_, charged) if at in asked else ZERO
        elif at in came and intent.id not in settled:
            used, open_ = plus(used, amounts_of(came[at].facts["usage"])), ZERO
        word = settled.get(intent.id)
        used = plus(used, open_) if word == "executed" else used
        held = plus(held, open_) if word is None else held
    return {"used": amounts_data(used), "held": amounts_data(held)}


def open_things(row: RunRow, records: Sequence[Opened], waits: Sequence[PendingRow]) -> list[dict[str, Any]]:
    """What is still to be done: decisions, answers, unknown outcomes, times, intents without an end."""
    found = [_waiting(w) for w in waits]
    closed = {(r.path, r.attempt) for r in records if r.kind == "outcome"}
    found += [
        {"kind": "intent", "id": r.id, "about": r.facts["action"]}
        for r in records
        if r.kind == "intent" and r.facts["action_kind"] not in LASTING and (r.path, r.attempt) not in closed
    ]
    if row.state == "waiting" and row.wake_at:
        found.append({"kind": "timer", "id": row.id, "until": row.wake_at})
    return found


def described_steps(records: Iterable[Opened]) -> list[dict[str, Any]]:
    """Every step in the order in which it began."""
    groups: dict[str, list[Opened]] = {}
    for record in records:
        if record.kind not in RUN_KINDS:
            groups.setdefault(bare(record.path), []).append(record)
    return [_step(path, group) for path, group in groups.items()]


def prose(records: Sequence[Opened], asked: Opened) -> str:
    """What the model said last, in the same branch, before this was asked: shown last, and as the model's own words."""
    branch = parent(bare(asked.path))
    model = {r.path for r in records if r.kind == "intent" and r.facts["action_kind"] == "model"}
    said = [
        (r.private or {}).get("result") for r in records
        if r.kind == "outcome" and r.path in model and parent(r.path) == branch and r.index < asked.index
    ]  # fmt: skip
    return str(said[-1].get("text", "")) if said and isinstance(said[-1], Mapping) else ""


# the run -------------------------------------------------------------------------------------------------------------
def _head(row: RunRow, records: Sequence[Opened]) -> dict[str, Any]:
    first = next((r for r in records if r.kind == "run_started"), None)
    end = next((r for r in records if r.kind == "run_ended"), None)
    stop = next((r for r in records if r.kind == "run_stopped"), None)
    private = _private(first)
    return {
        "id": row.id, "kind": row.kind, "what": row.what, "state": row.state, "reason": row.reason,
        "started": row.started, "ended": row.ended, "active_ms": row.active_ms, "review": row.review,
        "release": row.release, "session": private.get("session", ERASED if row.turn else ""), "turn": row.turn,
        "parent": row.parent,
        "by": private.get("principal", ERASED), "subject": private.get("subject", ERASED),
        "key": private.get("key", ""), "input": private.get("input", ERASED),
        "limits": {name: most for name, most in private.get("limits", {}).items() if most >= 0},
        "next": end.facts.get("next", "") if end is not None else "",
        "result": _private(end).get("result"), "detail": _private(end).get("detail", ""),
        "stopped": _private(stop).get("reason") if stop is not None else None,
        "tainted": any(r.kind == "outcome" and r.facts["code"] == "untrusted" for r in records),
    }  # fmt: skip


def _waiting(row: PendingRow) -> dict[str, Any]:
    groups = [shown_group(c) for c in unmet(row.groups, row.given)]
    return {"kind": row.kind, "id": row.id, "path": row.path, "groups": groups, "expires": row.expires}


# a step --------------------------------------------------------------------------------------------------------------
def _step(path: str, records: Sequence[Opened]) -> dict[str, Any]:
    verdict = next((r for r in reversed(records) if r.kind in ("intent", "decision")), None)
    asked = [_asked(r) for r in records if r.kind == "asked"]
    told: dict[str, Any] = {"path": path, "time": records[0].time, "state": _state(records)}
    told |= _decided(verdict) if verdict is not None else _undecided(records)
    told["asked"] = asked
    told["people"] = [_person(r) for r in records if r.kind in PEOPLE or r.kind == "resolution"]
    told["attempts"] = [_attempt(r) for r in records if r.kind in ("outcome", "late")]
    if told["action"].endswith(REQUIRES):
        told["state"] = _met(records, told["state"])
    return told


def _met(records: Sequence[Opened], state: str) -> str:
    """Of the read that asks what a tool requires: what it said, where it said something that can still be read."""
    outcome = next((r for r in reversed(records) if r.kind == "outcome"), None)
    if state != "executed" or outcome is None or outcome.facts["result_invalid"] or "result" not in _private(outcome):
        return state
    return "met" if _private(outcome)["result"] is None else "not met"


def _state(records: Sequence[Opened]) -> str:
    """executed, failed, unknown, blocked, running, waiting, done: the latest that the records say."""
    last = next((r for r in reversed(records) if r.kind in _STATES), None)
    if last is None:
        return "done" if records[-1].kind in ("answered", "delivered", "state", "signal") else records[-1].kind
    if last.kind in ("outcome", "late", "resolution"):
        return str(last.facts["status"])
    if last.kind == "decision":
        return "blocked"
    return _STATES[last.kind]


_STATES = {
    "intent": "running", "decision": "blocked", "outcome": "", "late": "", "resolution": "", "asked": "waiting",
    "approved": "waiting", "rejected": "rejected", "edited": "edited", "answered": "answered", "expired": "expired",
    "voided": "asked again",
}  # fmt: skip


def _decided(r: Opened) -> dict[str, Any]:
    facts, private = r.facts, _private(r)
    request = private.get("request", {})
    return {
        "action": facts["action"], "kind": facts["action_kind"], "effect": facts["effect"],
        "authority": _authority(request, facts), "arguments": private.get("args", ERASED),
        "origins": request.get("origins", {}), "resource": _uid(request.get("resource")),
        "verdict": facts["outcome"], "reason": facts["reason"], "policies": list(facts["policies"]),
        "modifiers": list(facts.get("modifiers", ())), "bundles": list(facts["bundles"]),
        "approval": (facts.get("approval") or {}).get("pending", ""),
        "precondition": facts.get("precondition", ""), "isolation": facts.get("isolation", ""),
        "idempotency": facts.get("idempotency", ""), "problem": private.get("problem", ""),
        "stated": private.get("stated", ""),
        "errors": private.get("errors", []), "record": r.id, **_guards(facts),
    }  # fmt: skip


def _undecided(records: Sequence[Opened]) -> dict[str, Any]:
    """A step that no policy decides: a question, a time, a state; or one that still waits to be decided."""
    asked = next((r for r in reversed(records) if r.kind == "asked"), None)
    if asked is not None:
        shown = _private(asked).get("shown", {})
        covers = asked.facts.get("covers", {})
        return {
            "action": covers.get("action") or shown.get("action", "ask"), "kind": str(asked.facts["kind"]),
            "effect": shown.get("effect", ""), "authority": [shown.get("by", ""), *shown.get("through", [])],
            "arguments": _private(asked).get("args", {}), "origins": shown.get("origins", {}),
            "question": shown.get("question", ""), "verdict": "require_approval" if covers.get("action") else "",
            "policies": list(covers.get("policies", ())), "record": asked.id,
        }  # fmt: skip
    first = records[0]
    given = {str(first.facts["name"]): float(number(first.facts["value"]))} if first.kind == "signal" else {}
    what = first.facts.get("what") or first.facts.get("reducer") or first.kind
    return {"action": str(what), "kind": first.kind, "effect": "", "authority": [], "arguments": given,
            "record": first.id}  # fmt: skip


def _authority(request: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """The chain by name where the subject is not erased, else its pseudonym and the agents."""
    links = [f"{link['type'].lower()}:{link['id']}" for link in request.get("links", ())]
    return links or [str(facts["by"]), *(f"agent:{name}" for name in facts.get("chain", ()))]


def _asked(r: Opened) -> dict[str, Any]:
    shown, covers = _private(r).get("shown", {}), r.facts.get("covers", {})
    return {
        "id": r.facts["pending"], "kind": r.facts["kind"], "over": r.facts["over"], "time": r.time,
        "groups": [shown_group(c) for c in covers.get("cures", ())], "because": list(shown.get("because", ())),
        "reasons": list(shown.get("reasons", ())), "question": shown.get("question", ""),
        "stated": _private(r).get("stated", ""),
    }  # fmt: skip


def _person(r: Opened) -> dict[str, Any]:
    facts, private = r.facts, _private(r)
    told = {
        "did": r.kind, "by": private.get("person", facts["by"]), "reason": private.get("reason", ""),
        "assurance": facts.get("assurance", ""), "signed": bool(facts.get("sig")), "time": r.time, "record": r.id,
    }  # fmt: skip
    if "cure" in facts:
        told["group"] = shown_group(str(facts["cure"]))
    if r.kind == "edited":
        told["changed"] = {name: private.get("args", {}).get(name) for name in private.get("changed", ())}
    if r.kind == "answered":
        told["value"] = private.get("value")
    if r.kind == "resolution":
        told |= {"status": facts["status"], "value": private.get("result")}
    return told


def _attempt(r: Opened) -> dict[str, Any]:
    facts, private = r.facts, _private(r)
    return {
        "attempt": r.attempt, "late": r.kind == "late", "status": facts["status"], "code": facts["code"],
        "usage": dict(facts["usage"]), "time": r.time, "error": private.get("error", ""),
        "result": private.get("result"), "result_invalid": facts["result_invalid"], "record": r.id, **_guards(facts),
    }  # fmt: skip


def _guards(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"guards": list(facts["guards"])} if "guards" in facts else {}


def _uid(uid: Any) -> str:
    return f"{uid['type']}::{uid['id']}" if isinstance(uid, Mapping) else ""


def _private(r: Opened | None) -> Mapping[str, Any]:
    return (r.private or {}) if r is not None else {}
