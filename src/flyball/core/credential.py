"""What a person signs with their own key: a request to act, and an approval of exactly what will run.

Rules:

* A key is Ed25519 (RFC 8032). A public key is checked when it is enrolled; verifiers disagree about small-order ones.
* What is signed begins with what it is for, so that no signature can pass for one of another kind.
* A request is fresh for a minute either way. Whoever takes requests remembers their nonces for that long, and puts
  what they are meant for (the log, the tenant) into the arguments; nothing here does.
* Time and randomness are handed in. A private key is never printed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flyball.core.canonical import encode
from flyball.core.errors import FlyballError
from flyball.core.note import check_public_key, public_key, verify_ed25519

SEED_BYTES: Final = 32
FRESH_US: Final = 60_000_000
KEY_FORMAT: Final = "flyball-key-1"

_REQUEST: Final = b"flyball/request/v1\0"
_APPROVE: Final = b"flyball/approve/v1\0"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A person's private key: their name and the 32-byte seed, which no representation shows."""

    name: str
    seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            why = "it begins with a letter or digit and has letters, digits and . _ @ + -, at most 64"
            raise FlyballError("bad_key", f"{self.name!r} is no name for a key", why)
        if len(self.seed) != SEED_BYTES:
            raise FlyballError("bad_key", f"the key of {self.name} is refused", "its seed has not 32 bytes")

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""
        return public_key(self.seed)

    @property
    def id(self) -> str:
        """The id that records carry."""
        return key_id(self.public)


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to act, as it crosses from one process to another: `issued_us` since 1970, signature in base64."""

    command: str
    arguments: Mapping[str, Any]
    issued_us: int
    nonce: str
    key: str
    signature: str


def key_id(public: bytes) -> str:
    """The id of a public key: the first 16 bytes of its SHA-256 in hex."""
    return hashlib.sha256(public).digest()[:16].hex()


def enrolled(public: bytes) -> str:
    """The id of a public key that may be enrolled; raises FlyballError `bad_key` for one that must not be."""
    check_public_key(public)
    return key_id(public)


def written(public: str) -> bytes:
    """A public key from its text in base64; raises FlyballError `bad_key` where it is none."""
    raw = _bytes(public)
    if raw is None:
        raise FlyballError("bad_key", "this is no public key", "it is not base64", "flyball key create NAME shows one")
    check_public_key(raw)
    return raw


def format_key(key: SigningKey) -> str:
    """The one line of a key file: format, name, seed in base64."""
    return f"{KEY_FORMAT} {key.name} {_text(key.seed)}\n"


def parse_key(line: str) -> SigningKey:
    """The key of a key file's text; raises FlyballError `bad_key`, which never repeats the text."""
    parts = line.strip().split(" ")
    seed = _bytes(parts[2]) if len(parts) == 3 and parts[0] == KEY_FORMAT else None
    if seed is None:
        fix = "Make one with: flyball key create NAME"
        raise FlyballError("bad_key", "this is no key", f'it does not read "{KEY_FORMAT} NAME SEED"', fix)
    return SigningKey(name=parts[1], seed=seed)


def request_bytes(command: str, arguments: Mapping[str, Any], issued_us: int, nonce: str) -> bytes:
    """What a request's signature covers. Raises FlyballError `not_canonical` for arguments without one spelling."""
    body = {"arguments": dict(arguments), "command": command, "issued_us": issued_us, "nonce": nonce}
    return _REQUEST + encode(body)


def sign_request(
    key: SigningKey, command: str, arguments: Mapping[str, Any], *, issued_us: int, nonce: str
) -> SignedRequest:
    """A request signed now. `nonce` is 16 to 64 letters, digits, - and _, never used before."""
    if not _NONCE.fullmatch(nonce):
        raise FlyballError("request_refused", "the request is refused", "its nonce is not 16 to 64 letters and digits")
    signature = _sign(key, request_bytes(command, arguments, issued_us, nonce))
    return SignedRequest(
        command=command, arguments=arguments, issued_us=issued_us, nonce=nonce, key=key.id, signature=signature
    )


def verify_request(request: SignedRequest, public: bytes, *, now_us: int) -> None:
    """Passes when the key signed exactly this request within the last minute.

    `public` is the enrolled key whose id the request names. Raises FlyballError `request_refused` or `request_stale`.
    """
    if not _NONCE.fullmatch(request.nonce):
        raise FlyballError("request_refused", "the request is refused", "its nonce is not 16 to 64 letters and digits")
    message = request_bytes(request.command, request.arguments, request.issued_us, request.nonce)
    if request.key != key_id(public) or not _holds(public, message, request.signature):
        raise FlyballError("request_refused", "the request is refused", "its signature does not hold")
    if abs(now_us - request.issued_us) > FRESH_US:
        why = f"it was signed {abs(now_us - request.issued_us) // 1_000_000} seconds from now, at most 60 are taken"
        raise FlyballError("request_stale", "the request is refused", why, "Send it again; compare the clocks.")


def approval_bytes(over: str) -> bytes:
    """What an approval's signature covers; `over` is the hex SHA-256 of what will run. Raises `bad_over`."""
    if not _DIGEST.fullmatch(over):
        raise FlyballError("bad_over", "there is nothing to approve", "`over` is not 64 hex digits")
    return _APPROVE + over.encode()


def sign_approval(key: SigningKey, over: str) -> str:
    """The signature of an approval in base64. Nothing but an approval is ever signed over these bytes."""
    return _sign(key, approval_bytes(over))


def verify_approval(public: bytes, over: str, signature: str) -> bool:
    """Whether an enrolled key approved exactly this."""
    return _holds(public, approval_bytes(over), signature)


def _sign(key: SigningKey, message: bytes) -> str:
    return _text(Ed25519PrivateKey.from_private_bytes(key.seed).sign(message))


def _holds(public: bytes, message: bytes, signature: str) -> bool:
    raw = _bytes(signature)
    return raw is not None and verify_ed25519(public, message, raw)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes | None:
    # One spelling each: what decodes but is written otherwise is refused.
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if _text(raw) == text else None
