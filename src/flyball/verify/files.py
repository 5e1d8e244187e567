"""The files of an export directory, as somebody else made them: listed once, read with limits, hashed as they are read.

Only regular files count: a link, a pipe or a device in an export is a finding and is never opened.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from flyball.core.errors import FlyballError
from flyball.verify.report import Findings, named

MANIFEST: Final = "manifest.json"
CHECKPOINT: Final = "checkpoint"
MAX_FILE: Final = 64 * 1_048_576
_MAX_DEPTH: Final = 16
# Windows has no O_NOFOLLOW, and would otherwise translate line ends.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class Files:
    """The regular files under a directory by their relative path, and what is wrong with the others.

    Raises `FlyballError` ``not_an_export`` when there is neither a checkpoint nor a manifest.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.findings = Findings("files")
        self.paths: frozenset[str] = frozenset(self._walk("", _MAX_DEPTH))
        self._digests: dict[str, str] = {}
        if MANIFEST not in self.paths and CHECKPOINT not in self.paths:
            why = f"there is no {CHECKPOINT} and no {MANIFEST}" if root.is_dir() else "it is no directory"
            fix = "Make one with: flyball ledger export DIR"
            raise FlyballError("not_an_export", f"{root} is no export of a ledger", why, fix)

    def read(self, path: str) -> bytes | None:
        """The content of a file; None, with a finding, where it cannot be had."""
        if path not in self.paths:
            return None
        try:
            descriptor = os.open(self._root / path, _FLAGS)
            with os.fdopen(descriptor, "rb") as opened:
                # One byte more than it says to have; a buffer for the largest file would cost more than most files.
                raw = opened.read(min(os.fstat(descriptor).st_size, MAX_FILE) + 1)
        except OSError as failed:
            self.findings.add(f"{named(path)} cannot be read: {failed.strerror}")
            return None
        if len(raw) > MAX_FILE:
            self.findings.add(f"{named(path)} has more than {MAX_FILE} bytes")
            return None
        self._digests[path] = sha256(raw).hexdigest()
        return raw

    def under(self, folder: str) -> list[str]:
        """The paths in a folder, sorted."""
        return sorted(path for path in self.paths if path.startswith(f"{folder}/"))

    def compare(self, listed: Mapping[str, object]) -> None:
        """Notes every file that is not as the manifest lists it, is not listed, or is listed and absent."""
        for path in sorted(listed.keys() - self.paths):
            self.findings.add(f"{named(path)} is missing")
        for path in sorted(self.paths - listed.keys() - {MANIFEST}):
            self.findings.add(f"{named(path)} is not in the manifest")
        for path in sorted(listed.keys() & self.paths):
            if path not in self._digests:
                self.read(path)
            if path in self._digests and self._digests[path] != listed[path]:
                self.findings.add(f"{named(path)} is not the file that the manifest lists")

    def _walk(self, folder: str, depth: int) -> Iterator[str]:
        if not depth:
            self.findings.add(f"{named(folder)} is nested too deeply")
            return
        try:
            with os.scandir(self._root / folder) as entries:
                found = [(entry.name, entry.stat(follow_symlinks=False).st_mode) for entry in entries]
        except OSError as failed:
            if folder:
                self.findings.add(f"{named(folder)} cannot be read: {failed.strerror}")
            return
        for name, mode in found:
            path = f"{folder}/{name}" if folder else name
            if stat.S_ISDIR(mode):
                yield from self._walk(path, depth - 1)
            elif stat.S_ISREG(mode):
                yield path
            else:
                self.findings.add(f"{named(path)} is no regular file")
