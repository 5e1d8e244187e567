"""The log signer in memory: the twin of `signer_file` for tests and throw-away projects. Its key ends with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence

from flyball.core.merkle import Frontier
from flyball.core.note import VerifierKey, format_vkey, public_key, sign_checkpoint
from flyball.core.signing import Signed, by_origin, check_log, continued


class MemorySigner:
    """Signs as ``name``; ``private`` is the 32-byte seed of its key (RFC 8032), a fresh one where none is given.

    Raises `FlyballError` ``bad_key`` for a name or seed that cannot be a key.
    """

    def __init__(self, name: str, private: bytes | None = None) -> None:
        self._private = os.urandom(32) if private is None else private
        self._key = VerifierKey(name=name, public=public_key(self._private))
        self._logs: dict[str, Signed] = {}
        self._lock = threading.Lock()

    def verifier_key(self) -> str:
        """The public key in the C2SP form NAME+ID+KEY."""
        return format_vkey(self._key)

    def last(self, log: str) -> Frontier:
        """The frontier last signed for this log; empty where none was."""
        return self._logs.get(log, Signed()).frontier

    def logs(self) -> Mapping[str, str]:
        """Every origin that this key has signed for, with the id of its one log."""
        return by_origin({log: signed.origin for log, signed in self._logs.items()})

    def sign(self, log: str, origin: str, frontier: Frontier, leaves: Callable[[int, int], Sequence[bytes]]) -> str:
        """A signed note for the frontier; raises as `core.signing.continued` and `check_log` do."""
        with self._lock:
            check_log(log, origin, self.logs().get(origin, ""))
            self._logs[log], checkpoint = continued(self._logs.get(log, Signed()), origin, frontier, leaves)
            return sign_checkpoint(checkpoint, self._key.name, self._private)
