from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.guard import (
    Edit,
    Looked,
    Screened,
    Signal,
    Unredactable,
    Verdict,
    enforced,
    guard_answers,
    guard_cures,
    merged,
    nonsense,
    passages,
    redacted,
    rewritten,
)

TEXT = ("0123456789",)


def edit(start: int, end: int, text: str = "#", passage: int = 0) -> Edit:
    return Edit(passage=passage, start=start, end=end, text=text)


def looked(guard: str = "pii", verdict: str = "pass", score: int = 0, enforced: Any = "pass") -> Looked:
    return Looked(guard=guard, version="1", stage="tool_args", verdict=verdict, enforced=enforced, score=score)


def test_in_shadow_nothing_is_enforced() -> None:
    assert (enforced("block", "shadow"), enforced("block", "enforce")) == ("pass", "block")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "pass",
        Verdict(action="allow"),  # type: ignore[arg-type]
        Verdict(score=1001),
        Verdict(score=-1),
        Verdict(score=0.5),  # type: ignore[arg-type]
        Verdict(score=True),
        Verdict(reason="x" * 65),
        Verdict(reason="bösartig"),
        Verdict(action="redact"),
        Verdict(action="redact", edits=[edit(0, 1)]),  # type: ignore[arg-type]
        Verdict(action="redact", edits=(edit(0, 11),)),
        Verdict(action="redact", edits=(edit(3, 3),)),
        Verdict(action="redact", edits=(edit(-1, 3),)),
        Verdict(action="redact", edits=(edit(0, 1, passage=1),)),
        Verdict(action="redact", edits=((0, 0, 1, "#"),)),  # type: ignore[arg-type]
        Verdict(action="redact", edits=(edit(0, 1, text=None),)),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_answer_is_nonsense(answer: Any) -> None:
    assert nonsense(answer, TEXT)


def test_an_answer_is_taken() -> None:
    assert nonsense(Verdict(action="redact", score=1000, reason="card", edits=(edit(0, 10),)), TEXT) == ""


def test_edits_that_overlap_are_one() -> None:
    assert redacted("0123456789", [edit(4, 8, "B"), edit(2, 5, "A")]) == "01A89"
    assert redacted("0123456789", [edit(2, 5, ""), edit(4, 8, "B")]) == "01B89"
    assert redacted("0123456789", [edit(2, 8, ""), edit(3, 4, "B")]) == "01B89"
    assert redacted("0123456789", [edit(2, 8, "A"), edit(3, 4, "B")]) == "01A89"


@given(st.text(max_size=30), st.data())
def test_what_lies_in_no_edit_stays_as_it_is(text: str, data: st.DataObject) -> None:
    ends = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    edits = [edit(a, b, "") for a, b in data.draw(st.lists(ends, max_size=6)) if a < b]
    kept = [c for at, c in enumerate(text) if not any(e.start <= at < e.end for e in edits)]
    assert redacted(text, edits) == "".join(kept)
    assert all(a.end <= b.start for a, b in zip(merged(edits), merged(edits)[1:], strict=False))


DATA = {"to": "kim", "": [1, 4111111111111111, 2.5, True, None, {"a@b.org": ["x", ""]}]}


def test_every_text_key_and_long_number_is_a_passage() -> None:
    assert passages(DATA) == ["to", "kim", "4111111111111111", "a@b.org", "x"]
    assert passages(DATA, names=False) == ["kim", "4111111111111111", "a@b.org", "x"]


def test_edits_land_where_their_passages_stand() -> None:
    edits = [edit(0, 3, "[name]", 0), edit(0, 7, "[email]", 2), edit(0, 1, "y", 3)]
    changed = rewritten(DATA, edits, names=False)
    assert changed == {"to": "[name]", "": [1, 4111111111111111, 2.5, True, None, {"[email]": ["y", ""]}]}
    assert rewritten(DATA, []) is DATA


@pytest.mark.parametrize(
    ("data", "at"), [({"card": 4111111111111111}, 1), ({"a@b.org": 1, "c@d.org": 2}, 0), ({"x": 1234567.125}, 1)]
)
def test_what_is_no_text_cannot_be_redacted(data: Any, at: int) -> None:
    edits = [edit(0, 7, "[x]", n) for n in ({0, 1} if "a@b.org" in data else {at})]
    with pytest.raises(Unredactable):
        rewritten(data, edits)


plain_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(plain_data)
def test_data_is_walked_the_same_way_when_it_is_read_and_when_it_is_written(data: Any) -> None:
    texts = passages(data)
    if any(text.lstrip("-").isdigit() for text in texts):
        return
    edits = [edit(0, len(text), f"{n}", n) for n, text in enumerate(texts)]
    assert passages(rewritten(data, edits)) == [f"{n}" for n in range(len(texts))]


def test_policies_read_the_greatest_score_and_the_strictest_word_of_each_guard() -> None:
    seen = Screened(
        looked=(looked(verdict="redact", score=700), looked(score=900), looked("other", "failed")),
        before={"pii": Signal(score=100, verdict="pass")},
    )
    assert seen.signals == {"other": Signal(verdict="failed"), "pii": Signal(score=900, verdict="redact")}
    assert seen.blocked is None


def test_what_failed_is_the_strictest_word() -> None:
    seen = Screened(looked=(looked(verdict="failed"), looked(verdict="block", enforced="block")))
    assert seen.signals["pii"].verdict == "failed"
    assert seen.blocked is not None and seen.blocked.told["enforced"] == "block"


@pytest.mark.promise("gate-guard-escalation-is-an-approval")
def test_an_escalation_is_lifted_by_its_group_alone() -> None:
    escalated = {"pii": "finance:2"}
    [cure] = guard_cures(escalated).values()
    assert (cure.policy, cure.layer, cure.approval) == ("guard:pii", "project", "finance:2")
    assert not guard_answers(escalated, {}, False)[0].allow
    assert not guard_answers(escalated, {"platform": frozenset({"finance:2"})}, False)[0].allow
    assert guard_answers(escalated, {"project": frozenset({"finance:2"})}, False)[0].allow
    assert guard_answers(escalated, {}, True)[0].allow, "it is no plain forbid: somebody may lift it"


def test_one_person_of_a_group_is_enough_where_no_number_is_said() -> None:
    [cure] = guard_cures({"pii": "owner"}).values()
    assert (cure.group, cure.people) == ("owner", 1)
