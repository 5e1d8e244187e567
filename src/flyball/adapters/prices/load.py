"""Reads price tables: the one in the package, and a project's own laid over it."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Final

from flyball.core.canonical import parse_json
from flyball.core.errors import FlyballError
from flyball.core.prices import PriceTable, overlaid, price_table

_MAX_TABLE: Final = 8 * 1_048_576


def default_prices() -> PriceTable:
    """The table of this release of the package."""
    shipped = resources.files("flyball.adapters.prices").joinpath("default.toml")
    return price_table(tomllib.loads(shipped.read_text(encoding="utf-8")))


def load_prices(path: str | Path | None = None, digest: str | None = None) -> PriceTable:
    """The package's table with the entries of a TOML (or, by its name, JSON) file laid over it; see `price_table`.

    `digest` pins it. Raises FlyballError `bad_prices` naming the file and the place, `prices_changed` for another table
    than was pinned.
    """
    table = default_prices() if path is None else overlaid(default_prices(), read_prices(path))
    if digest is not None and digest != table.digest:
        raise FlyballError(
            "prices_changed", f"the price table is {table.digest}, and prices.digest pins {digest}",
            "the file, or the table that the package brings, has changed",
            "Compare the prices, then pin the new digest.",
        )  # fmt: skip
    return table


def read_prices(path: str | Path) -> PriceTable:
    """The table in one file, nothing added. Raises FlyballError `bad_prices`."""
    place = Path(path).expanduser()
    try:
        with place.open("rb") as file:
            raw = file.read(_MAX_TABLE + 1)
    except OSError as bad:
        raise FlyballError("bad_prices", f"{place} cannot be read", bad.strerror or str(bad)) from bad
    if len(raw) > _MAX_TABLE:
        raise FlyballError("bad_prices", f"{place} is too large", f"more than {_MAX_TABLE} bytes")
    try:
        return price_table(_parsed(raw, json=place.suffix == ".json"))
    except FlyballError as bad:
        raise FlyballError("bad_prices", f"{place}: {bad.what}", bad.why, bad.fix) from bad


def _parsed(raw: bytes, *, json: bool) -> dict[str, Any]:
    try:
        data = parse_json(raw, max_bytes=_MAX_TABLE) if json else tomllib.loads(raw.decode())
    except (ValueError, RecursionError) as bad:
        # TOMLDecodeError and UnicodeDecodeError are ValueErrors.
        raise FlyballError("bad_prices", "it is not TOML", str(bad)) from bad
    if not isinstance(data, dict):
        raise FlyballError("bad_prices", "it is not a table")
    return data
