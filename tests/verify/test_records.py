from __future__ import annotations

from typing import Any, cast

import pytest

from flyball.core.kinds import Kind
from flyball.verify.leaf import Leaf
from flyball.verify.records import SLACK_US, Records
from tests.verify.leaves import found

LOG, ORIGIN = "10" * 16, "desk/t/acme"


def leaf(index: int, kind: str = "timer", path: str | None = None, **more: Any) -> Leaf:
    path = str(index) if path is None else path
    run, facts = more.get("run", "r-1"), more.get("facts", {})
    return Leaf(
        at=index, id=f"{run}/{path}/0/{kind}", kind=cast("Kind", kind), time=more.get("time", index),
        tenant=more.get("tenant", "acme"), run=run, path=path, attempt=0, facts=facts, commit={},
    )  # fmt: skip


def opening(**facts: Any) -> Leaf:
    return leaf(0, "opened", "log", run="-", facts={"log": LOG, "origin": ORIGIN, **facts})


def problems(*leaves: Leaf) -> dict[str, tuple[str, ...]]:
    records = Records()
    for one in leaves:
        records.see(one)
    return found(records.checks("acme", LOG, ORIGIN))


def test_a_log_in_order_has_no_findings() -> None:
    assert problems(opening(), leaf(1), leaf(2, time=1)) == {}


def test_records_that_queued_together_may_stand_out_of_order() -> None:
    records = Records()
    for one in (opening(), leaf(1, time=SLACK_US), leaf(2, time=7), leaf(3, time=SLACK_US - 5)):
        records.see(one)
    told = {check.name: check for check in records.checks("acme", LOG, ORIGIN)}
    assert told["order"].ok
    assert told["order"].detail == f"time never goes back; 2 records queued, by up to {SLACK_US - 7} us"


@pytest.mark.parametrize("first", [leaf(0), leaf(0, "opened", "2", run="-"), leaf(0, "opened", "log", run="r-1")])
def test_a_log_begins_with_its_opening(first: Leaf) -> None:
    assert problems(first) == {"opening": ("the first record does not open the log",)}


@pytest.mark.parametrize("facts", [{"log": "other"}, {"origin": "desk/t/other"}, {"log": 5}])
def test_a_log_opens_under_its_own_names(facts: dict[str, Any]) -> None:
    assert list(problems(opening(**facts))) == ["opening"]


def test_nothing_is_no_log() -> None:
    assert list(problems()) == ["opening"]


def test_a_log_opens_once() -> None:
    assert "a second time" in problems(opening(), leaf(1, "opened", "log2", run="-"))["opening"][0]


def test_an_id_is_there_once() -> None:
    assert "there already" in problems(opening(), leaf(1, path="1"), leaf(2, path="1"))["records"][0]


@pytest.mark.promise("journal-time-never-goes-back")
def test_time_never_goes_back() -> None:
    assert "earlier" in problems(opening(), leaf(1, time=9 + SLACK_US), leaf(2, time=8))["order"][0]


def test_a_record_of_another_tenant_is_named() -> None:
    assert "of the tenant other" in problems(opening(), leaf(1, tenant="other"))["records"][0]


def test_a_record_that_cannot_be_read_is_counted() -> None:
    records = Records()
    records.see(opening())
    records.unread(1, "it is not JSON")
    assert found(records.checks("acme", LOG, ORIGIN)) == {"records": ("record 1 cannot be read: it is not JSON",)}


def test_an_epoch_a_gap_and_an_erasure_are_boundaries() -> None:
    records = Records()
    for one in (opening(previous="desk/t/acme at 17"), leaf(1, "gap"), leaf(2, "erasure")):
        records.see(one)
    assert found(records.checks("acme", LOG, ORIGIN)) == {}
    assert [b.partition(":")[0] for b in records.boundaries] == [
        "records are missing by the log's own account", "payloads were erased", "the log opens with previous",
    ]  # fmt: skip


@pytest.mark.promise("api-routes")
@pytest.mark.parametrize(
    ("route", "wrong"),
    [
        ({"candidates": ["a", "b"], "chosen": "a"}, ""),
        ({"candidates": ["a", "b"], "chosen": "b"}, "a stands before it"),
        ({"candidates": ["a", "b"], "chosen": "b", "left_out": {"a": ["policy"]}}, ""), ("a", "it is no choice"),
        ({"candidates": ["a", "b"], "chosen": "b", "tried": ["a"]}, ""), ({"chosen": 5}, "it is no choice"),
    ],
)  # fmt: skip
def test_the_choice_of_a_model_follows_from_what_is_recorded_with_it(route: Any, wrong: str) -> None:
    told = problems(opening(), leaf(1, "intent", facts={"route": route}))
    assert told == (
        {"records": (f"r-1/1/0/intent: the choice of its model does not follow: {wrong}",)} if wrong else {}
    )
