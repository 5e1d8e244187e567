from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.errors import FlyballError
from flyball.core.merkle import Frontier, leaf_hash, new_nodes, root_from_leaves
from flyball.core.tiles import (
    MAX_ENTRY_BYTES,
    MAX_INDEX,
    Tile,
    bundle_bytes,
    bundles_for,
    parse_bundle,
    parse_path,
    parse_tile,
    tile_bytes,
    tiles_for,
)

tiles = st.builds(
    Tile,
    level=st.none() | st.integers(0, 63),
    index=st.integers(0, MAX_INDEX) | st.integers(0, 2000),
    width=st.integers(1, 256),
)


def refused_as_bad_tile() -> pytest.RaisesExc[FlyballError]:
    return pytest.raises(FlyballError, check=lambda error: error.code == "bad_tile")


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(level=0, index=1234067), "tile/0/x001/x234/067"),
        (Tile(level=0, index=0), "tile/0/000"),
        (Tile(level=63, index=999, width=255), "tile/63/999.p/255"),
        (Tile(level=1, index=1000, width=1), "tile/1/x001/000.p/1"),
        (Tile(level=None, index=273, width=112), "tile/entries/273.p/112"),
    ],
)
def test_a_path_is_spelt_as_c2sp_says(tile: Tile, path: str) -> None:
    assert tile.path == path
    assert parse_path(path) == tile


@given(tiles)
def test_every_path_parses_back_to_its_tile(tile: Tile) -> None:
    assert parse_path(tile.path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/300",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/" + "x999/" * 6 + "999",
        "tile/0/" + "x999/" * 2000 + "999",
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    with refused_as_bad_tile():
        parse_path(path)


@pytest.mark.parametrize("numbers", [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257), (0, 2**63, 1)])
def test_numbers_the_format_does_not_have_make_no_tile(numbers: tuple[int, int, int]) -> None:
    level, index, width = numbers
    with refused_as_bad_tile():
        Tile(level=level, index=index, width=width)


def test_a_tree_of_70_000_has_the_tiles_of_the_specification() -> None:
    found = [(tile.level, tile.width) for tile in tiles_for(70_000)]
    expected = [(0, 256)] * 273 + [(0, 112), (1, 256), (1, 17), (2, 1)]
    assert found == expected
    assert [tile.width for tile in bundles_for(70_000)] == [256] * 273 + [112]


def test_a_tree_of_256_has_a_full_tile_and_one_of_width_1_above() -> None:
    assert [tile.path for tile in tiles_for(256)] == ["tile/0/000", "tile/1/000.p/1"]


def test_an_empty_log_has_no_files() -> None:
    assert list(tiles_for(0)) == list(bundles_for(0)) == []


@given(st.lists(st.integers(0, 200_000), min_size=2, max_size=2).map(sorted))
def test_what_growth_adds_is_what_the_larger_tree_has_and_the_smaller_had_not(sizes: list[int]) -> None:
    before, after = sizes
    for files in (tiles_for, bundles_for):
        added = list(files(after, since=before))
        assert set(added) == set(files(after)) - set(files(before))
        assert len(added) == len(set(added))


@given(st.integers(1, 1500))
def test_tiles_hold_the_tree_they_were_made_of(size: int) -> None:
    leaves = [leaf_hash(index.to_bytes(2, "big")) for index in range(size)]
    nodes, frontier = {}, Frontier()
    for leaf in leaves:
        frontier, new = new_nodes(frontier, leaf)
        nodes.update({(level, index): digest for level, index, digest in new})
    contents = {tile: parse_tile(tile_bytes(tile, lambda *at: nodes[at]), tile.width) for tile in tiles_for(size)}
    assert [item for tile, hashes in contents.items() if tile.level == 0 for item in hashes] == leaves
    full = [root_from_leaves(hashes) for tile, hashes in contents.items() if tile.level == 0 and tile.width == 256]
    assert [item for tile, hashes in contents.items() if tile.level == 1 for item in hashes] == full


def test_an_entry_bundle_has_no_hashes() -> None:
    with refused_as_bad_tile():
        tile_bytes(Tile(level=None, index=0), lambda *_: bytes(32))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_tile_of_another_length_than_its_width_is_refused(size: int) -> None:
    with refused_as_bad_tile():
        parse_tile(bytes(size), 1)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=256))
def test_a_bundle_parses_back_to_its_entries(entries: list[bytes]) -> None:
    assert parse_bundle(bundle_bytes(entries), len(entries)) == tuple(entries)


def test_a_bundle_writes_each_length_in_two_big_endian_bytes() -> None:
    assert bundle_bytes([b"ab", b"", b"c" * 258]) == b"\0\2ab" + b"\0\0" + b"\1\2" + b"c" * 258


def test_the_largest_entry_fits_and_one_byte_more_is_refused() -> None:
    assert parse_bundle(bundle_bytes([bytes(MAX_ENTRY_BYTES)]), 1) == (bytes(MAX_ENTRY_BYTES),)
    with refused_as_bad_tile():
        bundle_bytes([b"", bytes(MAX_ENTRY_BYTES + 1)])


@pytest.mark.parametrize("count", [0, 257])
def test_a_bundle_of_no_or_too_many_entries_is_refused(count: int) -> None:
    with refused_as_bad_tile():
        bundle_bytes([b""] * count)


def test_every_cut_of_a_bundle_is_refused() -> None:
    whole = bundle_bytes([b"ab", b"", b"xyz"])
    for end, _ in pairwise(range(len(whole) + 1)):
        with refused_as_bad_tile():
            parse_bundle(whole[:end], 3)


def test_a_bundle_with_more_entries_than_its_width_is_refused() -> None:
    with refused_as_bad_tile():
        parse_bundle(bundle_bytes([b"a", b"b"]), 1)
