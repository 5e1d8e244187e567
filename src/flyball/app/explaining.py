"""Explaining: why a verdict is what it is. Each link of the chain in each layer, the policies behind it and their text.

A recorded verdict is derived again from its recorded inputs and bundles, so what is explained is what was decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from flyball.app.cases import Asked, Case, Setting, asked_of, because, groups
from flyball.app.plugs import adapter
from flyball.app.replaying import records_of
from flyball.app.verdicts import DECIDED, WINDOW, Verdicts, released
from flyball.app.wiring import Rooms
from flyball.core.approval import cure_names, shown_group
from flyball.core.decision import Decision, closure
from flyball.core.errors import FlyballError
from flyball.core.journal import RunRow
from flyball.core.policy import LAYERS, Bundle, Layer, Uid
from flyball.core.record import NO_RUN, Opened
from flyball.core.result import Blocked
from flyball.core.signals import number
from flyball.ports.journal import View
from flyball.runtime.enforce import InForce, answers


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What one layer says of one link of the chain, of the final arguments, with the approvals that were given."""

    link: str
    layer: str
    allow: bool
    policies: tuple[str, ...]
    errors: tuple[str, ...] = ()


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A policy behind a verdict: what it asks for or changes, its reason, its text."""

    id: str
    text: str
    asks: str = ""
    modifies: str = ""
    reason: str = ""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict and everything it rests on. `recorded` is what the log says became of it, where it is in a log: a later
    station may have refused what policy let through. `signals` are what policies read of them, `stated` is the
    reason that a model gave, `people` what those said who decided; `bundles` by layer."""

    action: str
    resource: str
    outcome: str
    reason: str
    record: str = ""
    recorded: str = ""
    arguments: Mapping[str, Any] = {}
    origins: Mapping[str, str] = {}
    approvals: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    because: tuple[str, ...] = ()
    cures: tuple[str, ...] = ()
    rounds: int = 0
    errors: tuple[str, ...] = ()
    said: tuple[Said, ...] = ()
    policies: tuple[Told, ...] = ()
    signals: Mapping[str, float] = {}
    stated: str = ""
    people: tuple[str, ...] = ()
    bundles: Mapping[str, str] = {}


def explain_case(case: Case, s: Setting) -> Explained:
    """Why the policies say of a proposal that nobody makes what they say."""
    asked = asked_of(case, s)
    if isinstance(asked, Blocked):
        return Explained(
            action=case.what,
            resource="",
            outcome="deny",
            reason=asked.reason,
            arguments=case.input,
            errors=(str(asked),),
        )
    return explain(asked, s.force)


def explain_record(rooms: Rooms, tenant: str, target: str) -> list[Explained]:
    """Why the verdicts of a record (`RUN/PATH/ATTEMPT/KIND`), a step (`RUN/PATH`) or a whole run are what they are; or
    the latest one about an action, by its name."""
    view = rooms.ports.journal.view(tenant)
    if "/" not in target and view.row(RunRow, target) is None:
        target = _latest(view, target)
    run, _, rest = target.partition("/")
    _, records = records_of(rooms, tenant, run)
    wanted = [r for r in records if r.kind in DECIDED and (not rest or r.id == target or _step(r, rest))]
    releases, verdicts = released(records), Verdicts(rooms, tenant)
    told = [
        msgspec.structs.replace(one, stated=str((r.private or {}).get("stated", "")), people=_people(r, records))
        for r in wanted for one in _told(verdicts, r, releases[r.index])
    ]  # fmt: skip
    if not told:
        raise FlyballError("unknown_record", f"there is no decision {target!r}", fix=f"flyball show {run} lists them")
    return told


def _latest(view: View, action: str) -> str:
    """The id of the latest decision about an action."""
    _, frontier = view.tree()
    for stored in reversed(view.records(after=max(-1, frontier.size - WINDOW - 1), limit=WINDOW)):
        if stored.kind in DECIDED and stored.run != NO_RUN:
            facts = msgspec.json.decode(stored.leaf)["facts"]
            if action == facts.get("action", facts.get("covers", {}).get("action")):
                return stored.id
    raise FlyballError(
        "unknown_record", f"nothing was decided about {action!r} yet",
        fix=f"flyball policy explain {action} --by user:NAME --input JSON",
    )  # fmt: skip


def _step(record: Opened, path: str) -> bool:
    return record.path.partition("#")[0] == path.strip("/")


def _people(record: Opened, records: Sequence[Opened]) -> tuple[str, ...]:
    """Who decided what this record asks of people, or rests on, and what they said."""
    pending = record.facts.get("pending") or (record.facts.get("approval") or {}).get("pending")
    said = [r for r in records if r.kind in ("approved", "rejected") and pending and r.facts["pending"] == pending]
    return tuple(_said_by(r, r.private or {}) for r in said)


def _said_by(decided: Opened, private: Mapping[str, Any]) -> str:
    why = f': "{private["reason"]}"' if private.get("reason") else ""
    return f"{decided.kind} by {private.get('person', decided.facts['by'])}{why}"


def _told(verdicts: Verdicts, record: Opened, release: str) -> Iterator[Explained]:
    if record.facts.get("kind", "approval") != "approval":
        return
    asked = verdicts.asked(record, release)
    if asked is None:
        problem = str((record.private or {}).get("problem", ""))
        reason = str(record.facts["reason"])
        yield Explained(
            action=str(record.facts["action"]), resource="", outcome="deny", reason=reason, record=record.id,
            recorded=f"deny: {reason}", errors=(problem,) if problem else (),
        )  # fmt: skip
        return
    recorded = record.facts.get("outcome", "require_approval")
    became = f"{recorded}: {record.facts['reason']}" if "reason" in record.facts else str(recorded)
    yield msgspec.structs.replace(explain(asked, verdicts.force(record)), record=record.id, recorded=became)


def explain(asked: Asked, force: InForce) -> Explained:
    """The verdict under these bundles, and what it rests on."""
    decision, inputs = asked.decide(force), asked.inputs
    said = _said(asked, decision, force)
    named = {*decision.determining, *decision.because, *(p for one in said for p in one.policies)}
    return Explained(
        action=asked.action.name if asked.action.kind == "tool" else f"{inputs.action} {inputs.resource.id}",
        resource=_name(inputs.resource), outcome=decision.outcome, reason=decision.reason,
        arguments=decision.arguments, origins=inputs.origins,
        approvals=tuple(shown_group(f"{layer}/{g}") for layer, given in inputs.approvals.items() for g in given),
        groups=groups(decision), because=because(decision), cures=tuple(shown_group(c) for c in cure_names(decision)),
        rounds=decision.rounds, errors=decision.errors, said=said, policies=tuple(_policies(named, force)),
        signals={name: float(number(value)) for name, value in inputs.facts.signals.items()},
        bundles={c.bundle.layer: c.bundle.digest for c in force.layers},
    )  # fmt: skip


def _said(asked: Asked, decision: Decision, force: InForce) -> tuple[Said, ...]:
    if asked.inputs.trouble:
        return ()
    given: dict[Layer, frozenset[str]] = {
        layer: closure(frozenset(asked.inputs.approvals[layer])) for layer in LAYERS if layer in asked.inputs.approvals
    }
    found = answers(asked.action, decision.arguments, asked.inputs, force, given, plain=False)
    places = [(c.bundle.layer, link) for c in force.enforced for link in asked.inputs.links]
    if len(found) != len(places):  # the arguments could not be put to any policy
        return tuple(Said(link="", layer="", allow=False, policies=(), errors=a.errors) for a in found)
    return tuple(
        Said(link=_name(link), layer=layer, allow=a.allow, policies=a.determining, errors=a.errors)
        for (layer, link), a in zip(places, found, strict=True)
    )


def _name(uid: Uid) -> str:
    return f"{uid.type}::{uid.id}"


def _policies(named: Iterable[str], force: InForce) -> Iterator[Told]:
    wanted = sorted(named)
    for compiled in force.layers:
        bundle = compiled.bundle
        own = [n.partition("/")[2] for n in wanted if n.startswith(f"{bundle.layer}/")]
        texts: Mapping[str, str] = adapter("policy.texts")(bundle) if own else {}
        for id in own:
            yield _policy(bundle, id, texts.get(id, ""))


def _policy(bundle: Bundle, id: str, text: str) -> Told:
    cure = bundle.cures.get(id)
    modifier = cure.modifier if cure is not None else None
    return Told(
        id=f"{bundle.layer}/{id}", text=text, asks=cure.approval if cure is not None else "",
        modifies=f"{modifier.name}:{modifier.pointer}" if modifier is not None else "",
        reason=bundle.reasons.get(id, ""),
    )  # fmt: skip
