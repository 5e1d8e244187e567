"""A journal that goes on while it is verified is not taken for one that was edited."""

from __future__ import annotations

from itertools import repeat
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyball.testing import Lab
from flyball.verify import stored
from tests.verify.living import ever_later, rooms, verified

Lived = tuple[Lab, list[Any]]


@pytest.mark.promise("journal-verified-while-it-grows")
@settings(max_examples=60)
@given(st.randoms(use_true_random=False), st.sampled_from([1, 2, 3, 7, 1024]))
def test_whatever_happens_between_two_looks_is_no_difference(living: Lived, chance: Random, portion: int) -> None:
    bench, moments = living
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stored, "PORTION", portion)
        later = iter(lambda: chance.choice([0, 0, 1, 2, 5, 20]), None)
        assert verified(rooms(bench), ever_later(moments, later)) == {}


def test_every_moment_alone_is_in_order(living: Lived) -> None:
    bench, moments = living
    for moment in moments:
        assert verified(rooms(bench), ever_later([moment], repeat(0))) == {}


class Short:
    """A view that ends after a few questions."""

    def __init__(self, view: Any, questions: int) -> None:
        self._view, self._left = view, questions

    def __getattr__(self, name: str) -> Any:
        self._left -= 1
        assert self._left >= 0, "this view of the journal has ended"
        return getattr(self._view, name)


def test_no_view_is_asked_for_more_than_a_portion(living: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION", 4)
    bench, moments = living
    assert verified(rooms(bench), lambda: Short(moments[-1], 7)) == {}
