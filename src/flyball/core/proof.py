"""One text file that shows, offline, that a record is in a log (C2SP tlog-proof).

Rules:

* It holds the record's index, the inclusion proof (RFC 6962 section 2.1.1) and the signed checkpoint, verbatim. The
  ``extra`` line carries the leaf itself, so that the file stands alone.
* ``extra`` is not authenticated by the format: a leaf from there counts once its hash is found in the signed tree.
* Everything has one spelling: `parse_proof` refuses what `format_proof` does not write.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.merkle import HASH_BYTES
from flyball.core.note import MAX_NOTE_BYTES

HEADER: Final = "c2sp.org/tlog-proof@v1"
MAX_HASHES: Final = 63
MAX_PROOF_BYTES: Final = 2 * MAX_NOTE_BYTES
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}")


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """A record's index, its inclusion proof, the signed checkpoint as text; ``extra`` is the leaf, unauthenticated."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None


def format_proof(proof: Proof) -> str:
    """The file's text. Raises `FlyballError` ``bad_proof`` for what the format cannot say."""
    extra = [] if proof.extra is None else [f"extra {_text(proof.extra)}"]
    lines = [HEADER, *extra, f"index {proof.index}", *(_text(one) for one in proof.hashes)]
    written = "".join(f"{line}\n" for line in lines) + "\n" + proof.checkpoint
    if parse_proof(written) != proof:
        raise _bad("it has no such form")
    return written


def parse_proof(text: str) -> Proof:
    """The proof of a file's text, taken apart and **not** verified. Raises `FlyballError` ``bad_proof``."""
    if len(text) > MAX_PROOF_BYTES:
        raise _bad(f"it has more than {MAX_PROOF_BYTES} characters")
    head, blank, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    if first != HEADER or not blank:
        raise _bad(f"it does not begin with {HEADER}, or has no blank line before the checkpoint")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _bytes(lines.pop(0).removeprefix("extra "))
    index = lines.pop(0).removeprefix("index ") if lines and lines[0].startswith("index ") else ""
    if not _DECIMAL.fullmatch(index):
        raise _bad("it names no index")
    hashes = tuple(_bytes(line) for line in lines)
    if len(hashes) > MAX_HASHES or any(len(one) != HASH_BYTES for one in hashes):
        raise _bad("its inclusion proof is no list of hashes")
    return Proof(index=int(index), hashes=hashes, checkpoint=checkpoint, extra=extra)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _bad("a line is not base64") from None
    if _text(raw) != text:
        raise _bad("a line is base64 in another spelling")
    return raw


def _bad(why: str) -> FlyballError:
    return FlyballError("bad_proof", "the proof is not well formed", why, "See c2sp.org/tlog-proof")
