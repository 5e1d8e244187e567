"""The Merkle tree as the verifier computes it: from the entries alone, never from what the export claims."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from flyball.core.merkle import Frontier, frontier_at, node_hash


class Tree:
    """Every complete subtree over leaf hashes; add the leaves, `grow`, then ask."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._levels[0])

    def add(self, leaves: Iterable[bytes]) -> None:
        """More leaf hashes, at the end."""
        self._levels[0].extend(leaves)

    def grow(self) -> None:
        """Computes the levels above the leaves, once, after the last leaf."""
        level = self._levels[0]
        self._levels = [level]
        while len(level) > 1:
            level = [node_hash(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
            self._levels.append(level)

    def node(self, level: int, index: int) -> bytes:
        """The hash of a complete subtree; raises IndexError where there is none."""
        return self._levels[level][index]

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
