from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyball.core.merkle import EMPTY_ROOT, leaf_hash, root_from_leaves
from flyball.verify.tree import Tree

LEAVES = [leaf_hash(index.to_bytes(2, "big")) for index in range(300)]


@given(st.integers(0, 300), st.data())
def test_every_beginning_has_the_root_of_its_leaves(size: int, data: st.DataObject) -> None:
    tree = Tree()
    split = data.draw(st.integers(0, size))
    tree.add(LEAVES[:split])
    tree.add(iter(LEAVES[split:size]))
    tree.grow()
    first = data.draw(st.integers(0, size))
    assert tree.size == size
    assert tree.root(first) == root_from_leaves(LEAVES[:first])


def test_an_empty_tree_has_the_empty_root() -> None:
    tree = Tree()
    tree.grow()
    assert tree.root(0) == EMPTY_ROOT
