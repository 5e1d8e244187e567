"""Step paths are places in the log: a branch's prefix and an ordinal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.steps import START, after, bare, child, gaps, generation_of, parent, root, start

ORDINALS = st.integers(0, 10**6)
PREFIXES = st.builds(
    lambda generation, rest: ".".join([*filter(None, [root(generation)]), *map(str, rest)]),
    st.integers(1, 4), st.lists(st.integers(1, 99), max_size=4),
)  # fmt: skip


@pytest.mark.promise("journal-paths-do-not-collide")
@given(PREFIXES, ORDINALS)
def test_a_child_belongs_to_its_branch(prefix: str, ordinal: int) -> None:
    assert parent(child(prefix, ordinal)) == prefix


@pytest.mark.promise("journal-paths-do-not-collide")
@given(st.tuples(PREFIXES, ORDINALS), st.tuples(PREFIXES, ORDINALS))
def test_two_places_never_share_a_path(a: tuple[str, int], b: tuple[str, int]) -> None:
    assert (child(*a) == child(*b)) == (a == b)


@given(PREFIXES, ORDINALS, st.sampled_from(["!1", "~2", "#3", "?", "!1#2", "#1?"]))
def test_a_suffix_does_not_change_the_place(prefix: str, ordinal: int, suffix: str) -> None:
    path = child(prefix, ordinal)
    assert bare(path) == path == bare(path + suffix)


def test_each_generation_starts_a_history_of_its_own() -> None:
    assert [start(n) for n in (1, 2, 3)] == [START, "@2.0", "@3.0"]


@given(st.integers(1, 99), st.lists(st.integers(1, 99), min_size=1, max_size=3))
def test_a_path_knows_its_generation(generation: int, rest: list[int]) -> None:
    path = root(generation)
    for ordinal in rest:
        path = child(path, ordinal)
    assert generation_of(path) == root(generation)


@given(PREFIXES, ORDINALS, ORDINALS)
def test_a_later_step_is_one_of_the_same_branch_with_a_higher_ordinal(prefix: str, a: int, b: int) -> None:
    assert after(child(prefix, a), frozenset({child(prefix, b)})) == (b > a)


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("3", {"4.1", "2", "3.9"}),
        ("5.1", {"6.2", "7", "@2.5.2"}),
        ("1", {"x"}),
        ("#now1", {"2"}),
        ("9", set()),
        ("1", {"@2.2"}),
    ],
)
def test_other_branches_and_marks_are_no_later_steps(path: str, others: set[str]) -> None:
    assert not after(path, frozenset(others))


@pytest.mark.parametrize(
    ("paths", "missing"),
    [
        ([], []), (["1", "2", "2.1"], []), (["2"], ["1"]), (["1.2"], ["1.1"]), (["@2.1", "@2.3", "1"], ["@2.2"]),
        (["0", "@2.0"], []), (["1~9", "2!1", "3#1", "4?"], []), (["", "x", "1.x"], []), (["9" * 40], []), (["²"], []),
    ],
)  # fmt: skip
def test_gaps_are_the_first_missing_step_under_each_parent(paths: list[str], missing: list[str]) -> None:
    assert gaps(paths) == missing
