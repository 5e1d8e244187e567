"""The Merkle tree as the verifier computes it: from the entries alone, never from what the export claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flyball.core.merkle import Frontier, frontier_at, node_hash
from flyball.core.tiles import HEIGHT, Tile


class Tree:
    """Every complete subtree over leaf hashes. Add many leaves at once: that costs least."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0])

    def add(self, leaves: Iterable[bytes]) -> None:
        """More leaf hashes, at the end, and every subtree that they complete."""
        below = self._levels[0]
        below.extend(leaves)
        for level in range(1, len(below).bit_length()):
            if level == len(self._levels):
                self._levels.append([])
            above = self._levels[level]
            start = 2 * len(above)
            above.extend(map(node_hash, below[start::2], below[start + 1 :: 2]))
            below = above

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; raises IndexError where there is none."""
        return self._levels[level][index]

    def tile(self, tile: Tile) -> bytes:
        """The content of one of the tree's hash tiles."""
        first = tile.index << HEIGHT
        return b"".join(self._levels[(tile.level or 0) * HEIGHT][first : first + tile.width])

    def inner(self) -> Iterator[tuple[int, int, bytes]]:
        """Level, index and hash of every complete subtree above the leaves."""
        for level, hashes in enumerate(self._levels[1:], 1):
            for index, digest in enumerate(hashes):
                yield level, index, digest

    def frontier(self, size: int) -> Frontier:
        """The roots of the complete subtrees of the first ``size`` leaves."""
        return frontier_at(size, self.node)

    def root(self, size: int) -> bytes:
        """The root over the first ``size`` leaves (RFC 6962 section 2.1)."""
        return frontier_at(size, self.node).root()
