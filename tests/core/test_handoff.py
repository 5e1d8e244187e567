"""With whom the work lies once a run is over."""

from __future__ import annotations

import pytest

from flyball.core.handoff import ending, next_turn


@pytest.mark.parametrize(
    ("handed", "agent"),
    [
        ({}, ""),
        ({"2": "a"}, "a"),
        ({"10": "b", "9": "a"}, "b"),
        ({"2": "a", "2.3": "b", "2.1": "c"}, "b"),
        ({"2": "a", "3": "b", "2.3": "c"}, "b"),
        ({"@2.1": "a", "@2.1.4": "b"}, "b"),
        ({"2.1": "inside a part of the work"}, ""),
        ({"1": "a", "2.1": "inside a part of the work"}, "a"),
    ],
)
def test_the_work_lies_with_whom_took_it_last_and_handed_it_on_to_nobody(handed: dict[str, str], agent: str) -> None:
    assert next_turn(handed) == agent


def test_only_what_ended_well_names_who_is_next() -> None:
    assert ending("completed", {"2": "a"}) == {"reason": "completed", "ok": True, "next": "a"}
    assert ending("completed", {}) == {"reason": "completed", "ok": True}
    assert ending("policy_denied", {"2": "a"}) == {"reason": "policy_denied", "ok": False}
