"""Trace: the records of a run as spans, each given once, by the record that ends it."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.core import attributes as name
from flyball.core.disclosure import Marks, Rules
from flyball.core.record import Opened
from flyball.core.span import Origin, Span, span_id, trace_id, traceparent
from flyball.core.trace import MOST_MOMENTS, MOST_TEXT, Folded, Trace, begun, fold, subject_of

SAID = {"action": "pay", "action_kind": "tool", "effect": "read", "chain": [], "release": "d1", "outcome": "allow",
        "reason": "permitted", "policies": ["project/p"], "by": "pseudonym"}  # fmt: skip
DONE = {"status": "executed", "code": "", "usage": {}, "final": True, "certain": False, "result_invalid": False}
NOTHING = Rules()


class Log:
    """Records in order, folded as they come."""

    def __init__(
        self, rules: Rules = NOTHING, kind: str = "flow", what: str = "day", session: str = "", **private: Any
    ) -> None:
        self.rules, self.time = rules, 0
        facts: dict[str, Any] = {"kind": kind, "what": what, "release": "d1", "by": "pseudonym", "generation": 1}
        facts |= {"session": session} if session else {}
        self.trace = begun("acme", self.record("run_started", "", 0, private, **facts), rules)
        self.spans: list[Span] = []
        self.waiting: dict[str, int] = {}

    def record(
        self, kind: str, path: str, attempt: int, private: dict[str, Any] | None = None, /, **facts: Any
    ) -> Opened:
        self.time += 10
        return Opened(
            index=self.time, kind=kind, run="r-1", path=path, attempt=attempt, time=self.time, facts=facts, commits={},
            private=private or {},
        )  # fmt: skip

    def add(self, kind: str, path: str = "", attempt: int = 1, private: Any = None, /, **facts: Any) -> list[Span]:
        folded: Folded = fold(self.trace, self.record(kind, path, attempt, private, **facts), self.rules)
        self.trace = folded.trace
        self.spans += folded.spans
        for waits, more in folded.waiting.items():
            self.waiting[waits] = self.waiting.get(waits, 0) + more
        return list(folded.spans)

    def intent(self, path: str, attempt: int = 1, private: Any = None, /, **facts: Any) -> list[Span]:
        return self.add("intent", path, attempt, private, **{**SAID, **facts})

    def outcome(self, path: str, attempt: int = 1, private: Any = None, /, **facts: Any) -> list[Span]:
        return self.add("outcome", path, attempt, private, **{**DONE, **facts})

    def asked(self, path: str = "1#1", kind: str = "approval", cures: tuple[str, ...] = ("project/finance",)) -> None:
        covers = {"action": "pay", "cures": list(cures)} if kind == "approval" else {"cures": list(cures)}
        self.add("asked", path, 1, None, pending=f"r-1/{path}", kind=kind, covers=covers, over="x")


def one(spans: list[Span]) -> Span:
    [span] = spans
    return span


def test_an_attempt_is_a_span_from_its_intent_to_its_outcome() -> None:
    log = Log()
    assert log.intent("1") == []
    span = one(log.outcome("1", usage={"usd": 250_000}))
    assert (span.name, span.start, span.end, span.status, span.kind) == ("execute_tool pay", 20, 30, "ok", "internal")
    assert (span.id, span.parent) == (span_id("acme", "r-1", "1", 1), span_id("acme", "r-1"))
    told = span.attributes
    assert told[name.COST] == 0.25 and told[name.SPAN_KIND] == "TOOL" and told[name.RECORD] == "r-1/1/1/intent"
    assert log.trace.open == {}


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"status": "failed", "code": "boom"}, "boom"), ({"status": "unknown"}, "unknown"),
        ({"result_invalid": True}, "result_invalid"), ({"result_invalid": True, "code": "too_large"}, "too_large"),
    ],
)  # fmt: skip
def test_what_went_wrong_has_a_code(facts: dict[str, Any], error: str) -> None:
    log = Log()
    log.intent("1")
    span = one(log.outcome("1", **facts))
    assert (span.status, span.error, span.attributes[name.ERROR_TYPE]) == ("error", error, error)


def test_what_was_approved_names_its_approval() -> None:
    log = Log()
    log.intent("1", approval={"pending": "r-1/1#1", "over": "x"})
    assert one(log.outcome("1")).attributes[name.APPROVAL] == "r-1/1#1"


def test_a_denial_is_a_span_without_length() -> None:
    span = one(
        Log().add("decision", "1", 1, **{**SAID, "outcome": "deny", "reason": "policy_denied", "modifiers": ["m"]})
    )
    assert (span.end - span.start, span.error) == (0, "policy_denied")
    assert span.attributes[name.DECISION] == "deny" and span.attributes[name.MODIFIERS] == ("m",)


def test_what_is_inside_an_agent_hangs_beneath_it() -> None:
    log = Log()
    log.intent("1", action="clerk", action_kind="agent")
    log.intent("1.1", action="model", action_kind="model", chain=["clerk"])
    span = one(log.outcome("1.1"))
    assert span.parent == span_id("acme", "r-1", "1", 1) and span.kind == "client"
    over = one(log.outcome("1"))
    assert (over.name, over.attributes[name.AGENT_VERSION]) == ("invoke_agent clerk", "d1")


def test_what_a_step_requires_hangs_beneath_the_attempt_that_comes() -> None:
    log = Log()
    log.intent("1")
    log.outcome("1", status="failed", final=False)
    log.intent("1.1", action="pay.requires")
    assert one(log.outcome("1.1")).parent == span_id("acme", "r-1", "1", 2)
    log.intent("1", 2)
    assert one(log.outcome("1", 2)).id == span_id("acme", "r-1", "1", 2) and log.trace.next == {}


def test_an_outcome_that_nobody_began_is_no_span() -> None:
    assert Log().outcome("7") == []


@pytest.mark.parametrize("path", ["0", "@2.0"])
def test_the_start_of_a_run_is_told_by_the_run_s_own_span(path: str) -> None:
    log = Log()
    assert log.intent(path, policies=["project/start"]) == [] and log.outcome(path) == []
    span = one(log.add("run_ended", "", 0, reason="completed", ok=True))
    assert (span.name, span.parent, span.start) == ("invoke_workflow day", "", 10)
    assert span.attributes[name.POLICIES] == ("project/start",) and log.trace.ended


def test_a_start_that_was_denied_is_told_there_too() -> None:
    log = Log(kind="agent", what="clerk")
    assert log.add("decision", "0", 1, **{**SAID, "outcome": "deny", "reason": "policy_denied"}) == []
    span = one(log.add("run_ended", "", 0, reason="policy_denied", ok=False))
    assert (span.name, span.error, span.attributes[name.DECISION]) == ("invoke_agent clerk", "policy_denied", "deny")


def test_a_step_of_a_later_generation_hangs_beneath_the_run() -> None:
    log = Log()
    log.intent("@2.1")
    assert one(log.outcome("@2.1")).parent == span_id("acme", "r-1")


def test_a_turn_of_a_session_names_its_conversation() -> None:
    span = one(Log(session="keyed").add("run_ended", "", 0, reason="completed", ok=True))
    assert span.attributes[name.CONVERSATION] == "keyed"


def test_an_action_of_a_door_is_a_run_without_an_operation() -> None:
    span = one(Log(kind="act", what="pay").add("run_ended", "", 0, reason="completed", ok=True))
    assert span.name == "act pay" and name.OPERATION not in span.attributes


def test_what_happens_to_a_run_is_a_moment_of_its_span() -> None:
    log = Log()
    log.add("timer", "1", 0, what="sleep", until=99)
    log.add("run_parked", "", 1, waits=["r-1/1#1"])
    log.add("marker", "#now", 0, name="now")
    for n in range(MOST_MOMENTS):
        log.add("run_moved", "", n, **{"from": "a", "to": "b"})
    moments = one(log.add("run_ended", "", 0, reason="completed", ok=True)).moments
    assert [m.name for m in moments[:3]] == ["sleep", "run_parked", "run_moved"] and len(moments) == MOST_MOMENTS
    assert moments[0].attributes == {name.UNTIL: 99} and moments[1].attributes == {name.WAITS: ("r-1/1#1",)}


# people ---------------------------------------------------------------------------------------------------------------
def test_an_approval_is_a_span_from_being_asked_to_being_answered() -> None:
    log = Log()
    log.asked(cures=("project/finance:2", "project/legal"))
    assert log.waiting == {"approval": 1}
    answers = [log.add("approved", "1!1", n, pending="r-1/1#1", assurance="key") for n in range(3)]
    assert [len(each) for each in answers] == [0, 0, 1] and log.waiting == {"approval": 0}
    span = one(answers[2])
    assert (span.name, span.start, span.end, span.status) == ("approval pay", 20, 50, "ok")
    assert span.attributes[name.ASSURANCE] == "key" and span.attributes[name.ANSWER] == "approved"


@pytest.mark.parametrize("kind", ["rejected", "expired", "voided"])
def test_a_no_is_an_error_of_the_question(kind: str) -> None:
    log = Log()
    log.asked()
    assert one(log.add(kind, "1!1", 0, pending="r-1/1#1", why="late")).error == kind
    assert log.add(kind, "1!1", 0, pending="r-1/1#1") == []


def test_what_still_waits_at_the_end_is_void() -> None:
    log = Log()
    log.asked()
    log.asked("2#1")
    log.asked("3?", kind="unknown")
    spans = log.add("run_ended", "", 0, reason="stopped", ok=False)
    assert [s.error for s in spans] == ["voided", "voided", "stopped"]
    assert log.waiting == {"approval": 0, "unknown": 1} and list(log.trace.asked) == ["r-1/3?"]


# what comes to light --------------------------------------------------------------------------------------------------
def test_what_comes_to_light_links_to_the_attempt_that_it_is_about() -> None:
    log = Log()
    log.intent("1")
    log.outcome("1", status="unknown")
    log.asked("1?", kind="unknown")
    late = one(log.add("late", "1~9", 1, **DONE))
    assert late.links == (Origin(trace_id("acme", "r-1"), span_id("acme", "r-1", "1", 1)),) and late.name == "late"
    told, answered = log.add("resolution", "1!1", 0, intent="r-1/1/1/intent", status="executed", by="p")
    assert told.links == late.links and (answered.name, answered.attributes[name.ANSWER]) == ("unknown", "executed")
    assert log.waiting == {"unknown": 0} and len({s.id for s in log.spans}) == 4


def test_a_resolution_that_nobody_asked_for_is_a_span_alone() -> None:
    assert one(Log().add("resolution", "1!1", 0, intent="r-1/1/3/intent", status="failed", by="p")).name == "resolution"


# content and models ---------------------------------------------------------------------------------------------------
def test_a_model_call_says_which_model_and_what_it_used() -> None:
    resource = {"type": "Model", "id": "default"}
    request = {"resource": resource, "entities": [{"uid": resource, "attrs": {"vendor": "openai"}}]}
    log = Log(Rules(models={"default": "gpt"}))
    log.intent("1", 1, {"request": request}, action="model", action_kind="model", chain=["clerk"])
    reply = {"model": "gpt-1", "stop": "end", "usage": {"input": 3, "output": 2}, "provider_id": "", "text": "hi"}
    span = one(log.outcome("1", 1, {"result": reply}))
    told = span.attributes
    assert span.name == "chat gpt" and told[name.PROVIDER] == "openai" and told[name.FINISH_REASONS] == ("end",)
    assert (told[name.INPUT_TOKENS], told[name.OUTPUT_TOKENS], told[name.AGENT_NAME]) == (3, 2, "clerk")
    assert name.RESPONSE_ID not in told and name.OUTPUT not in told


def test_content_is_told_where_it_may_be_and_never_without_end() -> None:
    log = Log(Rules(content={"pay": ("arguments", "result")}, marks={"pay": Marks()}))
    log.intent("1", 1, {"args": {"cents": 5}})
    told = one(log.outcome("1", 1, {"result": "x" * (MOST_TEXT + 1)})).attributes
    assert told[name.INPUT] == '{"cents":5}' and str(told[name.OUTPUT]).endswith(f"… ({MOST_TEXT + 1} in all)")


def test_guards_are_spans_where_they_said_something() -> None:
    said = {"guard": "pii", "version": "1", "stage": "tool_args", "verdict": "redact", "enforced": "redact"}
    quiet = {**said, "verdict": "pass"}
    log = Log()
    looked = log.intent(
        "1", 1, None, guards=[quiet, {**said, "score": 500, "reason": "mail"}, {**quiet, "failed": "late"}]
    )
    assert [s.name for s in looked] == ["guard pii", "guard pii"] and len({s.id for s in looked}) == 2
    assert looked[0].parent == span_id("acme", "r-1", "1", 1)
    assert (looked[0].attributes[name.GUARD_SCORE], looked[0].attributes[name.REASON]) == (0.5, "mail")
    assert looked[1].attributes[name.REASON] == "late"
    assert one(log.intent("0", 1, None, guards=[said])).parent == span_id("acme", "r-1")


@pytest.mark.parametrize(("kind", "key"), [("flow", name.WORKFLOW_NAME), ("context", name.DATA_SOURCE)])
def test_flows_and_sources_are_named_as_such(kind: str, key: str) -> None:
    log = Log()
    log.intent("1", action="notes", action_kind=kind)
    assert one(log.outcome("1")).attributes[key] == "notes"


def test_a_handoff_is_an_agent_at_work() -> None:
    log = Log()
    log.intent("1", action="clerk", action_kind="handoff")
    span = one(log.outcome("1"))
    assert (span.name, span.attributes[name.AGENT_NAME]) == ("invoke_agent clerk", "clerk")
    assert span.attributes[name.ACTION_KIND] == "handoff"


def test_what_only_its_kind_names_is_called_by_its_operation() -> None:
    log = Log()
    log.intent("1", action="recall", action_kind="recall")
    assert one(log.outcome("1")).name == "search_memory"


def test_an_action_of_another_kind_is_called_by_it() -> None:
    log = Log()
    log.intent("1", action="activate", action_kind="policy")
    assert one(log.outcome("1")).name == "policy activate"


# whose trace ----------------------------------------------------------------------------------------------------------
def test_a_run_hangs_beneath_what_its_caller_said() -> None:
    caller = traceparent("a" * 32, "b" * 16)
    span = one(Log(traceparent=caller).add("run_ended", "", 0, reason="completed", ok=True))
    assert (span.trace, span.parent) == ("a" * 32, "b" * 16)


def test_whom_a_record_is_about() -> None:
    log = Log()
    log.intent("1")
    trace: Trace = log.trace
    assert subject_of(trace, log.record("outcome", "1", 1, **DONE)) == ("pay", "tool")
    assert subject_of(trace, log.record("outcome", "2", 1, **DONE)) == ("", "")
    assert subject_of(trace, log.record("run_ended", "", 0)) == ("day", "flow")
