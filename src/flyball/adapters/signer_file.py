"""The log signer whose key and memory are one 0600 file, outside the project and its database.

Rules:

* Key and last-signed state share the file: whoever loses the state loses the key, so a copy that forgot what it signed
  cannot sign. The file belongs in no backup that a journal is restored from.
* It holds every log that it ever signed, and forgets none: an origin has one log under this key.
* Order: lock, read the file, extend the own frontier by the leaves shown, compare, write a new file, fsync, rename,
  fsync the folder; only then is the signature released. A crash between leaves a state that is ahead of what anybody
  saw, never behind.
* The lock is a file beside it (``.lock``), because the file itself is replaced. Two processes never sign at once.
* The file is JSON: ``{"v":1,"name":…,"private":"<hex>","logs":{"<log id>":{"origin":…,"size":…,"root":…,"hashes":…}}}``
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.merkle import Frontier
from flyball.core.note import VerifierKey, format_vkey, public_key, sign_checkpoint
from flyball.core.signing import Signed, by_origin, check_log, continued

VERSION: Final = 1


class _Log(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    origin: str
    size: int
    root: str
    hashes: tuple[str, ...]


class _State(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    v: int
    name: str
    private: str
    logs: Mapping[str, _Log] = {}


class FileSigner:
    """Signs checkpoints of logs by their random id; open it with `open_signer`. For several threads and processes."""

    def __init__(self, path: Path, key: VerifierKey) -> None:
        self._path, self._key = path, key
        self._lock = threading.Lock()
        # What this process has written and seen durable: signing it again needs no write.
        self._durable: dict[str, Signed] = {}

    def verifier_key(self) -> str:
        """The public key in the C2SP form NAME+ID+KEY."""
        return format_vkey(self._key)

    def last(self, log: str) -> Frontier:
        """The frontier last signed for this log, by any process; empty where none was. Raises as `open_signer`."""
        return _signed(self._path, self._read(), log).frontier

    def logs(self) -> Mapping[str, str]:
        """Every origin that this key has signed for, in any process, with the id of its one log."""
        return _origins(self._read())

    def sign(self, log: str, origin: str, frontier: Frontier, leaves: Callable[[int, int], Sequence[bytes]]) -> str:
        """A signed note for the frontier, released after the new state is durable.

        Raises as `core.signing.continued`, `check_log` and `open_signer` do, and `FlyballError` ``signer_unwritable``.
        """
        with self._lock, _locked(self._path):
            state = self._read()
            check_log(log, origin, _origins(state).get(origin, ""))
            signed, checkpoint = continued(_signed(self._path, state, log), origin, frontier, leaves)
            if self._durable.get(log) != signed:
                _replace(self._path, msgspec.structs.replace(state, logs={**state.logs, log: _log(signed)}))
                self._durable[log] = signed
            return sign_checkpoint(checkpoint, self._key.name, bytes.fromhex(state.private))

    def _read(self) -> _State:
        state = _read(self._path)
        if _key(self._path, state) != self._key:
            raise _corrupt(self._path, "its key was exchanged while it was open")
        return state


def open_signer(
    path: Path, name: str, *, create: bool = False, entropy: Callable[[int], bytes] = os.urandom
) -> FileSigner:
    """The signer of this file, whose key is called ``name``; with ``create`` it is made where there is none.

    Raises `FlyballError`: ``bad_key`` (no name for a key), ``signer_missing``, ``signer_exposed`` (others can read the
    file), ``signer_corrupt``, ``signer_newer``, ``signer_other_name``, ``signer_unwritable``.
    """
    if create and not os.path.lexists(path):
        _make(path, name, entropy(32))
    state = _read(path)
    if state.name != name:
        why = f"its key is called {state.name!r}, this project {name!r}"
        raise FlyballError(
            "signer_other_name", f"the signer {path} is refused", why, "Give each log its own signer file"
        )
    return FileSigner(path, _key(path, state))


def _make(path: Path, name: str, private: bytes) -> None:
    VerifierKey(name=name, public=public_key(private))
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as failed:
        raise _unwritable(path, failed) from failed
    with _locked(path):
        if not os.path.lexists(path):  # another process may have been first
            _replace(path, _State(v=VERSION, name=name, private=private.hex()))


def _read(path: Path) -> _State:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        fix = "Restore it from where it was kept; without it this log is never signed again: open a new epoch"
        raise FlyballError("signer_missing", f"there is no signer at {path}", fix=fix) from None
    except OSError as failed:
        raise _unwritable(path, failed) from failed
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            why = "others can read it" if stat.S_ISREG(mode) else "it is no regular file"
            raise FlyballError("signer_exposed", f"the signer {path} is refused", why, f"Run: chmod 600 {path}")
        with os.fdopen(os.dup(descriptor), "rb") as opened:
            raw = opened.read()
    finally:
        os.close(descriptor)
    return _parse(path, raw)


def _parse(path: Path, raw: bytes) -> _State:
    try:
        plain: Any = msgspec.json.decode(raw)
        if isinstance(plain, dict) and isinstance(plain.get("v"), int) and plain["v"] > VERSION:
            why = f"its version is {plain['v']}, this one reads {VERSION}"
            raise FlyballError("signer_newer", f"the signer {path} cannot be read", why, "Use a newer Flyball")
        state = msgspec.convert(plain, _State)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        # Not chained, and no detail: the bytes hold the private key.
        raise _corrupt(path, "it is no signer state") from None
    if state.v != VERSION:
        raise _corrupt(path, "it has no version")
    return state


def _key(path: Path, state: _State) -> VerifierKey:
    try:
        return VerifierKey(name=state.name, public=public_key(_bytes(state.private)))
    except (ValueError, FlyballError):
        raise _corrupt(path, "it holds no key") from None


def _signed(path: Path, state: _State, log: str) -> Signed:
    found = state.logs.get(log)
    if found is None:
        return Signed()
    try:
        frontier = Frontier(size=found.size, hashes=tuple(map(_bytes, found.hashes)))
    except (ValueError, FlyballError):
        raise _corrupt(path, "what it signed is no tree") from None
    if frontier.root().hex() != found.root or any(len(one) != 32 for one in frontier.hashes):
        raise _corrupt(path, "the root it signed is another one")
    return Signed(origin=found.origin, frontier=frontier)


def _bytes(text: str) -> bytes:
    """What is written in hexadecimal as a signer writes it; raises ValueError where somebody else did."""
    value = bytes.fromhex(text)
    if value.hex() != text:
        raise ValueError("it is not in small letters")
    return value


def _origins(state: _State) -> Mapping[str, str]:
    return by_origin({log: kept.origin for log, kept in state.logs.items()})


def _log(signed: Signed) -> _Log:
    f = signed.frontier
    return _Log(origin=signed.origin, size=f.size, root=f.root().hex(), hashes=tuple(one.hex() for one in f.hashes))


@contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    try:
        descriptor = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as failed:
        raise _unwritable(path, failed) from failed
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, state: _State) -> None:
    # The name is fixed: under the lock nobody else writes it, and what a crash left behind is overwritten.
    fresh = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            os.fchmod(descriptor, 0o600)
            opened.write(msgspec.json.encode(state))
            opened.flush()
            _sync(descriptor)
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            _sync(folder)
        finally:
            os.close(folder)
    except OSError as failed:
        raise _unwritable(path, failed) from failed


def _sync(descriptor: int) -> None:
    # macOS: fsync leaves the data in the drive's cache.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full)


def _corrupt(path: Path, why: str) -> FlyballError:
    fix = "Restore it from where it was kept; if there is none, open a new epoch"
    return FlyballError("signer_corrupt", f"the signer {path} is damaged", why, fix)


def _unwritable(path: Path, failed: OSError) -> FlyballError:
    fix = "Check that the disk has room and that this user may write the file and its folder"
    return FlyballError("signer_unwritable", f"the signer {path} cannot be used", failed.strerror or "", fix)
