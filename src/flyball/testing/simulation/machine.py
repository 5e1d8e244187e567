"""The machine of a simulated process: its wall clock, which can be set, and its chance, which a seed gives."""

from __future__ import annotations

import asyncio
import hashlib
from random import Random
from typing import Final

from flyball.testing.clock import START_US

MICRO: Final = 1_000_000
NANO: Final = 1_000_000_000


class Machine:
    """The machine's two clocks, in nanoseconds: one that somebody may set, one that nobody can. They outlive processes.

    The clock of each process over them is the product's own.
    """

    def __init__(self) -> None:
        self._set_by = 0

    def set(self, seconds: float) -> None:
        """Somebody sets the clock forward, or back."""
        self._set_by += int(seconds * NANO)

    def steady(self) -> int:
        """Since the machine was started."""
        return int(asyncio.get_running_loop().time() * NANO)

    def wall(self) -> int:
        """Since 1970."""
        return START_US * 1000 + self._set_by + self.steady()


class SimEntropy:
    """Implements `ports.clock.Entropy`: the bytes that a seed gives, none twice."""

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)

    def bytes(self, count: int) -> bytes:
        """`count` bytes."""
        return self._random.randbytes(count)


class SimKeyring:
    """Implements `ports.keyring.Keyring`: each key follows from the seed and its name, whoever asks first."""

    def __init__(self, seed: str) -> None:
        self._seed = seed

    def subject(self, tenant: str, subject: str) -> bytes:
        """32 bytes for sealing."""
        return self._key("subject", tenant, subject)

    def pseudonym(self, tenant: str) -> bytes:
        """32 bytes for pseudonyms."""
        return self._key("tenant", tenant)

    def close(self) -> None:
        """Nothing is open."""

    def _key(self, *names: str) -> bytes:
        return hashlib.sha256("\0".join((self._seed, *names)).encode()).digest()
