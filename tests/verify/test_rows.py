"""A row that is otherwise than its leaves say is found, whatever is changed in it: each case is one of the checks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from flyball.core.budget import Amounts
from flyball.core.journal import (
    BlobRow,
    BudgetRow,
    BundleRow,
    CheckpointRow,
    ClaimRow,
    EpochRow,
    Hold,
    HoldRow,
    KeyRow,
    PendingRow,
    RunRow,
)
from flyball.testing import Lab
from tests.verify.living import Spoiled, rooms, verified

Lived = tuple[Lab, list[Any]]
HOUR = 3_600_000_000
ENDED, WAITING = {"state": "ended"}, {"state": "waiting"}
APPROVAL, USED = {"kind": "approval", "state": "open"}, {"kind": "approval", "state": "consumed"}
QUESTION, UNKNOWN = {"kind": "question", "state": "open"}, {"kind": "unknown", "state": "open"}
REJECTED = {"kind": "approval", "state": "rejected"}
OTHERWISE = "is not as the log says"


def row_of(living: Lived, kind: Any, where: dict[str, Any]) -> Any:
    rows = living[1][-1].rows(kind)
    return next(row for row in rows if all(getattr(row, name) == value for name, value in where.items()))


def found(living: Lived, kind: Any, change: Any) -> str:
    """What is found where the rows of a kind are other ones."""
    bench, moments = living

    def pages(true: list[Any], asked: Any, *_: Any, **__: Any) -> list[Any]:
        return change(true) if asked is kind else true

    def one(true: Any, asked: Any, id: str) -> Any:
        return next((row for row in pages(moments[-1].rows(asked), asked) if row.id == id), None)

    def page(true: list[Any], asked: Any, after: str, limit: int) -> list[Any]:
        return [row for row in pages(moments[-1].rows(asked), asked) if row.id > after][:limit]

    view = Spoiled(moments[-1], page=page, rows=pages, row=one)
    return verified(rooms(bench), lambda: view).get("rows", "")


@pytest.mark.parametrize(
    ("kind", "where", "changes"),
    [
        *[(RunRow, ENDED, {name: "other"}) for name in ("kind", "what", "parent", "release", "reason", "state")],
        (RunRow, ENDED, {"since": 1_000_000}), (RunRow, ENDED, {"ended": 1}), (RunRow, ENDED, {"started": 1}),
        (RunRow, ENDED, {"state": "running"}), (RunRow, WAITING, {"state": "ended"}), (RunRow, WAITING, {"epoch": 9}),
        (RunRow, WAITING, {"ended": 5}), (RunRow, WAITING, {"started": 1}), (RunRow, WAITING, {"reason": "completed"}),
        *[(PendingRow, APPROVAL, {name: "other"}) for name in ("run", "path", "kind", "record", "over", "intent")],
        *[(PendingRow, APPROVAL, {"state": state}) for state in
          ("consumed", "granted", "rejected", "expired", "void", "x")],
        *[(PendingRow, USED, {"state": state}) for state in ("open", "granted", "rejected", "void")],
        (PendingRow, APPROVAL, {"counts": ()}), (PendingRow, QUESTION, {"counts": ()}),
        (PendingRow, APPROVAL, {"state": "void", "version": 2}), (PendingRow, REJECTED, {"state": "open"}),
        (PendingRow, APPROVAL, {"version": 5}), (PendingRow, APPROVAL, {"expires": 5}),
        (PendingRow, APPROVAL, {"policies": ("x",)}), (PendingRow, APPROVAL, {"groups": ()}),
        (PendingRow, APPROVAL, {"given": ({"by": "ab"},)}), (PendingRow, QUESTION, {"default": "allow"}),
        (PendingRow, QUESTION, {"groups": ("project/all",)}), (PendingRow, UNKNOWN, {"groups": ("project/all",)}),
        (PendingRow, UNKNOWN, {"intent": "other"}), (PendingRow, QUESTION, {"state": "consumed"}),
        (KeyRow, {}, {"groups": ("owner",)}), (KeyRow, {}, {"public": "x"}), (KeyRow, {}, {"person": "user:eve"}),
        (KeyRow, {"revoked": 0}, {"revoked": HOUR}), (KeyRow, {"person": "user:noor"}, {"revoked": 0}),
        (BundleRow, {}, {"digest": "ab"}), (BundleRow, {}, {"name": "x"}), (BundleRow, {}, {"activated": 1}),
        (HoldRow, {}, {"holds": (Hold(node="n", amounts=Amounts(effects=9)),)}), (ClaimRow, {}, {"owner": "other"}),
        (EpochRow, {"id": "policy"}, {"value": 9}), (EpochRow, {"id": "directory"}, {"value": 0}),
    ],
)  # fmt: skip
def test_a_row_says_what_its_leaves_say(living: Lived, kind: Any, where: Any, changes: dict[str, Any]) -> None:
    row = row_of(living, kind, where)
    told = found(living, kind, lambda true: [replace(one, **changes) if one is row else one for one in true])
    assert f"{row.id} {OTHERWISE}" in told


@pytest.mark.parametrize("kind", [RunRow, PendingRow, KeyRow, BundleRow, HoldRow, ClaimRow, EpochRow, BlobRow])
def test_a_row_that_is_gone_is_missed(living: Lived, kind: Any) -> None:
    where = {"id": "policy"} if kind is EpochRow else {}
    row = row_of(living, kind, where)
    assert f"{row.id} is gone" in found(living, kind, lambda true: [one for one in true if one.id != row.id])


@pytest.mark.parametrize("kind", [RunRow, PendingRow, KeyRow, BundleRow, HoldRow, ClaimRow, EpochRow])
def test_a_row_of_no_leaf_is_told(living: Lived, kind: Any) -> None:
    where = {"id": "policy"} if kind is EpochRow else {}
    row = row_of(living, kind, where)
    told = found(living, kind, lambda true: [*true, replace(row, id="~more")] if true else true)
    assert "~more is in no leaf" in told


def test_a_row_that_is_found_by_two_ids_is_told(living: Lived) -> None:
    assert "is there twice" in found(living, RunRow, lambda true: [true[0], *true])


@pytest.mark.parametrize(
    ("id", "changes", "why"),
    [
        ("run/", {"spent": Amounts(steps=99)}, "is not what its outcomes used"),
        ("run/", {"reserved": Amounts(steps=99)}, "has reserved what no reservation says"),
        ("run/", {"id": "run/other"}, "is not what its outcomes used"),
    ],
)
def test_a_budget_is_what_its_outcomes_used_and_its_actions_hold(
    living: Lived, id: str, changes: dict[str, Any], why: str
) -> None:
    row = next(row for row in living[1][-1].rows(BudgetRow) if row.id.startswith(id) and row.spent != Amounts())
    assert why in found(
        living, BudgetRow, lambda true: [replace(one, **changes) if one is row else one for one in true]
    )
    assert f"{row.id} is gone" in found(living, BudgetRow, lambda true: [one for one in true if one is not row])


def test_what_no_reservation_holds_is_not_reserved(living: Lived) -> None:
    assert "has reserved what no reservation says" in found(living, HoldRow, lambda true: [])


def test_a_checkpoint_is_of_this_log_at_its_size(living: Lived) -> None:
    first, last = living[1][-1].rows(CheckpointRow)[:: len(living[1][-1].rows(CheckpointRow)) - 1]

    def told(**changes: Any) -> str:
        return found(living, CheckpointRow, lambda true: [replace(o, **changes) if o is first else o for o in true])

    assert "is not of this log at that size" in told(note=last.note)
    assert "is refused" in told(note=first.note.replace("\n", "\n1", 1)) and "is refused" in told(note="")


def test_content_is_what_its_digest_says(living: Lived) -> None:
    row = living[1][-1].rows(BlobRow)[0]
    changed = replace(row, content=row.content + b" ")
    assert "is another one" in found(living, BlobRow, lambda true: [changed if o is row else o for o in true])
