"""Trace: the fold of a run's records, in order, into spans.

Rules:

* A span is given once, by the record that ends it; what is under way gives none. The run's own comes with its end.
* What began is kept until it ends, so that a fold of the records up to any point can be made again from the log.
* A denial is a span without length. A question to people is one from being asked to being answered. What comes to light
  about an attempt whose span was given is a span of its own that links to it.
* Nothing is told but the facts of leaves and what `core.disclosure` lets through.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from flyball.core import attributes as name
from flyball.core.budget import MICRO
from flyball.core.disclosure import Rules, disclosed
from flyball.core.record import Opened
from flyball.core.span import Attributes, Moment, Origin, Span, Value, read_traceparent, span_id, trace_id
from flyball.core.steps import bare, parent, start

MOST_MOMENTS: Final = 64
MOST_TEXT: Final = 8_192
_CLOSES: Final = frozenset({"rejected", "edited", "answered", "expired", "voided"})
_RUN_SPANS: Final[Mapping[str, str]] = {"flow": "flow", "agent": "agent"}
_TOLD: Final = frozenset({"run_parked", "run_continued", "run_stopped", "run_moved", "timer"})


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a record began and a later one ends."""

    record: Opened
    given: int = 0


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """What is under way in a run: attempts by path, what waits for people by its id; `next` is the attempt that a step
    comes to after those that ended without an end of the step."""

    tenant: str
    origin: Origin
    started: Opened
    open: Mapping[str, Begun] = {}
    asked: Mapping[str, Begun] = {}
    next: Mapping[str, int] = {}
    moments: tuple[Moment, ...] = ()
    policies: Mapping[str, Any] = {}
    ended: bool = False

    @property
    def run(self) -> str:
        """The run's id."""
        return self.started.run


class Folded(msgspec.Struct, frozen=True, kw_only=True):
    """What one record came to: the run's trace then, the spans that are over, and how many more things of each kind
    wait for people (fewer: negative)."""

    trace: Trace
    spans: tuple[Span, ...] = ()
    waiting: Mapping[str, int] = {}


def origin_of(tenant: str, started: Opened) -> Origin:
    """Where a run's span hangs: beneath what its caller said, else it is the root of a trace of its own. `started` has
    its private fields."""
    said = read_traceparent(str((started.private or {}).get("traceparent", "")))
    return said or Origin(trace_id(tenant, started.run))


def begun(tenant: str, started: Opened, rules: Rules) -> Trace:
    """The trace of a run that starts with this record."""
    shown = disclosed(started, started.facts["what"], started.facts["kind"], rules)
    return Trace(tenant=tenant, origin=origin_of(tenant, started), started=shown)


def subject_of(trace: Trace, record: Opened) -> tuple[str, str]:
    """The name and kind of the action that a record is about."""
    if record.kind in ("run_started", "run_ended"):
        return trace.started.facts["what"], trace.started.facts["kind"]
    facts = record.facts
    if "action" not in facts:
        found = trace.open.get(bare(record.path))
        facts = found.record.facts if found is not None else {}
    return facts.get("action", ""), facts.get("action_kind", "")


def fold(trace: Trace, record: Opened, rules: Rules) -> Folded:
    """One more record of the run."""
    record = disclosed(record, *subject_of(trace, record), rules)
    if record.kind == "intent":
        return _intent(trace, record)
    if record.kind == "outcome":
        return _outcome(trace, record)
    if record.kind == "decision":
        return _decision(trace, record)
    if record.kind in ("late", "resolution"):
        return _settled(trace, record)
    if record.kind == "asked":
        return _asked(trace, record)
    if record.kind == "approved" or record.kind in _CLOSES:
        return _answered(trace, record)
    if record.kind == "run_ended":
        return _ended(trace, record)
    return Folded(trace=_with_moment(trace, record) if record.kind in _TOLD else trace)


# actions -------------------------------------------------------------------------------------------------------------
def _is_start(trace: Trace, path: str) -> bool:
    return path == start(1) or (path.startswith("@") and path == f"{path.partition('.')[0]}.0")


def _intent(trace: Trace, record: Opened) -> Folded:
    if _is_start(trace, record.path):  # the run's own start has no span but the run's
        return Folded(trace=replace(trace, policies=record.facts), spans=_guards(trace, record))
    going = {**trace.open, record.path: Begun(record=record)}
    return Folded(trace=replace(trace, open=going), spans=_guards(trace, record))


def _outcome(trace: Trace, record: Opened) -> Folded:
    found = trace.open.get(record.path)
    if found is None:
        return Folded(trace=trace, spans=_guards(trace, record))
    going = {path: one for path, one in trace.open.items() if path != record.path}
    later = {path: n for path, n in trace.next.items() if path != record.path}
    if not record.facts["final"]:
        later[record.path] = record.attempt + 1
    after = replace(trace, open=going, next=later)
    return Folded(trace=after, spans=(_action(trace, found.record, record), *_guards(trace, record)))


def _decision(trace: Trace, record: Opened) -> Folded:
    if _is_start(trace, record.path):
        return Folded(trace=replace(trace, policies=record.facts), spans=_guards(trace, record))
    facts = record.facts
    span = _span(trace, record, record, facts["reason"], {**_what(facts), **_verdict(facts), **_content(record)})
    return Folded(trace=trace, spans=(span, *_guards(trace, record)))


def _action(trace: Trace, intent: Opened, outcome: Opened) -> Span:
    facts = outcome.facts
    good = facts["status"] == "executed" and not facts["result_invalid"]
    told: dict[str, Value] = {
        **_what(intent.facts), **_verdict(intent.facts), **_model(intent, outcome), name.STATUS: facts["status"],
        **_content(intent), **_content(outcome),
    }  # fmt: skip
    if "usd" in facts["usage"]:
        told[name.COST] = facts["usage"]["usd"] / MICRO
    if facts["code"]:
        told[name.CODE] = facts["code"]
    if facts["result_invalid"]:
        told[name.RESULT_INVALID] = True
    wrong = "result_invalid" if facts["result_invalid"] else facts["status"]
    error = "" if good else facts["code"] or wrong
    return _span(trace, intent, outcome, error, told)


def _settled(trace: Trace, record: Opened) -> Folded:
    """What is said of an attempt whose span was given before: by evidence, or by a person."""
    path, attempt = bare(record.path), record.attempt
    told: dict[str, Value] = {
        name.SPAN_KIND: "CHAIN", name.STATUS: record.facts["status"], **_at(trace, record), **_content(record),
    }  # fmt: skip
    if record.kind == "resolution":
        attempt = int(str(record.facts["intent"]).split("/")[-2])
    span = Span(
        trace=trace.origin.trace, id=span_id(trace.tenant, trace.run, f"{record.path}/{record.kind}", attempt),
        parent=_above(trace, path), name=record.kind, start=record.time, end=record.time, attributes=told,
        links=(Origin(trace.origin.trace, span_id(trace.tenant, trace.run, path, attempt)),),
    )  # fmt: skip
    done = [id for id, one in trace.asked.items() if one.record.facts["kind"] == "unknown" and bare(
        one.record.path) == path] if record.kind == "resolution" else []  # fmt: skip
    closed = tuple(_question(trace, trace.asked[id], record, str(record.facts["status"])) for id in done)
    left = {id: one for id, one in trace.asked.items() if id not in done}
    return Folded(
        trace=replace(trace, asked=left), spans=(span, *closed), waiting={"unknown": -len(done)} if done else {}
    )


# people --------------------------------------------------------------------------------------------------------------
def _asked(trace: Trace, record: Opened) -> Folded:
    asked = {**trace.asked, str(record.facts["pending"]): Begun(record=record)}
    return Folded(trace=replace(trace, asked=asked), waiting={record.facts["kind"]: 1})


def _answered(trace: Trace, record: Opened) -> Folded:
    id = str(record.facts["pending"])
    found = trace.asked.get(id)
    if found is None:
        return Folded(trace=trace)
    found = replace(found, given=found.given + 1)
    if record.kind == "approved" and found.given < _wanted(found.record):
        return Folded(trace=replace(trace, asked={**trace.asked, id: found}))
    left = {key: one for key, one in trace.asked.items() if key != id}
    span = _question(trace, found, record, record.kind)
    return Folded(trace=replace(trace, asked=left), spans=(span,), waiting={found.record.facts["kind"]: -1})


def _wanted(asked: Opened) -> int:
    counts = (cure.rpartition(":")[2] for cure in asked.facts["covers"].get("cures", ()))
    return sum(int(count) if count.isdecimal() else 1 for count in counts)


def _question(trace: Trace, begun: Begun, closed: Opened, answer: str) -> Span:
    asked = begun.record
    kind = asked.facts["kind"]
    told: dict[str, Value] = {
        name.SPAN_KIND: "CHAIN", name.APPROVAL: asked.facts["pending"], name.WAIT_KIND: kind, name.ANSWER: answer,
        name.GROUPS: tuple(asked.facts["covers"].get("cures", ())), **_at(trace, asked),
    }  # fmt: skip
    if "assurance" in closed.facts:
        told[name.ASSURANCE] = closed.facts["assurance"]
    about = asked.facts["covers"].get("action", "")
    return Span(
        trace=trace.origin.trace, id=span_id(trace.tenant, trace.run, f"{asked.path}/asked", asked.attempt),
        parent=_above(trace, bare(asked.path)), name=f"{kind} {about}".strip(), start=asked.time, end=closed.time,
        status="ok" if answer in ("approved", "answered", "edited", "executed", "failed") else "error",
        error="" if answer in ("approved", "answered", "edited", "executed", "failed") else answer, attributes=told,
    )  # fmt: skip


# the run -------------------------------------------------------------------------------------------------------------
def _with_moment(trace: Trace, record: Opened) -> Trace:
    if len(trace.moments) >= MOST_MOMENTS:
        return trace
    told: dict[str, Value] = {}
    if "until" in record.facts:
        told[name.UNTIL] = record.facts["until"]
    if record.facts.get("waits"):
        told[name.WAITS] = tuple(record.facts["waits"])
    said = Moment(name=record.facts.get("what", record.kind), time=record.time, attributes=told)
    return replace(trace, moments=(*trace.moments, said))


def _ended(trace: Trace, record: Opened) -> Folded:
    """The end of the run: its span, and those of questions that nobody needs to answer any more."""
    void = {id: one for id, one in trace.asked.items() if one.record.facts["kind"] != "unknown"}
    spans = tuple(_question(trace, one, record, "voided") for one in void.values())
    fewer: dict[str, int] = {}
    for one in void.values():
        fewer[one.record.facts["kind"]] = fewer.get(one.record.facts["kind"], 0) - 1
    left = {id: one for id, one in trace.asked.items() if id not in void}
    return Folded(trace=replace(trace, asked=left, ended=True), spans=(*spans, _run(trace, record)), waiting=fewer)


def _run(trace: Trace, record: Opened) -> Span:
    started = trace.started.facts
    what, kind = str(started["what"]), str(started["kind"])
    known = name.OPERATIONS.get(kind)
    told: dict[str, Value] = {
        name.SPAN_KIND: known[1] if known else "CHAIN", **_at(trace, trace.started), name.ACTION: what,
        name.PRINCIPAL: started["by"], name.RELEASE: started["release"], name.STOP_REASON: record.facts["reason"],
        **_verdict(trace.policies), **_content(trace.started), **_content(record),
    }  # fmt: skip
    if "session" in started:  # as a pseudonym
        told[name.CONVERSATION] = started["session"]
    told |= {name.OPERATION: known[0], **_named(kind, what, started["release"])} if known else {}
    return Span(
        trace=trace.origin.trace, id=span_id(trace.tenant, trace.run), parent=trace.origin.span,
        name=f"{known[0]} {what}" if known else f"act {what}", start=trace.started.time, end=record.time,
        status="ok" if record.facts["ok"] else "error", error="" if record.facts["ok"] else record.facts["reason"],
        attributes=told, moments=trace.moments,
    )  # fmt: skip


# parts of a span -----------------------------------------------------------------------------------------------------
def _above(trace: Trace, path: str) -> str:
    """The span that a step at this path hangs beneath: the attempt of the step around it, or the run."""
    around = parent(path)
    if not around or ("." not in around and around.startswith("@")):
        return span_id(trace.tenant, trace.run)
    found = trace.open.get(around)
    attempt = found.record.attempt if found is not None else trace.next.get(around, 1)
    return span_id(trace.tenant, trace.run, around, attempt)


def _at(trace: Trace, record: Opened) -> dict[str, Value]:
    path = {name.PATH: record.path} if record.path else {}
    return {name.TENANT: trace.tenant, name.RUN: trace.run, **path, name.RECORD: record.id}


def _span(trace: Trace, begin: Opened, end: Opened, error: str, told: Attributes) -> Span:
    facts = begin.facts
    operation = name.OPERATIONS.get(facts["action_kind"], (facts["action_kind"], "CHAIN", ""))[0]
    what = told.get(name.REQUEST_MODEL, facts["action"]) if facts["action_kind"] == "model" else facts["action"]
    called = operation if what == facts["action_kind"] else f"{operation} {what}"  # what only its kind names
    attributes = {**told, **_at(trace, begin), name.ATTEMPT: begin.attempt}
    if error:
        attributes[name.ERROR_TYPE] = error
    return Span(
        trace=trace.origin.trace, id=span_id(trace.tenant, trace.run, begin.path, begin.attempt),
        parent=_above(trace, begin.path), name=called, start=begin.time, end=end.time,
        kind="client" if facts["action_kind"] == "model" else "internal", status="error" if error else "ok",
        error=error, attributes=attributes,
    )  # fmt: skip


def _what(facts: Mapping[str, Any]) -> dict[str, Value]:
    kind, action = facts["action_kind"], facts["action"]
    operation, shown, _ = name.OPERATIONS.get(kind, (kind, "CHAIN", ""))
    return {
        name.OPERATION: operation, name.SPAN_KIND: shown, name.ACTION: action, name.ACTION_KIND: kind,
        name.EFFECT: facts["effect"], name.CHAIN: tuple(facts["chain"]), **_named(kind, action, facts["release"]),
    }  # fmt: skip


def _named(kind: str, action: str, release: str) -> dict[str, Value]:
    if kind == "tool":
        return {name.TOOL_NAME: action, name.TOOL_TYPE: "function"}
    if kind in ("agent", "handoff"):  # the version of an agent is the digest of everything that it consists of
        return {name.AGENT_NAME: action, name.AGENT_VERSION: release}
    other = {"flow": name.WORKFLOW_NAME, "context": name.DATA_SOURCE}
    return {other[kind]: action} if kind in other else {}


def _verdict(facts: Mapping[str, Any]) -> dict[str, Value]:
    if not facts:  # a run of one action has no start of its own
        return {}
    told: dict[str, Value] = {
        name.DECISION: facts["outcome"], name.REASON: facts["reason"], name.POLICIES: tuple(facts["policies"]),
    }  # fmt: skip
    if facts.get("modifiers"):
        told[name.MODIFIERS] = tuple(facts["modifiers"])
    if "approval" in facts:
        told[name.APPROVAL] = facts["approval"]["pending"]
    return told


def _model(intent: Opened, outcome: Opened) -> dict[str, Value]:
    asked, reply = (intent.private or {}).get("model"), (outcome.private or {}).get("reply", {})
    if asked is None:
        return {}
    used = reply.get("usage", {})
    found = {
        name.REQUEST_MODEL: asked["name"], name.PROVIDER: asked["vendor"], name.RESPONSE_MODEL: reply.get("model"),
        name.RESPONSE_ID: reply.get("provider_id"), name.FINISH_REASONS: (reply["stop"],) if "stop" in reply else None,
        name.INPUT_TOKENS: used.get("input"), name.OUTPUT_TOKENS: used.get("output"),
        name.CACHE_READ_TOKENS: used.get("cached"), name.CACHE_WRITE_TOKENS: used.get("written"),
        name.AGENT_NAME: (intent.facts["chain"] or [None])[-1],
    }  # fmt: skip
    return {key: value for key, value in found.items() if value not in (None, "")}


def _content(record: Opened) -> dict[str, Value]:
    private = record.private or {}
    names = (("input", name.INPUT), ("output", name.OUTPUT), ("error", name.OUTPUT))
    return {told: _text(private[field]) for field, told in names if field in private}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}… ({len(text)} in all)"


def _guards(trace: Trace, record: Opened) -> tuple[Span, ...]:
    """What guards said but `pass`: each look is a span beneath the action."""
    if _is_start(trace, record.path):
        above = span_id(trace.tenant, trace.run)
    else:
        above = span_id(trace.tenant, trace.run, record.path, record.attempt)
    found: list[Span] = []
    for n, said in enumerate(record.facts.get("guards", ())):
        if said["verdict"] == "pass" and not said.get("failed"):
            continue
        told: dict[str, Value] = {
            name.SPAN_KIND: "GUARDRAIL", **_at(trace, record), name.GUARD: said["guard"],
            name.GUARD_VERSION: said["version"], name.GUARD_STAGE: said["stage"], name.GUARD_VERDICT: said["verdict"],
            name.GUARD_ENFORCED: said["enforced"], name.GUARD_SCORE: said.get("score", 0) / 1000,
        }  # fmt: skip
        reason = said.get("reason") or said.get("failed")
        told |= {name.REASON: reason} if reason else {}
        id = span_id(trace.tenant, trace.run, f"{record.path}/{record.kind}/{n}", record.attempt)
        found.append(Span(
            trace=trace.origin.trace, id=id, parent=above, name=f"guard {said['guard']}", start=record.time,
            end=record.time, attributes=told,
        ))  # fmt: skip
    return tuple(found)
