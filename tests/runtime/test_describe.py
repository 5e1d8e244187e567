"""A run told from its records: authority, reasons, attempts, cost, what is open; and what erasure leaves."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.core.journal import PendingRow, RunRow
from flyball.core.record import Opened
from flyball.runtime.describe import ERASED, cost, describe, described_steps, open_things, prose

ROW = RunRow(id="r-1", kind="flow", what="handle", state="waiting", release="ab" * 32, started=1)
VERDICT: dict[str, Any] = {
    "action": "pay",
    "action_kind": "tool",
    "effect": "irreversible",
    "schema": "",
    "by": "p1",
    "chain": ["sender"],
    "release": "",
    "outcome": "allow",
    "reason": "permitted",
    "bundles": ["b"],
    "policies": ["project/pay"],
    "cures": [],
    "modifiers": [],
    "reserved": {"calls": 1, "usd": 5},
}
ENDED: dict[str, Any] = {
    "status": "executed",
    "code": "",
    "usage": {"calls": 1},
    "final": True,
    "result_invalid": False,
}
_INDEX = iter(range(10_000))


def record(kind: str, path: str = "", /, attempt: int = 1, private: Any = None, **facts: Any) -> Opened:
    return Opened(
        index=next(_INDEX),
        kind=kind,
        run="r-1",
        path=path,
        attempt=attempt,
        time=10,
        facts=facts,
        commits={},
        private={} if private is None else private,
    )


def erased(opened: Opened) -> Opened:
    return Opened(**{f: getattr(opened, f) for f in opened.__struct_fields__ if f != "private"}, private=None)


STARTED = record(
    "run_started",
    attempt=0,
    private={
        "principal": {"id": "user:kim"},
        "subject": "user:kim",
        "input": 3,
        "limits": {"steps": 4, "ms": -1},
        "key": "k",
    },
)
REQUEST = {
    "links": [{"type": "User", "id": "kim"}, {"type": "Agent", "id": "sender"}],
    "origins": {"cents": "request"},
    "resource": {"type": "Tool", "id": "pay"},
}
INTENT = record("intent", "2", private={"args": {"cents": 3}, "request": REQUEST}, **VERDICT)


def test_the_head_says_who_asked_for_what_within_which_limits() -> None:
    told = describe(ROW, [STARTED])
    assert (told["by"], told["subject"], told["input"], told["limits"]) == (
        {"id": "user:kim"},
        "user:kim",
        3,
        {"steps": 4},
    )
    assert told["records"]["count"] == 1 and told["result"] is None and told["stopped"] is None


def test_the_end_brings_result_detail_and_who_stopped_it() -> None:
    stop = record("run_stopped", private={"reason": "enough"}, by="p2")
    told = describe(
        ROW, [STARTED, stop, record("run_ended", private={"detail": "x", "result": 1}, reason="stopped", ok=False)]
    )
    assert (told["stopped"], told["detail"], told["result"]) == ("enough", "x", 1)


def test_a_step_says_under_whose_authority_and_why() -> None:
    (step,) = described_steps([INTENT, record("outcome", "2", private={"result": "paid"}, **ENDED)])
    assert step["authority"] == ["user:kim", "agent:sender"] and step["resource"] == "Tool::pay"
    assert (step["state"], step["verdict"], step["policies"]) == ("executed", "allow", ["project/pay"])
    assert step["attempts"][0]["result"] == "paid" and step["origins"] == {"cents": "request"}


@pytest.mark.promise("journal-erased-is-said")
def test_what_was_erased_leaves_pseudonyms_and_says_so() -> None:
    told = describe(ROW, [erased(STARTED), erased(INTENT)])
    (step,) = told["steps"]
    assert told["by"] == told["input"] == step["arguments"] == ERASED
    assert step["authority"] == ["p1", "agent:sender"] and step["policies"] == ["project/pay"]


def test_decisions_of_people_are_told_with_their_names_and_reasons() -> None:
    asked = record(
        "asked",
        "2#1",
        private={"shown": {"action": "pay", "by": "user:kim", "because": ["project/big"]}},
        pending="r-1/2#1",
        kind="approval",
        over="ab",
        covers={"action": "pay", "cures": ["project/finance"]},
    )
    given = {"pending": "r-1/2#1", "over": "ab", "by": "p3", "assurance": "key"}
    edited = record(
        "edited", "2!1", private={"args": {"cents": 1, "to": "x"}, "changed": ["cents"], "person": "user:noor"}, **given
    )
    approved = record(
        "approved", "2!2", private={"reason": "ok", "person": "user:fay"}, cure="project/finance", sig="s", **given
    )
    (step,) = described_steps([asked, edited, approved])
    assert [p["did"] for p in step["people"]] == ["edited", "approved"] and step["people"][0]["changed"] == {"cents": 1}
    assert (
        step["people"][1] | {"by": "user:fay", "group": "finance", "reason": "ok", "signed": True} == step["people"][1]
    )
    assert (step["state"], step["verdict"], step["asked"][0]["groups"]) == ("waiting", "require_approval", ["finance"])


def test_answers_and_resolutions_say_what_was_found() -> None:
    question = record(
        "asked",
        "1",
        private={"shown": {"question": "May we?", "action": "ask", "by": "user:kim"}},
        pending="r-1/1#1",
        kind="question",
        over="ab",
        covers={"cures": ["project/legal"]},
    )
    answered = record(
        "answered",
        "1",
        private={"value": True, "person": "user:lea"},
        by="p",
        over="ab",
        pending="r-1/1#1",
        cure="project/legal",
    )
    lost = record("outcome", "2", **{**ENDED, "status": "unknown"})
    settled = record(
        "resolution",
        "2",
        private={"result": 4, "person": "user:fay"},
        intent="r-1/2/1/intent",
        status="executed",
        by="p",
    )
    one, two = described_steps([question, answered, INTENT, lost, settled])
    assert (one["state"], one["question"], one["people"][0]["value"]) == ("answered", "May we?", True)
    assert (two["state"], two["people"][0]["status"], two["people"][0]["value"]) == ("executed", "executed", 4)


def test_steps_that_no_policy_decides_have_a_name() -> None:
    told = described_steps(
        [
            record("timer", "1", what="sleep", until=5),
            record("state", "2", reducer="add"),
            record("delivered", "3", what="timeout", status="timer"),
            record("not_awaited", "4", what="call"),
        ]
    )
    assert [(s["action"], s["state"]) for s in told] == [
        ("sleep", "timer"),
        ("add", "done"),
        ("timeout", "done"),
        ("call", "not_awaited"),
    ]


def test_a_denied_step_is_blocked() -> None:
    (step,) = described_steps([record("decision", "1", private={"problem": "bad"}, **{**VERDICT, "outcome": "deny"})])
    assert (step["state"], step["verdict"], step["problem"]) == ("blocked", "deny", "bad")


def test_cost_is_what_ended_and_held_is_what_nobody_knows() -> None:
    other = record("intent", "3", **VERDICT)
    unknown = record("outcome", "3", **{**ENDED, "status": "unknown"})
    done = record("outcome", "2", **ENDED)
    assert cost([INTENT, done, other]) == {"used": {"calls": 1}, "held": {"calls": 1, "usd": 5}}
    assert cost([INTENT, done, other, unknown])["held"] == {"calls": 1, "usd": 5}
    settled = record("resolution", "3", intent=other.id, status="failed", by="p")
    assert cost([INTENT, done, other, unknown, settled])["held"] == {}


def test_what_is_open_is_people_times_and_effects_without_an_end() -> None:
    row = RunRow(id="r-1", kind="flow", what="handle", state="waiting", wake_at=77)
    given = ({"by": "p1", "cure": "project/sales"},)
    wait = PendingRow(
        id="r-1/2#1",
        run="r-1",
        path="2",
        kind="approval",
        state="open",
        given=given,
        groups=("project/finance", "project/sales"),
    )
    flow = record("intent", "0", **{**VERDICT, "action_kind": "flow"})
    found = open_things(row, [flow, INTENT], [wait])
    assert [f["kind"] for f in found] == ["approval", "intent", "timer"] and found[0]["groups"] == ["finance"]


def test_prose_is_what_the_model_of_this_branch_said_last() -> None:
    model = {**VERDICT, "action_kind": "model"}
    said = [
        (record("intent", path, **model), record("outcome", path, private={"result": {"text": text}}, **ENDED))
        for path, text in (("5.1", "first"), ("5.3", "second"), ("6.1", "elsewhere"))
    ]
    asked = record("asked", "5.4#1", pending="", kind="approval", over="", covers={})
    records = [r for pair in said for r in pair]
    assert prose([*records, asked], asked) == "second"
    assert prose([asked], asked) == "" and prose([erased(r) for r in records], asked) == ""


@pytest.mark.parametrize(
    ("private", "facts", "state"),
    [
        ({"result": None}, {}, "met"),
        ({"result": "closed"}, {}, "not met"),
        (None, {}, "executed"),
        ({"result": None}, {"status": "failed"}, "failed"),
        ({"result": 7}, {"result_invalid": True}, "executed"),
    ],
)
def test_a_precondition_is_told_as_met_or_not(private: Any, facts: Any, state: str) -> None:
    records = [
        record("intent", "3.1", **VERDICT | {"action": "pay.requires"}),
        record("outcome", "3.1", private=private, **ENDED | facts),
    ]
    assert described_steps(records)[0]["state"] == state
