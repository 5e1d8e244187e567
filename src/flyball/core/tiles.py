"""The files of a tiled log (C2SP tlog-tiles): their paths, which ones a tree has, and their bytes.

Rules:

* A tile holds up to 256 consecutive hashes of tree level ``8 * level``; an entry bundle holds up to 256 entries, each
  after its length in two big-endian bytes, so an entry has at most 65 535 bytes.
* Only the last tile of a level may be narrower, and then its path says how wide it is. Empty tiles do not exist.
* A path has one spelling: what does not come out of `Tile.path` is refused by `parse_path`.

>>> Tile(level=0, index=1234067).path
'tile/0/x001/x234/067'
>>> [tile.path for tile in tiles_for(257)]
['tile/0/000', 'tile/0/001.p/1', 'tile/1/000.p/1']
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from flyball.core.errors import FlyballError
from flyball.core.merkle import HASH_BYTES, NodeGetter

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
MAX_LEVEL: Final = 63
MAX_INDEX: Final = 2**63 - 1
MAX_ENTRY_BYTES: Final = 65_535
CHECKPOINT_PATH: Final = "checkpoint"
_LENGTH_BYTES: Final = 2
# Seven groups hold every index below 2**63; without a bound a path could carry an integer of any length.
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?"
)


class Tile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of hashes, or of entries when ``level`` is None; ``width`` counts what it holds, 1 to 256.

    Raises `FlyballError` ``bad_tile`` for numbers that the format does not have.
    """

    level: int | None
    index: int
    width: int = WIDTH

    def __post_init__(self) -> None:
        level = 0 if self.level is None else self.level
        if not (0 <= level <= MAX_LEVEL and 0 <= self.index <= MAX_INDEX and 1 <= self.width <= WIDTH):
            raise _bad(f"level {self.level}, index {self.index}, width {self.width} are out of range")

    @property
    def path(self) -> str:
        """Where the file stands, relative to the log's prefix: ``tile/<L>/<N>[.p/<W>]``."""
        digits = str(self.index)
        digits = digits.zfill(-(-len(digits) // 3) * 3)
        groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
        index = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
        level = "entries" if self.level is None else str(self.level)
        return f"tile/{level}/{index}" + (f".p/{self.width}" if self.width < WIDTH else "")


def parse_path(path: str) -> Tile:
    """The tile at a path. Raises `FlyballError` ``bad_tile`` for any path that the format does not produce."""
    match = _PATH.fullmatch(path)
    if match is None:
        raise _bad("it is no tile's path")
    level, index, width = match["level"], match["index"], match["width"]
    tile = Tile(
        level=None if level == "entries" else int(level),
        index=int(index.replace("x", "").replace("/", "")),
        width=WIDTH if width is None else int(width),
    )
    if tile.path != path:
        raise _bad(f"the path of this tile is {tile.path}")
    return tile


def tiles_for(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The hash tiles of a tree of ``size`` leaves, level by level, that a tree of ``since`` leaves did not have."""
    level = 0
    while size:
        yield from _row(level, size, since)
        size, since, level = size >> HEIGHT, since >> HEIGHT, level + 1


def bundles_for(size: int, *, since: int = 0) -> Iterator[Tile]:
    """The entry bundles of a log of ``size`` entries that one of ``since`` entries did not have."""
    return _row(None, size, since)


def tile_bytes(tile: Tile, node: NodeGetter) -> bytes:
    """The content of a hash tile, from the tree's complete subtrees: ``node(level, index)`` as in `merkle`.

    Raises `FlyballError` ``bad_tile`` for an entry bundle, which holds entries.
    """
    if tile.level is None:
        raise _bad("an entry bundle holds entries, not hashes")
    first, level = tile.index * WIDTH, tile.level * HEIGHT
    return b"".join(node(level, index) for index in range(first, first + tile.width))


def parse_tile(raw: bytes, width: int = WIDTH) -> tuple[bytes, ...]:
    """The hashes of a tile. Raises `FlyballError` ``bad_tile`` unless there are exactly ``width`` of them."""
    if len(raw) != width * HASH_BYTES:
        raise _bad(f"it has {len(raw)} bytes, a tile of width {width} has {width * HASH_BYTES}")
    return tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))


def bundle_bytes(entries: Sequence[bytes]) -> bytes:
    """The content of an entry bundle. Raises `FlyballError` ``bad_tile`` unless it has 1 to 256 entries that fit."""
    if not 1 <= len(entries) <= WIDTH:
        raise _bad(f"a bundle holds 1 to {WIDTH} entries, not {len(entries)}")
    for at, entry in enumerate(entries):
        if len(entry) > MAX_ENTRY_BYTES:
            raise _bad(f"entry {at} has {len(entry)} bytes, at most {MAX_ENTRY_BYTES} fit")
    return b"".join(len(entry).to_bytes(_LENGTH_BYTES, "big") + entry for entry in entries)


def parse_bundle(raw: bytes, width: int = WIDTH) -> tuple[bytes, ...]:
    """The entries of a bundle. Raises `FlyballError` ``bad_tile`` unless the bytes are exactly ``width`` entries."""
    entries: list[bytes] = []
    at = 0
    while at < len(raw):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(raw[at:start], "big")
        if start > len(raw) or at > len(raw):
            raise _bad(f"entry {len(entries)} is cut short")
        entries.append(raw[start:at])
    if len(entries) != width:
        raise _bad(f"it has {len(entries)} entries, its path says {width}")
    return tuple(entries)


def _row(level: int | None, count: int, since: int) -> Iterator[Tile]:
    if count <= since:
        return
    for index in range(since // WIDTH, -(-count // WIDTH)):
        yield Tile(level=level, index=index, width=min(WIDTH, count - index * WIDTH))


def _bad(why: str) -> FlyballError:
    return FlyballError("bad_tile", "the tile is not well formed", why, "See c2sp.org/tlog-tiles")
