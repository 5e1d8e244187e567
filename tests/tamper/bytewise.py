"""Every byte of the files of a folder, flipped one at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.tamper.world import Verdict


class Flip(NamedTuple):
    """One byte of one file."""

    path: Path
    at: int


def flips(folder: Path) -> list[Flip]:
    """Every byte of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [Flip(path, at) for path in files for at in range(path.stat().st_size)]


def flipped(flip: Flip, look: Callable[[], Verdict]) -> Verdict:
    """What is said while a bit of this byte is another one; the byte is put back."""
    raw = flip.path.read_bytes()
    flip.path.write_bytes(raw[: flip.at] + bytes([raw[flip.at] ^ 1 << flip.at % 8]) + raw[flip.at + 1 :])
    try:
        return look()
    finally:
        flip.path.write_bytes(raw)
