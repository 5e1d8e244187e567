"""Chance that can be repeated: from one seed always the same bytes, in the order in which they are asked for."""

from __future__ import annotations

from hashlib import sha256


class Seeded:
    """Implements `ports.clock.Entropy`. For tests only: whoever knows the seed knows every key and salt."""

    def __init__(self, seed: str) -> None:
        self._seed, self._block, self._left = seed.encode(), 0, b""

    def bytes(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._left) < count:
            self._left += sha256(b"flyball/seed/v1\x00" + self._block.to_bytes(8, "big") + self._seed).digest()
            self._block += 1
        taken, self._left = self._left[:count], self._left[count:]
        return taken
