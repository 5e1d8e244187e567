"""Cursors of an exporter in a directory: a file for each tenant, replaced whole, and a lock: one process exports.

A cursor that is lost or cannot be read is begun anew: what is sent again has the same ids as before.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

import msgspec

from flyball.core.telemetry import Cursor

LONGEST: Final = 120


class CursorFiles:
    """Implements `ports.exporter.Cursors` in a directory of its own, which is made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, -1

    def take(self) -> bool:
        """Makes this process the one that exports; False while another one is. Taking twice is fine."""
        if self._lock >= 0:
            return True
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def load(self, tenant: str) -> Cursor | None:
        """What was saved last; None where nothing is there that can be read."""
        try:
            return msgspec.json.decode(self._file(tenant).read_bytes(), type=Cursor)
        except (OSError, msgspec.DecodeError):
            return None

    def save(self, tenant: str, cursor: Cursor) -> None:
        """Keeps it, whole or not at all. It is not forced to the disk: losing it costs nothing but sending again."""
        file = self._file(tenant)
        fresh = file.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(cursor))
        fresh.replace(file)

    def close(self) -> None:
        """Another process may export now."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            with suppress(OSError):
                os.close(lock)

    def _file(self, tenant: str) -> Path:
        name = quote(tenant, safe="")
        return self._folder / f"{name if len(name) <= LONGEST else sha256(name.encode()).hexdigest()}.json"
