"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint): their text, their keys, and who signed.

Rules:

* The text counts only after `verify` or `open_checkpoint`: at least one known key has signed it. A known key whose
  signature fails refuses the whole note; signatures of unknown keys are ignored.
* A known key is name *and* id. Ids are short on purpose and prove nothing.
* A key is Ed25519 (RFC 8032) and checked when it becomes a `VerifierKey`: verifiers disagree about signatures of
  small-order and non-canonical keys, so such a key is never enrolled.
* Everything has one spelling: no leading zeros, padded standard base64 (RFC 4648 section 4), no control characters.

>>> parse_vkey("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k").name
'example.com/foo'
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from flyball.core.errors import FlyballError

ED25519: Final = 0x01
KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
ID_BYTES: Final = 4
ROOT_BYTES: Final = 32
MAX_SIGNATURES: Final = 64
MAX_NOTE_BYTES: Final = 1_000_000
MAX_SIZE: Final = 2**63 - 1

_SIGNED_BY: Final = "— "
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_HEX_ID: Final = re.compile(r"[0-9a-f]{8}")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")

# Edwards25519 (RFC 8032 section 5.1): its field, its d, and the y of its eight points of small order.
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_Y8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P - 1, _Y8, _P - _Y8})


class VerifierKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key whose signatures are believed: its name and its 32-byte Ed25519 public key.

    Raises `FlyballError` ``bad_key`` for a name or a public key that must not be enrolled.
    """

    name: str
    public: bytes

    def __post_init__(self) -> None:
        _check_name(self.name)
        check_public_key(self.public)

    @property
    def id(self) -> bytes:
        """The key id: ``SHA-256(name || 0x0A || 0x01 || public)[:4]``."""
        return hashlib.sha256(self.name.encode() + b"\n" + _typed(self.public)).digest()[:ID_BYTES]


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """One signature line: who says to have signed (name and 4-byte key id), and the signature itself."""

    name: str
    key_id: bytes
    signature: bytes


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """A text that ends in a newline, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The head of a log: its origin, its size in leaves, its 32-byte root, and extension lines (discouraged).

    Raises `FlyballError` ``bad_checkpoint`` for what the format cannot say.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_SIZE:
            raise _bad_checkpoint(f"a size of {self.size}")
        if len(self.root) != ROOT_BYTES:
            raise _bad_checkpoint(f"a root of {len(self.root)} bytes")
        for line in (self.origin, *self.extensions):
            if not line or "\n" in line or not _is_clean(line):
                raise _bad_checkpoint("a line is empty or has control characters")


def check_public_key(public: bytes) -> None:
    """Whether an Ed25519 public key may be enrolled; raises `FlyballError` ``bad_key`` when it may not.

    It must be the canonical encoding of a point on the curve (RFC 8032 section 5.1.3) that is not of small order.
    """
    if len(public) != KEY_BYTES:
        raise _bad_key(f"it has {len(public)} bytes, an Ed25519 key has {KEY_BYTES}")
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    if y >= _P:
        raise _bad_key("its encoding is not canonical")
    # The other non-canonical form, x = 0 with a sign, exists only for y = 1 and y = -1: both of small order.
    if y in _SMALL_ORDER_Y:
        raise _bad_key("it is a point of small order")
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    if pow(x_squared, (_P - 1) // 2, _P) != 1:
        raise _bad_key("it is not a point on the curve")


def parse_vkey(vkey: str) -> VerifierKey:
    """The key of ``NAME+ID+KEY`` (C2SP signed-note, verifier keys). Raises `FlyballError` ``bad_key``."""
    parts = vkey.split("+", 2)
    if len(parts) != 3 or not _HEX_ID.fullmatch(parts[1]):
        raise _bad_key("it does not read NAME+ID+KEY")
    material = _base64(parts[2])
    if material is None or material[:1] != bytes([ED25519]):
        raise _bad_key("its material is not an Ed25519 key in base64")
    key = VerifierKey(name=parts[0], public=material[1:])
    if key.id.hex() != parts[1]:
        raise _bad_key(f"its id is {parts[1]}, its material gives {key.id.hex()}")
    return key


def format_vkey(key: VerifierKey) -> str:
    """``NAME+ID+KEY``, the form in which a key is published."""
    return f"{key.name}+{key.id.hex()}+{base64.b64encode(_typed(key.public)).decode()}"


def public_key(private: bytes) -> bytes:
    """The public key of a 32-byte Ed25519 private key (the seed of RFC 8032 section 5.1.5)."""
    return _private(private).public_key().public_bytes_raw()


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether an Ed25519 signature (RFC 8032 section 5.1.7) holds; wrong lengths do not. Enrol ``public`` before."""
    if len(public) != KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def sign(text: str, name: str, private: bytes) -> Note:
    """A note with one Ed25519 signature over ``text``, which must end in a newline.

    Join the ``signatures`` of several to have more. Raises `FlyballError` ``bad_note`` or ``bad_key``.
    """
    _check_text(text)
    key = VerifierKey(name=name, public=public_key(private))
    signature = _private(private).sign(text.encode())
    return Note(text=text, signatures=(Signature(name=name, key_id=key.id, signature=signature),))


def format_note(note: Note) -> str:
    """The note as it is published: text, blank line, signature lines. Raises `FlyballError` ``bad_note``."""
    _check_text(note.text)
    if not 1 <= len(note.signatures) <= MAX_SIGNATURES:
        raise _bad_note(f"it has {len(note.signatures)} signatures, 1 to {MAX_SIGNATURES} are possible")
    return f"{note.text}\n" + "".join(_signature_line(one) for one in note.signatures)


def parse_note(raw: bytes | str) -> Note:
    """A note taken apart and **not** verified: do not read its text. Raises `FlyballError` ``bad_note``."""
    try:
        size = len(raw.encode()) if isinstance(raw, str) else len(raw)
        whole = raw if isinstance(raw, str) else raw.decode()
    except UnicodeError:
        raise _bad_note("it is not valid UTF-8") from None
    if size > MAX_NOTE_BYTES:
        raise _bad_note(f"it has {size} bytes, at most {MAX_NOTE_BYTES} are read")
    end = whole.rfind("\n\n")
    if end < 0 or not whole.endswith("\n"):
        raise _bad_note("there is no blank line before its signatures, or no newline at its end")
    text, lines = whole[: end + 1], whole[end + 2 : -1].split("\n")
    _check_text(text)
    if not 1 <= len(lines) <= MAX_SIGNATURES:
        raise _bad_note(f"it has {len(lines)} signatures, 1 to {MAX_SIGNATURES} are read")
    return Note(text=text, signatures=tuple(_parse_signature(line) for line in lines))


def verify(raw: bytes | str, keys: Sequence[VerifierKey]) -> Note:
    """The note with only those signatures that were verified, at least one.

    Raises `FlyballError`: ``bad_note`` when malformed, ``bad_signature`` when a known key's signature fails,
    ``unknown_signers`` when no known key signed, ``ambiguous_key`` when two keys share name and id.
    """
    note = parse_note(raw)
    known = _by_name_and_id(keys)
    message = note.text.encode()
    verified: list[Signature] = []
    for one in note.signatures:
        key = known.get((one.name, one.key_id))
        if key is None:
            continue
        if not verify_ed25519(key.public, message, one.signature):
            raise FlyballError("bad_signature", "the note is refused", f"the signature of {one.name} does not hold")
        verified.append(one)
    if not verified:
        why = "none of its signatures is by a known key"
        raise FlyballError("unknown_signers", "the note is refused", why, "Pass the verifier key of the log")
    return Note(text=note.text, signatures=tuple(dict.fromkeys(verified)))


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint of a note's text (C2SP tlog-checkpoint). Raises `FlyballError` ``bad_checkpoint``."""
    *lines, rest = text.split("\n")
    if rest or len(lines) < 3:
        raise _bad_checkpoint("it has less than three lines, or no newline at its end")
    origin, size, encoded, *extensions = lines
    root = _base64(encoded)
    if not _DECIMAL.fullmatch(size) or root is None:
        raise _bad_checkpoint("its size is not a plain decimal, or its root not base64")
    return Checkpoint(origin=origin, size=int(size), root=root, extensions=tuple(extensions))


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The note text of a checkpoint."""
    root = base64.b64encode(checkpoint.root).decode()
    lines = (checkpoint.origin, str(checkpoint.size), root, *checkpoint.extensions)
    return "".join(f"{line}\n" for line in lines)


def sign_checkpoint(checkpoint: Checkpoint, name: str, private: bytes) -> str:
    """The signed note of a checkpoint. ``name`` should be the origin. Raises as `sign` does."""
    return format_note(sign(format_checkpoint(checkpoint), name, private))


def open_checkpoint(raw: bytes | str, keys: Sequence[VerifierKey], *, origin: str | None = None) -> Checkpoint:
    """The checkpoint of a signed note that a known key signed, of the log ``origin`` if that is given.

    Raises as `verify` and `parse_checkpoint` do, and ``wrong_origin`` for another log's checkpoint.
    """
    checkpoint = parse_checkpoint(verify(raw, keys).text)
    if origin is not None and checkpoint.origin != origin:
        why = f"it is of the log {checkpoint.origin!r}, not {origin!r}"
        raise FlyballError("wrong_origin", "the checkpoint is refused", why)
    return checkpoint


def _by_name_and_id(keys: Sequence[VerifierKey]) -> dict[tuple[str, bytes], VerifierKey]:
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.id), key) != key:
            why = f"two keys are called {key.name!r} {key.id.hex()}"
            raise FlyballError("ambiguous_key", "the keys are refused", why)
    return known


def _parse_signature(line: str) -> Signature:
    name, separator, encoded = line.removeprefix(_SIGNED_BY).partition(" ")
    blob = _base64(encoded)
    if not line.startswith(_SIGNED_BY) or not separator or not _is_name(name):
        raise _bad_note("a signature line does not read: dash, key name, signature")
    if blob is None or len(blob) <= ID_BYTES:
        raise _bad_note("a signature is not base64 of a key id and a signature")
    return Signature(name=name, key_id=blob[:ID_BYTES], signature=blob[ID_BYTES:])


def _signature_line(one: Signature) -> str:
    line = f"{_SIGNED_BY}{one.name} {base64.b64encode(one.key_id + one.signature).decode()}"
    if _parse_signature(line) != one:
        raise _bad_note("a signature has no such form")
    return f"{line}\n"


def _check_text(text: str) -> None:
    if not text.endswith("\n") or not _is_clean(text):
        raise _bad_note("its text does not end in a newline, or has control characters")


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise _bad_key("its name is empty, or has a space, a plus or a control character")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and _is_clean(name) and not any(char.isspace() for char in name)


def _is_clean(text: str) -> bool:
    if _CONTROL.search(text):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _base64(encoded: str) -> bytes | None:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    # Python ignores the unused bits of the last character: compare, so that one value has one spelling.
    return raw if base64.b64encode(raw).decode() == encoded else None


def _typed(public: bytes) -> bytes:
    return bytes([ED25519]) + public


def _private(private: bytes) -> Ed25519PrivateKey:
    try:
        return Ed25519PrivateKey.from_private_bytes(private)
    except ValueError:
        raise _bad_key(f"the private key has {len(private)} bytes, not {KEY_BYTES}") from None


def _bad_key(why: str) -> FlyballError:
    return FlyballError("bad_key", "the key is refused", why, "Make a key with `flyball key create`")


def _bad_note(why: str) -> FlyballError:
    return FlyballError("bad_note", "the note is not well formed", why, "See c2sp.org/signed-note")


def _bad_checkpoint(why: str) -> FlyballError:
    return FlyballError("bad_checkpoint", "the checkpoint is not well formed", why, "See c2sp.org/tlog-checkpoint")
