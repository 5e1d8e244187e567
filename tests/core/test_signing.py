from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.merkle import Frontier, leaf_hash
from flyball.core.signing import PORTION, Signed, continued

LEAVES = [leaf_hash(index.to_bytes(4, "big")) for index in range(2 * PORTION + 3)]


def grown(size: int, leaves: Sequence[bytes] = LEAVES) -> Frontier:
    frontier = Frontier()
    for leaf in leaves[:size]:
        frontier = frontier.append(leaf)
    return frontier


def shown(leaves: Sequence[bytes] = LEAVES) -> Callable[[int, int], Sequence[bytes]]:
    return lambda start, end: leaves[start:end]


def refusal(last: Signed, origin: str, frontier: Frontier, leaves: Sequence[bytes] = LEAVES) -> str:
    with pytest.raises(FlyballError) as refused:
        continued(last, origin, frontier, shown(leaves))
    return refused.value.code


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_log_that_goes_on_is_signed_at_its_head(first: int, more: int) -> None:
    last = Signed(origin="a/t/b", frontier=grown(first))
    signed, checkpoint = continued(last, "a/t/b", grown(first + more), shown())
    assert signed == Signed(origin="a/t/b", frontier=grown(first + more))
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == ("a/t/b", first + more, signed.frontier.root())


def test_a_long_log_is_read_in_portions() -> None:
    asked: list[tuple[int, int]] = []

    def leaves(start: int, end: int) -> Sequence[bytes]:
        asked.append((start, end))
        return LEAVES[start:end]

    continued(Signed(), "a/t/b", grown(len(LEAVES)), leaves)
    assert asked == [(0, PORTION), (PORTION, 2 * PORTION), (2 * PORTION, 2 * PORTION + 3)]


def test_a_shorter_log_is_a_rollback() -> None:
    assert refusal(Signed(origin="o", frontier=grown(5)), "o", grown(4)) == "signer_ahead"


@pytest.mark.parametrize("at", [0, 4, 6])
def test_a_changed_leaf_is_noticed_wherever_it_is(at: int) -> None:
    forged = [*LEAVES[:at], leaf_hash(b"forged"), *LEAVES[at + 1 :]]
    assert refusal(Signed(origin="o", frontier=grown(5)), "o", grown(9, forged), LEAVES) == "history_changed"
    if at < 5:
        assert refusal(Signed(origin="o", frontier=grown(5)), "o", grown(9, forged), forged) == "history_changed"


def test_the_same_size_with_another_root_is_another_history() -> None:
    forged = [leaf_hash(b"forged"), *LEAVES[1:]]
    assert refusal(Signed(origin="o", frontier=grown(5)), "o", grown(5, forged)) == "history_changed"


@pytest.mark.parametrize("leaves", [LEAVES[:6], [*LEAVES[:6], b"short", *LEAVES[7:]]])
def test_leaves_that_are_missing_or_no_hashes_prove_nothing(leaves: Sequence[bytes]) -> None:
    assert refusal(Signed(origin="o", frontier=grown(5)), "o", grown(9), leaves) == "history_changed"


def test_a_log_never_changes_its_origin() -> None:
    assert refusal(Signed(origin="o", frontier=grown(5)), "p", grown(5)) == "wrong_origin"
