"""Commitments and pseudonyms: what the permanent log may hold of people and of the world.

Rules:

* A commitment is ``SHA-256("flyball/commit/v1" || 0 || field || 0 || salt || data)`` over the exact stored bytes. The
  salt is 32 random bytes, never used twice: without it a small domain is reversed by trying every value.
* The field's name is part of it, so an opening of one field never passes for another.
* A person is a keyed pseudonym: HMAC-SHA-256 (RFC 2104) cut to 128 bits.

>>> check(commit("amount", bytes(32), b"100"), "amount", bytes(32), b"100")
True
"""

from __future__ import annotations

import hashlib
import hmac
from functools import lru_cache
from typing import Final

from flyball.core.errors import FlyballError

SALT_BYTES: Final = 32
PSEUDONYM_CHARACTERS: Final = 32
MIN_KEY_BYTES: Final = 16
_DOMAIN: Final = b"flyball/commit/v1\x00"


def commit(field: str, salt: bytes, data: bytes) -> str:
    """The commitment to ``data`` as the field named ``field``, in 64 hex characters.

    Raises `FlyballError` ``bad_commitment`` when the salt is not 32 bytes, or the field's name is empty or holds NUL
    (which would let two different openings give the same bytes).
    """
    if len(salt) != SALT_BYTES:
        raise FlyballError("bad_commitment", "the commitment cannot be made", f"the salt has {len(salt)} bytes, not 32")
    if not field or "\x00" in field:
        raise FlyballError("bad_commitment", "the commitment cannot be made", "the field's name is empty or holds NUL")
    return hashlib.sha256(b"".join((_DOMAIN, field.encode(), b"\x00", salt, data))).hexdigest()


def check(commitment: str, field: str, salt: bytes, data: bytes) -> bool:
    """Whether ``salt`` and ``data`` open this commitment of this field; an opening of the wrong shape does not."""
    try:
        return commit(field, salt, data) == commitment
    except FlyballError:
        return False


@lru_cache(maxsize=4096)  # the same few people appear in every record
def pseudonym(key: bytes, value: str) -> str:
    """A stable name for a person under a tenant's key, in 32 hex characters (HMAC-SHA-256 cut to 128 bits).

    Raises `FlyballError` ``bad_key`` when the key has less than 16 bytes: a short key is as good as none.
    """
    if len(key) < MIN_KEY_BYTES:
        raise FlyballError("bad_key", "the pseudonym cannot be made", f"its key has {len(key)} bytes, at least 16")
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_CHARACTERS]
