"""The keyring in memory: the twin of `keyring_sqlite` for tests and throw-away projects. Its keys end with it."""

from __future__ import annotations

import os
from collections.abc import Callable

from flyball.core.seal import KEY_BYTES, check_subject


class MemoryKeyring:
    """Keys by tenant and subject. ``entropy(n)`` gives n unpredictable bytes."""

    def __init__(self, entropy: Callable[[int], bytes] = os.urandom) -> None:
        self._entropy = entropy
        self._tenants: dict[str, bytes] = {}
        self._subjects: dict[tuple[str, str], bytes | None] = {}

    def subject(self, tenant: str, subject: str) -> bytes:
        """32 bytes for a subject's pseudonym; raises LookupError once it was erased, `FlyballError` ``bad_subject``."""
        check_subject(subject)
        if (tenant, subject) not in self._subjects:
            # In one step: another thread may have been first, and its key counts.
            self._subjects.setdefault((tenant, subject), self._entropy(KEY_BYTES))
        key = self._subjects[tenant, subject]
        if key is None:
            raise LookupError(f"the subject {subject} was erased")
        return key

    def pseudonym(self, tenant: str) -> bytes:
        """32 bytes for the tenant's pseudonyms."""
        if tenant not in self._tenants:
            self._tenants.setdefault(tenant, self._entropy(KEY_BYTES))
        return self._tenants[tenant]

    def erase(self, tenant: str, subject: str) -> None:
        """Forgets a subject's key for good."""
        self._subjects[tenant, subject] = None

    def close(self) -> None:
        """Nothing to release: whoever holds the object may open it again."""
