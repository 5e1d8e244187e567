from __future__ import annotations

from typing import get_args

from flyball.core.kinds import KINDS, Kind


def test_no_kind_is_there_twice() -> None:
    assert len(get_args(Kind)) == len(KINDS)


def test_the_kinds_that_evaluation_will_need_are_reserved() -> None:
    assert {"score", "label", "feedback", "signal", "turn", "run_moved"} <= KINDS


def test_a_kind_is_a_word_that_fits_into_a_step_key() -> None:
    assert all(kind.replace("_", "").isalpha() and kind.islower() for kind in KINDS)
