"""Sealing: the private half of a record, encrypted so that erasing one subject's key makes it unreadable.

Rules:

* A field is ``nonce || AES-256-GCM(salt || data)`` (NIST SP 800-38D). Additional data binds tenant, record and field,
  unambiguously: a sealed field moved anywhere else does not open.
* A payload names all its subjects, as keyed pseudonyms, and its key needs the key of every one of them: one subject's
  own key, or HKDF-SHA-256 (RFC 5869) over the sorted keys of several. What names nobody is the tenant's own.
* A field above `MAX_INLINE` bytes becomes a *body*, stored once per key under HMAC-SHA-256 of its bytes; the field
  holds salt and MAC. Bodies are never shared between different subjects.
* Keys, salts and nonces come in as arguments. An erased subject is a `LookupError` of the key source, which is asked
  every time; of the keys that it gave lately only their schedule is kept, which costs more than a field to make.

>>> from cryptography.hazmat.primitives.ciphers.aead import AESGCM
>>> cipher, at = AESGCM(bytes(32)), place("acme", "r-1/1/1/intent")
>>> open_field(cipher, at, "args", seal_field(cipher, at, "args", bytes(32), bytes(12), b"{}"))[1]
b'{}'
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from flyball.core.commitment import PSEUDONYM_CHARACTERS, SALT_BYTES, pseudonym
from flyball.core.errors import FlyballError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAC_BYTES: Final = 32
MAX_INLINE: Final = 2048
NOBODY: Final = "tenant:-"
"""The subject of a payload that names none; a person's id reads ``kind:name`` and is never this."""

# None begins another, and only the last part of what follows has no length: additional data reads in one way.
_FIELD: Final = b"flyball/seal/v1\x00"
_REFERENCE: Final = b"flyball/seal-reference/v1\x00"
_BODY: Final = b"flyball/body/v1\x00"
_SEVERAL: Final = b"flyball/subjects/v1"
_VERSION: Final = 1
_PSEUDONYM: Final = re.compile(rf"[0-9a-f]{{{PSEUDONYM_CHARACTERS}}}")


class Keys(Protocol):
    """Where subject keys come from: `flyball.ports.keyring.Keyring` is one."""

    def subject(self, tenant: str, subject: str) -> bytes:
        """32 bytes for a subject's pseudonym; raises LookupError once the subject was erased."""
        ...

    def pseudonym(self, tenant: str) -> bytes:
        """32 bytes for the tenant's pseudonyms."""
        ...


class Sealed(NamedTuple):
    """What a journal stores: the sealed payload (None: nothing private), bodies as ``(MAC in hex, sealed bytes)``."""

    payload: bytes | None
    bodies: tuple[tuple[str, bytes], ...]


class Opening(NamedTuple):
    """What opens a commitment: the 32-byte salt and the exact stored bytes."""

    salt: bytes
    data: bytes


class _Payload(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    version: int
    subjects: tuple[str, ...]
    fields: dict[str, bytes]
    large: dict[str, bytes]


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(_Payload)


def place(tenant: str, record_id: str) -> bytes:
    """Tenant and record as additional data; `seal_field` adds the field."""
    return _bound(tenant.encode(), record_id.encode())


def seal_field(cipher: AESGCM, at: bytes, field: str, salt: bytes, nonce: bytes, data: bytes) -> bytes:
    """``nonce || AESGCM(salt || data)`` for the place ``at``. The nonce must never return under the same key.

    Raises `FlyballError` ``bad_seal`` unless the salt has 32 bytes and the nonce 12.
    """
    return _seal(cipher, _FIELD + at + field.encode(), salt, nonce, data)


def open_field(cipher: AESGCM, at: bytes, field: str, sealed: bytes) -> Opening:
    """Salt and data of a sealed field. Raises `FlyballError` ``payload_damaged`` unless key and place are its own."""
    return _open(cipher, _FIELD + at + field.encode(), sealed, field)


def combined_key(keys: Iterable[bytes]) -> bytes:
    """The key that needs every one of these: the key itself, or HKDF-SHA-256 over the sorted distinct keys.

    Raises `FlyballError` ``bad_seal`` without keys, or for a key that has not 32 bytes.
    """
    distinct = sorted(set(keys))
    if not distinct or {*map(len, distinct)} != {KEY_BYTES}:
        raise _bad_seal(f"it takes keys of {KEY_BYTES} bytes, at least one")
    if len(distinct) == 1:
        return distinct[0]
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_SEVERAL).derive(b"".join(distinct))


def check_subject(subject: str) -> None:
    """Refuses (`FlyballError` ``bad_subject``) what is no pseudonym: a keyring would keep a name for ever."""
    if not _PSEUDONYM.fullmatch(subject):
        fix = "Pass core.commitment.pseudonym(keyring.pseudonym(tenant), name)"
        raise FlyballError("bad_subject", "a keyring takes pseudonyms only", "this is none", fix)


def body_mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256 (RFC 2104) of a body under a key derived from the payload's: the name it is stored under."""
    return hmac.digest(hmac.digest(key, _BODY, "sha256"), data, "sha256")


def seal_payload(
    keys: Keys,
    tenant: str,
    record_id: str,
    subjects: Iterable[str],
    data: Mapping[str, bytes],
    salts: Mapping[str, bytes],
    entropy: Callable[[int], bytes],
) -> Sealed:
    """Seals every field of a record. ``subjects`` are names ("user:kim"); the payload holds their pseudonyms.

    ``entropy(n)`` gives n unpredictable bytes for nonces. Raises LookupError when a subject was erased, `FlyballError`
    ``bad_seal`` for keys, salts or nonces of the wrong size.
    """
    if not data:
        return Sealed(None, ())
    named = _named(keys.pseudonym(tenant), tuple(subjects))
    key = combined_key([keys.subject(tenant, name) for name in named])
    cipher, at = _cipher(key), place(tenant, record_id)
    nonces, bound = entropy(NONCE_BYTES * len(data)), _FIELD + at
    fields: dict[str, bytes] = {}
    large: dict[str, bytes] = {}
    bodies: dict[str, bytes] = {}
    for number, (field, value) in enumerate(data.items()):
        nonce = nonces[number * NONCE_BYTES : (number + 1) * NONCE_BYTES]
        if len(value) <= MAX_INLINE:
            fields[field] = _seal(cipher, bound + field.encode(), salts[field], nonce, value)
            continue
        mac = body_mac(key, value)
        large[field] = _seal(cipher, _REFERENCE + at + field.encode(), salts[field], nonce, mac)
        bodies[mac.hex()] = _sealed_body(cipher, tenant, mac, entropy(NONCE_BYTES), value)
    payload = _Payload(version=_VERSION, subjects=named, fields=fields, large=large)
    return Sealed(_ENCODER.encode(payload), tuple(bodies.items()))


def payload_subjects(payload: bytes) -> tuple[str, ...]:
    """The pseudonyms of everybody a payload names. Raises `FlyballError` ``payload_damaged`` or ``payload_newer``."""
    return _parse(payload).subjects


def open_payload(
    keys: Keys, tenant: str, record_id: str, payload: bytes, body: Callable[[str], bytes | None]
) -> dict[str, Opening]:
    """Salt and data of every field. ``body(mac)`` gives a sealed body by its MAC in hex.

    Raises LookupError when a subject was erased, `FlyballError` ``payload_damaged`` for what does not open,
    ``payload_newer`` for a format this version does not know.
    """
    parsed = _parse(payload)
    key = combined_key([keys.subject(tenant, name) for name in parsed.subjects])
    cipher, at = _cipher(key), place(tenant, record_id)
    opened = {field: open_field(cipher, at, field, sealed) for field, sealed in parsed.fields.items()}
    for field, sealed in parsed.large.items():
        salt, mac = _open(cipher, _REFERENCE + at + field.encode(), sealed, field)
        stored = body(mac.hex())
        if stored is None:
            raise _damaged(f"the body of {field!r} is not there")
        data = _decrypt(cipher, stored, _BODY + _bound(tenant.encode(), mac), field)
        opened[field] = Opening(salt, data)
    return opened


@lru_cache(maxsize=1024)  # the same few people, again and again
def _named(tenant_key: bytes, subjects: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({pseudonym(tenant_key, name) for name in subjects})) or (pseudonym(tenant_key, NOBODY),)


@lru_cache(maxsize=256)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def _sealed_body(cipher: AESGCM, tenant: str, mac: bytes, nonce: bytes, data: bytes) -> bytes:
    return nonce + cipher.encrypt(nonce, data, _BODY + _bound(tenant.encode(), mac))


def _seal(cipher: AESGCM, bound: bytes, salt: bytes, nonce: bytes, data: bytes) -> bytes:
    if len(salt) != SALT_BYTES or len(nonce) != NONCE_BYTES:
        raise _bad_seal(f"it takes {SALT_BYTES} bytes of salt and {NONCE_BYTES} of nonce")
    return nonce + cipher.encrypt(nonce, salt + data, bound)


def _open(cipher: AESGCM, bound: bytes, sealed: bytes, field: str) -> Opening:
    opened = _decrypt(cipher, sealed, bound, field)
    if len(opened) < SALT_BYTES:
        raise _damaged(f"{field!r} has no salt")
    return Opening(opened[:SALT_BYTES], opened[SALT_BYTES:])


def _decrypt(cipher: AESGCM, sealed: bytes, bound: bytes, field: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        raise _damaged(f"{field!r} does not open under this key in this place") from None


def _parse(payload: bytes) -> _Payload:
    try:
        parsed = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _damaged("it is no payload") from None
    if parsed.version != _VERSION:
        why = f"its format is {parsed.version}, this version reads {_VERSION}"
        raise FlyballError("payload_newer", "the payload cannot be read", why, "Use a newer Flyball")
    return parsed


def _bound(*parts: bytes) -> bytes:
    return b"".join([len(part).to_bytes(4, "big") + part for part in parts])


def _bad_seal(why: str) -> FlyballError:
    return FlyballError("bad_seal", "the payload cannot be sealed", why)


def _damaged(why: str) -> FlyballError:
    fix = "Check the keyring file and the root key; restore both together with the journal"
    return FlyballError("payload_damaged", "the payload cannot be opened", why, fix)
