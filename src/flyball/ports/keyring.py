"""The socket for subject keys: what payloads are sealed with, outside the journal.

A key is wrapped by its tenant's key, which is wrapped by the root key. Erasing a subject deletes its key.
"""

from __future__ import annotations

from typing import Protocol


class Keyring(Protocol):
    """Keys by tenant and subject, made when first asked for."""

    def subject(self, tenant: str, subject: str) -> bytes:
        """32 bytes for sealing; raises LookupError once the subject was erased."""
        ...

    def pseudonym(self, tenant: str) -> bytes:
        """32 bytes for the tenant's keyed pseudonyms and body MACs."""
        ...

    def close(self) -> None:
        """Releases the file."""
        ...
