"""How far the clock was set forward, as this process and the log know."""

from __future__ import annotations

import msgspec
import pytest

from flyball.core.journal import Stored
from flyball.core.jumps import ahead
from flyball.core.kinds import Kind


def noted(at: int, by: int, kind: Kind = "clock_set") -> Stored:
    leaf = msgspec.json.encode({"facts": {"at": at, "by": by}})
    return Stored(index=0, id="", kind=kind, run="-", path="", attempt=0, time=at, leaf=leaf, payload=None)


@pytest.mark.promise("journal-clock-jumps-ask")
def test_what_was_seen_and_noted_counts_once() -> None:
    assert ahead([(5, 100)], 0, [noted(5, 100), noted(7, 30)]) == 130


def test_what_came_before_or_went_back_or_is_no_jump_does_not_count() -> None:
    assert ahead([(5, 100), (9, -7)], 5, [noted(4, 30), noted(9, 9, "opened")]) == 0
