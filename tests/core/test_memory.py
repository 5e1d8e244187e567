"""Memory: its records, what may be asked, and how memories are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from flyball.core.errors import FlyballError
from flyball.core.memory import (
    LEAVING,
    LONGEST,
    MAX_ABOUT,
    RECALL,
    REMEMBER,
    Kept,
    Memory,
    Recall,
    Recalled,
    Recalling,
    Remembered,
    Skipped,
    Written,
    _signature,
    flagged,
    remembering,
    told,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEPT = Kept(
    id="m-1", text="Kim drinks tea", about="drinks", scope="user", owner="o", by="b", source="flow f",
    origin="request", trusted=True, sensitivity="internal", created=NOW, expires=NOW + DAY,
)  # fmt: skip
TOLD = Memory(
    id="m-1", text="Kim drinks tea", about="drinks", scope="user", source="flow f", origin="request",
    sensitivity="internal", created=NOW, expires=NOW + DAY, score=0.8, trusted=True,
)  # fmt: skip


def test_a_memory_is_told_without_whose_it_is() -> None:
    assert told(KEPT, 0.8) == TOLD


def test_whoever_remembers_is_told_what_became_of_it() -> None:
    assert Written(kept=KEPT, contradicts=("m-2",)).told == Remembered(
        id="m-1", expires=NOW + DAY, contradicts=("m-2",)
    )
    assert Written(skipped=Skipped(reason="secret")).told == Skipped(reason="secret")
    assert Written().told == Skipped(reason="erased")


def test_the_best_come_first_and_of_equal_ones_the_younger() -> None:
    younger, worse = replace(TOLD, id="m-2", created=NOW + DAY), replace(TOLD, id="m-3", score=0.7)
    assert Recalled(trusted=(TOLD, younger), untrusted=(worse,)).memories == [younger, TOLD, worse]


def test_memories_about_the_same_that_say_something_else_are_marked() -> None:
    other, same = replace(TOLD, id="m-2", text="Kim drinks coffee"), replace(TOLD, id="m-3", about="work")
    assert [m.conflict for m in flagged([TOLD, other, same])] == [True, True, False]
    assert [m.conflict for m in flagged([TOLD, replace(TOLD, id="m-4", text="KIM drinks tea.")])] == [False, False]


@pytest.mark.parametrize(
    "wrong",
    [
        {"scope": "world"},
        {"sensitivity": "secret"},
        {"ttl": timedelta(0)},
        {"ttl": LONGEST + DAY},
        {"about": " ?"},
        {"about": "a" * (MAX_ABOUT + 1)},
    ],
)
def test_what_no_memory_can_be_is_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"text": "t", "about": "a", "ttl": DAY, "sensitivity": "public", "scope": "user"}
    assert remembering(**right).seconds == 86_400
    with pytest.raises(FlyballError) as refused:
        remembering(**{**right, **wrong})
    assert refused.value.code == "bad_memory"


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_k": 0}, {"top_k": 51}, {"top_k": True}, {"min_score": 1.1}, {"min_score": "0.7"}, {"scopes": ()},
        {"scopes": ("world",)}, {"scopes": "user"}, {"tokens": 0},
    ],
)  # fmt: skip
def test_what_nobody_can_recall_by_is_refused(wrong: dict[str, Any]) -> None:
    assert Recall(scopes=("user", "tenant")).top_k == 4
    with pytest.raises(FlyballError) as refused:
        Recall(**wrong)
    assert refused.value.code == "bad_memory"


def test_the_arguments_of_an_action_are_a_schema_of_their_own() -> None:
    made = _signature(Recalling, Recalled, frozenset())
    assert made.names == ("query", "scope", "top_k", "least") and made.digest == RECALL.schema_digest
    assert REMEMBER.schema_digest != RECALL.schema_digest


def test_remembering_can_be_taken_back_and_recalling_is_a_read() -> None:
    assert (REMEMBER.effect, REMEMBER.idempotency) == ("reversible", "key")
    assert RECALL.pure_read and not LEAVING["recall"].pure_read
