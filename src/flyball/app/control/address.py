"""Where the owner of a journal is reached: a Unix socket beside the database that only its user can open.

Rules:

* Only the process that holds the journal's lock makes the socket, and clears away what a dead owner left.
* The socket is 0600 before anybody can connect to it: it listens only after its mode was set.
* A path that is too long for a socket is replaced by a short one in a 0700 folder, which a 0600 file beside the
  database names.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# 104 bytes on macOS, 108 on Linux, the closing zero included.
MOST_PATH: Final = 100
BACKLOG: Final = 16
_LOCAL_PEERCRED: Final = 1
_OTHERS: Final = 0o077


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A listening socket, and what goes away with it."""

    socket: socket.socket
    path: Path
    note: Path

    def release(self) -> None:
        """Removes the socket's name; whoever comes now finds no owner."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)
        _forget(self.note)


def bind(database: Path) -> Bound:
    """A socket for the owner of this database, replacing what a dead owner left. Raises OSError."""
    path, note = _beside(database)
    if path.is_socket():
        path.unlink()
    _forget(note)
    if len(os.fsencode(path)) > MOST_PATH:
        path = _short(note)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        path.chmod(0o600)
        made.listen(BACKLOG)
        made.setblocking(False)
    except OSError:
        made.close()
        raise
    return Bound(socket=made, path=path, note=note)


def find(database: Path) -> Path | None:
    """The socket of the owner, if there is one that belongs to this user; it may be one that a dead owner left."""
    path, note = _beside(database)
    found = path if path.is_socket() else _noted(note)
    try:
        mine = found is not None and found.stat().st_uid == os.geteuid()
    except OSError:
        return None
    return found if mine else None


def peer(connection: socket.socket) -> int:
    """The effective user id of the process at the other end, as the kernel tells it."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", raw)
        return int(uid)
    raw = connection.getsockopt(0, _LOCAL_PEERCRED, 76)  # struct xucred: version, user id, groups
    _, uid = struct.unpack_from("=II", raw)
    return int(uid)


def _beside(database: Path) -> tuple[Path, Path]:
    return database.with_name(database.name + ".sock"), database.with_name(database.name + ".sock.at")


def _short(note: Path) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="flyball-"))
    if len(os.fsencode(folder)) > MOST_PATH - 2:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="flyball-", dir="/tmp"))
    path = folder / "s"
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(os.fsencode(path))
    return path


def _noted(note: Path) -> Path | None:
    """The path that a note names, if nobody else can have written it."""
    try:
        descriptor = os.open(note, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as opened:
        told = os.fstat(opened.fileno())
        if told.st_uid != os.geteuid() or stat.S_IMODE(told.st_mode) & _OTHERS:
            return None
        return Path(os.fsdecode(opened.read(MOST_PATH + 1)))


def _forget(note: Path) -> None:
    path = _noted(note)
    if path is not None and path.name == "s" and path.parent.name.startswith("flyball-"):
        with suppress(OSError):
            path.unlink(missing_ok=True)
            path.parent.rmdir()
    with suppress(OSError):
        note.unlink(missing_ok=True)
