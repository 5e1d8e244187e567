"""What was worked out before, kept while it is young: entity slices and answers.

Nothing here ever goes out of date: a key is everything that its value was worked out from, and the policies and schema
behind it are those of one bundle, which never change. Only the number of entries is bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """At most `most` values by key; the oldest goes first. Threads may share it: each step on it is one operation."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: K) -> V | None:
        """What was kept under this key."""
        return self._kept.get(key)

    def keep(self, key: K, value: V) -> V:
        """Keeps the value; gives it back."""
        self._kept[key] = value
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return value
