from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.merkle import Frontier, leaf_hash, new_nodes
from flyball.core.signing import PORTION, Signed, by_origin, check_log, check_standing, continued

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


@pytest.mark.parametrize("signed", ["", "log-1"])
def test_an_origin_goes_on_with_the_log_it_was_signed_for(signed: str) -> None:
    check_log("log-1", "a/t/b", signed)


@pytest.mark.parametrize("log", ["", "log-2"])
def test_an_origin_is_never_signed_for_a_second_log(log: str) -> None:
    with pytest.raises(FlyballError) as refused:
        check_log(log, "a/t/b", "log-1")
    assert (refused.value.code, refused.value.data) == ("other_log", {"signed": "log-1", "found": log})
    assert "[signer] file" in refused.value.fix


def test_the_first_log_of_an_origin_is_its_own() -> None:
    assert by_origin({"1": "a", "2": "b", "3": "a"}) == {"a": "1", "b": "2"}


def tree_of(leaves: Sequence[bytes]) -> dict[tuple[int, int], bytes]:
    frontier, nodes = Frontier(), {}
    for leaf in leaves:
        frontier, made = new_nodes(frontier, leaf)
        nodes |= {(level, index): digest for level, index, digest in made}
    return nodes


def standing(last: Frontier, frontier: Frontier, nodes: dict[tuple[int, int], bytes]) -> str:
    try:
        check_standing(last, frontier, lambda level, index: nodes[level, index])
    except FlyballError as refused:
        return refused.code
    return ""


@given(st.integers(0, 70), st.integers(0, 70))
def test_a_stored_tree_stands_where_it_goes_on_from_what_was_signed(signed: int, size: int) -> None:
    expected = "" if signed <= size else "signer_ahead"
    assert standing(grown(signed), grown(size), tree_of(LEAVES[:size])) == expected


@given(st.integers(1, 70), st.integers(0, 70), st.data())
def test_a_stored_tree_of_another_history_does_not_stand(signed: int, more: int, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, signed - 1))
    forged = [*LEAVES[:at], leaf_hash(b"forged"), *LEAVES[at + 1 :]]
    size = signed + more
    assert standing(grown(signed), grown(size, forged), tree_of(forged[:size])) == "history_changed"


def test_a_tree_with_a_missing_node_does_not_stand() -> None:
    nodes = tree_of(LEAVES[:6])
    del nodes[2, 0]
    assert standing(grown(0), grown(6), nodes) == "history_changed"
