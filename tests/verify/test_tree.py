from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_from_leaves
from flyball.core.tiles import tile_bytes, tiles_for
from flyball.verify.tree import Tree

LEAVES = [leaf_hash(index.to_bytes(2, "big")) for index in range(300)]


@given(st.integers(0, 300), st.data())
def test_every_beginning_has_the_root_of_its_leaves(size: int, data: st.DataObject) -> None:
    tree = Tree()
    split = data.draw(st.integers(0, size))
    tree.add(LEAVES[:split])
    tree.add(iter(LEAVES[split:size]))
    first = data.draw(st.integers(0, size))
    assert tree.size == size
    assert tree.root(first) == root_from_leaves(LEAVES[:first])


def test_an_empty_tree_has_the_empty_root() -> None:
    assert Tree().root(0) == EMPTY_ROOT


@pytest.mark.parametrize("size", [1, 2, 255, 256, 300])
def test_tiles_and_frontier_are_those_of_the_leaves_however_they_came(size: int) -> None:
    tree, frontier = Tree(), Frontier()
    for leaf in LEAVES[:size]:
        tree.add([leaf])
        frontier = frontier.append(leaf)
    assert tree.frontier(size) == frontier
    assert [tree.tile(tile) for tile in tiles_for(size)] == [tile_bytes(tile, tree.node) for tile in tiles_for(size)]
