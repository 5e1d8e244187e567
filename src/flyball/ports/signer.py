"""The socket for the log signer: it holds the key and remembers what it last signed, outside the database.

It never rebuilds its state from the database: it extends its own frontier with the leaf hashes it is shown, and refuses
a log that is not a continuation of what it signed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from flyball.core.merkle import Frontier


class Signer(Protocol):
    """Signs checkpoints of logs by their random id."""

    def verifier_key(self) -> str:
        """The public key in the C2SP form NAME+ID+KEY."""
        ...

    def last(self, log: str) -> Frontier:
        """The frontier last signed for this log; empty where none was."""
        ...

    def logs(self) -> Mapping[str, str]:
        """Every origin that this key has signed for, with the random id of its one log."""
        ...

    def sign(self, log: str, origin: str, frontier: Frontier, leaves: Callable[[int, int], Sequence[bytes]]) -> str:
        """A signed note for the frontier. `leaves(start, end)` gives leaf hashes of the log.

        Extends its own frontier with them and compares; raises FlyballError `signer_ahead` where the log is shorter
        than what was signed, `history_changed` where it is not a continuation, `other_log` where another log was signed
        for this origin. The state is durable before the
        signature is released.
        """
        ...
