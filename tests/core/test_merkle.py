from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    NewNode,
    NodeGetter,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    leaf_hash,
    new_nodes,
    node_hash,
    root_from_leaves,
    verify_consistency,
    verify_inclusion,
)
from flyball.core.merkle import (
    grown as grown_by,
)
from tests import vectors

MERKLE = ("transparency-dev_merkle", "testdata")
LEAVES = [leaf_hash(index.to_bytes(2, "big")) for index in range(300)]
sizes = st.integers(1, 300)


def grown(size: int) -> tuple[Frontier, NodeGetter]:
    frontier, nodes = Frontier(), dict[tuple[int, int], bytes]()
    for leaf in LEAVES[:size]:
        frontier, new = new_nodes(frontier, leaf)
        nodes.update({(level, index): digest for level, index, digest in new})
    return frontier, lambda level, index: nodes[level, index]


def recursive_root(leaves: list[bytes]) -> bytes:
    # MTH of RFC 6962 section 2.1, word for word.
    if len(leaves) <= 1:
        return leaves[0] if leaves else EMPTY_ROOT
    k = max(1 << bit for bit in range(10) if 1 << bit < len(leaves))
    return node_hash(recursive_root(leaves[:k]), recursive_root(leaves[k:]))


def hashes(encoded: list[str] | None) -> list[bytes]:
    return [base64.b64decode(item) for item in encoded or []]


@given(sizes, st.integers(0, 300))
def test_the_nodes_of_a_tree_give_every_earlier_frontier(size: int, earlier: int) -> None:
    _, node = grown(size)
    assert frontier_at(min(earlier, size), node) == grown(min(earlier, size))[0]


@pytest.mark.promise("journal-verified-offline")
@pytest.mark.parametrize("file", vectors.files(*MERKLE, "inclusion"))
def test_inclusion_verifies_as_transparency_dev_says(file: Path) -> None:
    case = vectors.read(file)
    leaf, root = hashes([case["leafHash"], case["root"]])
    holds = verify_inclusion(case["leafIdx"], case["treeSize"], leaf, hashes(case["proof"]), root)
    assert holds is not case["wantErr"]


@pytest.mark.promise("journal-verified-offline")
@pytest.mark.parametrize("file", vectors.files(*MERKLE, "consistency"))
def test_consistency_verifies_as_transparency_dev_says(file: Path) -> None:
    case = vectors.read(file)
    first, second = hashes([case["root1"], case["root2"]])
    holds = verify_consistency(case["size1"], case["size2"], first, second, hashes(case["proof"]))
    assert holds is not case["wantErr"]


def test_the_transparency_dev_suites_are_whole() -> None:
    for suite in ("inclusion", "consistency"):
        assert len(list(vectors.path(*MERKLE, suite).rglob("*.json"))) == 98


def test_hashes_have_the_known_values() -> None:
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


def test_a_leaf_never_hashes_as_a_node() -> None:
    left, right = LEAVES[:2]
    assert leaf_hash(left + right) != node_hash(left, right)


@given(st.integers(0, 300))
def test_every_way_to_a_root_agrees(size: int) -> None:
    leaves = LEAVES[:size]
    assert grown(size)[0].root() == root_from_leaves(leaves) == recursive_root(leaves)


def test_append_gives_the_frontier_of_new_nodes() -> None:
    frontier = grown(7)[0]
    assert frontier.append(LEAVES[7]) == new_nodes(frontier, LEAVES[7])[0]
    assert frontier.size == 7


@given(sizes)
def test_the_new_nodes_of_all_appends_are_the_complete_subtrees_once_each(size: int) -> None:
    frontier, found = Frontier(), list[tuple[int, int]]()
    for leaf in LEAVES[:size]:
        frontier, new = new_nodes(frontier, leaf)
        found += [(level, index) for level, index, _ in new]
    assert sorted(found) == [(level, index) for level in range(9) for index in range(size >> level)]


def test_several_leaves_at_once_grow_the_tree_as_one_by_one() -> None:
    frontier, found = Frontier(), list[NewNode]()
    for leaf in LEAVES[:11]:
        frontier, new = new_nodes(frontier, leaf)
        found += new
    first, earlier = grown_by(Frontier(), LEAVES[:3])
    assert grown_by(first, ()) == (first, [])
    second, later = grown_by(first, LEAVES[3:11])
    assert (second, earlier + later) == (frontier, found)


@pytest.mark.parametrize(("size", "count"), [(-1, 1), (0, 1), (3, 1), (4, 2)])
def test_a_frontier_with_the_wrong_number_of_hashes_is_refused(size: int, count: int) -> None:
    with pytest.raises(FlyballError) as refused:
        Frontier(size=size, hashes=(EMPTY_ROOT,) * count)
    assert refused.value.code == "bad_frontier"


@given(sizes, st.data())
def test_a_generated_inclusion_proof_verifies_for_its_leaf_only(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    frontier, node = grown(size)
    proof = inclusion_proof(index, size, node)
    assert verify_inclusion(index, size, LEAVES[index], proof, frontier.root())
    for other in (index - 1, index + 1):
        assert not verify_inclusion(other, size, LEAVES[index], proof, frontier.root())
    assert not verify_inclusion(index, size, leaf_hash(b"forged"), proof, frontier.root())


@given(st.lists(sizes, min_size=2, max_size=2).map(sorted))
def test_a_generated_consistency_proof_verifies_for_its_trees_only(pair: list[int]) -> None:
    first, second = pair
    (old, _), (new, node) = grown(first), grown(second)
    proof = consistency_proof(first, second, node)
    assert verify_consistency(first, second, old.root(), new.root(), proof)
    forged = root_from_leaves([leaf_hash(b"forged"), *LEAVES[1:first]])
    assert not verify_consistency(first, second, forged, new.root(), proof)


def mutations(proof: tuple[bytes, ...]) -> Iterator[list[bytes]]:
    for at, item in enumerate(proof):
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[:at], bytes([item[0] ^ 1]) + item[1:], *proof[at + 1 :]]
        yield [*proof[:at], item[:-1], *proof[at + 1 :]]
    yield [*proof, EMPTY_ROOT]
    yield [EMPTY_ROOT, *proof]


@pytest.mark.parametrize("size", range(1, 20))
def test_a_changed_proof_never_verifies(size: int) -> None:
    frontier, node = grown(20)
    for changed in mutations(inclusion_proof(size, 20, node)):
        assert not verify_inclusion(size, 20, LEAVES[size], changed, frontier.root())
    old = grown(size)[0].root()
    for changed in mutations(consistency_proof(size, 20, node)):
        assert not verify_consistency(size, 20, old, frontier.root(), changed)


def test_the_proof_examples_of_rfc_6962_section_2_1_3() -> None:
    node = grown(7)[1]
    h, i, j = node(1, 1), node(1, 2), LEAVES[6]
    g, k, l = node(1, 0), node(2, 0), node_hash(node(1, 2), LEAVES[6])  # noqa: E741
    assert inclusion_proof(0, 7, node) == (LEAVES[1], h, l)
    assert inclusion_proof(3, 7, node) == (LEAVES[2], g, l)
    assert inclusion_proof(4, 7, node) == (LEAVES[5], j, k)
    assert inclusion_proof(6, 7, node) == (i, k)
    assert consistency_proof(3, 7, node) == (LEAVES[2], LEAVES[3], g, l)
    assert consistency_proof(4, 7, node) == (l,)
    assert consistency_proof(6, 7, node) == (i, j, k)


def test_proofs_read_complete_subtrees_only_and_few_of_them() -> None:
    asked, node = list[tuple[int, int]](), grown(299)[1]

    def counting(level: int, index: int) -> bytes:
        asked.append((level, index))
        return node(level, index)

    inclusion_proof(0, 299, counting)
    assert len(asked) <= 18


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (0, 0), (1, 1), (5, 3)])
def test_there_is_no_inclusion_proof_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(FlyballError) as refused:
        inclusion_proof(index, size, grown(1)[1])
    assert refused.value.code == "no_proof"


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 3), (3, 2), (-1, 2)])
def test_there_is_no_consistency_proof_from_nothing_or_backwards(first: int, second: int) -> None:
    with pytest.raises(FlyballError) as refused:
        consistency_proof(first, second, grown(3)[1])
    assert refused.value.code == "no_proof"


def test_a_tree_is_consistent_with_itself_by_an_empty_proof() -> None:
    frontier, node = grown(6)
    assert consistency_proof(6, 6, node) == ()
    assert verify_consistency(6, 6, frontier.root(), frontier.root(), ())


def test_a_proof_longer_than_the_tree_is_high_does_not_verify() -> None:
    frontier, node = grown(8)
    proof = (*inclusion_proof(0, 8, node), *[EMPTY_ROOT] * 10_000)
    assert not verify_inclusion(0, 8, LEAVES[0], proof, frontier.root())


def test_bytes_moved_from_a_proof_into_a_root_do_not_verify() -> None:
    left, right = LEAVES[:2]
    root = node_hash(left, right)
    assert verify_consistency(1, 2, left, root, [right])
    assert not verify_consistency(1, 2, left + right[:1], root, [right[1:]])
    assert not verify_inclusion(0, 2, left + right[:1], [right[1:]], root)
