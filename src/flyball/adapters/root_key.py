"""Reads the root key, which wraps every tenant's key: from the environment or from a 0600 file of its own.

Rules:

* A root key is 32 bytes, written as 64 hex characters or as standard base64.
* A file is made (``create``) from the system's entropy, 0600, and never overwritten; one that others can read is
  refused. Errors name the source, never what stands in it.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from flyball.core.errors import FlyballError

KEY_BYTES: Final = 32
_MAX_FILE: Final = 4096


def root_key(
    source: str,
    create: bool,
    *,
    environ: Mapping[str, str] = os.environ,
    entropy: Callable[[int], bytes] = os.urandom,
) -> bytes:
    """The 32 bytes behind ``env:NAME`` or ``file:PATH``; with ``create`` a file that is not there is made.

    Raises `FlyballError`: ``root_key_source`` (neither env nor file), ``root_key_missing``, ``root_key_exposed``,
    ``bad_root_key`` (not 32 bytes), ``root_key_unwritable``.
    """
    kind, _, name = source.partition(":")
    if kind == "env" and name:
        if name not in environ:
            fix = "Set it to 64 hex characters, for example with: openssl rand -hex 32"
            raise FlyballError("root_key_missing", f"the environment has no {name}", fix=fix)
        return _parse(environ[name], source)
    if kind == "file" and name:
        return _from_file(Path(name).expanduser(), source, create, entropy)
    raise FlyballError("root_key_source", f"{source!r} names no root key", fix='Write "env:NAME" or "file:PATH"')


def _from_file(path: Path, source: str, create: bool, entropy: Callable[[int], bytes]) -> bytes:
    try:
        if create and not path.exists():
            _make(path, entropy(KEY_BYTES))
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        fix = "Restore it: without it no payload can be read"
        raise FlyballError("root_key_missing", f"there is no root key at {path}", fix=fix) from None
    except OSError as failed:
        raise FlyballError("root_key_unwritable", f"{path} cannot be used", failed.strerror or "") from failed
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            why = "others can read it" if stat.S_ISREG(mode) else "it is no regular file"
            raise FlyballError("root_key_exposed", f"the root key {path} is refused", why, f"Run: chmod 600 {path}")
        return _parse(os.read(descriptor, _MAX_FILE).decode("ascii", errors="replace"), source)
    finally:
        os.close(descriptor)


def _make(path: Path, key: bytes) -> None:
    # Complete and durable before it has its name; linked, not renamed, so that a key in use is never replaced.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(key.hex().encode() + b"\n")
        opened.flush()
        os.fsync(opened.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass  # another process was first; its key counts
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _parse(text: str, source: str) -> bytes:
    written = text.strip()
    try:
        raw = bytes.fromhex(written) if len(written) == 2 * KEY_BYTES else base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != KEY_BYTES:
        why = f"it is not {KEY_BYTES} bytes in hex or base64"
        raise FlyballError(
            "bad_root_key", f"the root key of {source} is refused", why, "Make one: openssl rand -hex 32"
        )
    return raw
