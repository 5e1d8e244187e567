"""The Merkle tree of RFC 6962: roots, a frontier that grows by one leaf, proofs and their verification.

Rules:

* Hashes are SHA-256 with the prefixes of RFC 6962 section 2.1: 0x00 for a leaf, 0x01 for a node.
* A node ``(level, index)`` is the root of the complete subtree over leaves ``index << level`` up to
  ``(index + 1) << level``; it never changes. What is incomplete is computed from such nodes, never stored.
* Verification answers True or False and never raises, whatever it is handed.
* Nothing is consistent with an empty tree by proof: a first size of 0 proves nothing and does not verify.

>>> root_from_leaves([leaf_hash(b"a"), leaf_hash(b"b")]) == node_hash(leaf_hash(b"a"), leaf_hash(b"b"))
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from flyball.core.errors import FlyballError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()

NodeGetter: TypeAlias = Callable[[int, int], bytes]
"""``node(level, index)``: the hash of a complete subtree."""

NewNode: TypeAlias = tuple[int, int, bytes]
"""``(level, index, hash)`` of a subtree that has just become complete."""


def leaf_hash(data: bytes) -> bytes:
    """``SHA-256(0x00 || data)`` (RFC 6962 section 2.1)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """``SHA-256(0x01 || left || right)`` (RFC 6962 section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier(msgspec.Struct, frozen=True, kw_only=True):
    """All that an append needs of a tree: its size and the roots of its complete subtrees, largest first.

    Raises `FlyballError` ``bad_frontier`` when the hashes do not belong to a tree of that size.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 0 or self.size.bit_count() != len(self.hashes):
            why = f"a tree of {self.size} leaves does not have {len(self.hashes)} complete subtrees"
            raise FlyballError("bad_frontier", "the frontier is damaged", why, data={"size": self.size})

    def append(self, leaf: bytes) -> Frontier:
        """The frontier after one more leaf hash."""
        return new_nodes(self, leaf)[0]

    def root(self) -> bytes:
        """The root of the tree (RFC 6962 section 2.1); `EMPTY_ROOT` without leaves."""
        return _fold(self.hashes)


def new_nodes(frontier: Frontier, leaf: bytes) -> tuple[Frontier, list[NewNode]]:
    """The frontier after ``leaf`` (a leaf hash), and each subtree it completed: the leaf itself first, then upwards."""
    return grown(frontier, (leaf,))


def grown(frontier: Frontier, leaves: Sequence[bytes]) -> tuple[Frontier, list[NewNode]]:
    """As `new_nodes` for several leaf hashes, one after the other."""
    hashes = list(frontier.hashes)
    nodes: list[NewNode] = []
    for at, leaf in enumerate(leaves, frontier.size):
        index, level, digest = at, 0, leaf
        nodes.append((0, at, leaf))
        while index & 1:
            digest = node_hash(hashes.pop(), digest)
            index >>= 1
            level += 1
            nodes.append((level, index, digest))
        hashes.append(digest)
    return Frontier(size=frontier.size + len(leaves), hashes=tuple(hashes)), nodes


def frontier_at(size: int, node: NodeGetter) -> Frontier:
    """The frontier of the first ``size`` leaves of a tree whose complete subtrees ``node`` gives."""
    hashes: list[bytes] = []
    start = 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            hashes.append(node(level, start >> level))
            start += 1 << level
    return Frontier(size=size, hashes=tuple(hashes))


def root_from_leaves(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes (RFC 6962 section 2.1)."""
    hashes: list[bytes] = []
    for index, leaf in enumerate(leaves):
        digest = leaf
        # One merge for each trailing one bit of the index: as many subtrees become complete.
        for _ in range((index ^ (index + 1)).bit_length() - 1):
            digest = node_hash(hashes.pop(), digest)
        hashes.append(digest)
    return _fold(hashes)


def inclusion_proof(index: int, size: int, node: NodeGetter) -> tuple[bytes, ...]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1: leaf ``index`` is in the tree of ``size`` leaves.

    Raises `FlyballError` ``no_proof`` when the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise _no_proof(f"a tree of {size} leaves has no leaf {index}")
    proof: list[bytes] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_range_root(middle, end, node))
            end = middle
        else:
            proof.append(_range_root(start, middle, node))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(first: int, second: int, node: NodeGetter) -> tuple[bytes, ...]:
    """PROOF(first, D[second]) of RFC 6962 section 2.1.2: the tree of ``first`` leaves begins the one of ``second``.

    Equal sizes have an empty proof. Raises `FlyballError` ``no_proof`` unless ``0 < first <= second``.
    """
    if not 0 < first <= second:
        raise _no_proof(f"no proof leads from {first} leaves to {second}")
    proof: list[bytes] = []
    start, end = 0, second
    while first < end:
        middle = start + _split(end - start)
        if first <= middle:
            proof.append(_range_root(middle, end, node))
            end = middle
        else:
            proof.append(_range_root(start, middle, node))
            start = middle
    # SUBPROOF's flag b: the verifier knows the old root already when the walk never went right.
    if start:
        proof.append(_range_root(start, end, node))
    return tuple(reversed(proof))


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether ``proof`` shows leaf hash ``leaf`` at ``index`` of the tree ``(size, root)`` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size or not _are_hashes((leaf, *proof)):
        return False
    position, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            computed = node_hash(sibling, computed)
            position, last = _skip_missing(position, last)
        else:
            computed = node_hash(computed, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether ``proof`` shows that ``(first, first_root)`` begins ``(second, second_root)`` (RFC 9162, 2.1.4.2)."""
    if first == second:
        return first > 0 and not proof and first_root == second_root
    if not 0 < first < second or not proof or not _are_hashes((first_root, second_root, *proof)):
        return False
    # A first tree that is one complete subtree is its own start: the proof leaves it out.
    path = [first_root, *proof] if first.bit_count() == 1 else list(proof)
    position, last = first - 1, second - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            position, last = _skip_missing(position, last)
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _skip_missing(position: int, last: int) -> tuple[int, int]:
    # On the right edge a level without a right sibling has no node of its own: climb until there is one.
    while position and not position & 1:
        position, last = position >> 1, last >> 1
    return position, last


def _are_hashes(hashes: Iterable[bytes]) -> bool:
    return all(len(item) == HASH_BYTES for item in hashes)


def _split(width: int) -> int:
    # The largest power of two smaller than width: k of RFC 6962 section 2.1.
    return 1 << ((width - 1).bit_length() - 1)


def _range_root(start: int, end: int, node: NodeGetter) -> bytes:
    # The splits above start ranges at multiples of a power of two at least as wide, so these subtrees are complete.
    hashes: list[bytes] = []
    while start < end:
        level = (end - start).bit_length() - 1
        hashes.append(node(level, start >> level))
        start += 1 << level
    return _fold(hashes)


def _fold(hashes: Sequence[bytes]) -> bytes:
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def _no_proof(why: str) -> FlyballError:
    return FlyballError("no_proof", "the proof cannot be made", why, "Ask for sizes that this log has had")
