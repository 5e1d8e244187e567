from __future__ import annotations

import json
from pathlib import Path

import pytest

from flyball.adapters.prices.load import default_prices, load_prices, read_prices
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig, Usage
from flyball.core.prices import cost, greatest, lookup


def refused(path: Path) -> FlyballError:
    with pytest.raises(FlyballError) as caught:
        read_prices(path)
    assert caught.value.code == "bad_prices" and path.name in caught.value.what
    return caught.value


def test_the_shipped_table_is_whole_and_names_itself() -> None:
    table = load_prices()
    assert table == default_prices() and len(table.digest) == 64
    for name, price in table.prices.items():
        assert price.cached <= price.input <= price.output, name
        assert greatest(300_000, 1, price) >= cost(Usage(input=300_000, output=1), price)


def test_a_scripted_model_costs_nothing() -> None:
    price = lookup(default_prices(), ModelConfig(name="default", adapter="scripted").priced_as)
    assert price is not None and greatest(10**6, 10**6, price) == 0


def test_a_known_call_has_a_known_cost() -> None:
    price = lookup(default_prices(), "gpt-5-mini")
    assert price is not None and cost(Usage(input=10_000, cached=4_000, output=1_000), price) == 3_600


def test_a_model_that_is_not_named_has_no_price() -> None:
    assert lookup(default_prices(), "gpt-5.5-mini") is None


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_projects_prices_are_laid_over_the_shipped_ones(tmp_path: Path, suffix: str) -> None:
    data = {"prices": 1, "models": {"local": {"input": 0, "output": 0}, "gpt-5": {"input": 7, "output": 8}}}
    toml = 'prices = 1\n[models.local]\ninput = 0\noutput = 0\n[models."gpt-5"]\ninput = 7\noutput = 8\n'
    (tmp_path / f"p{suffix}").write_text(toml if suffix == ".toml" else json.dumps(data))
    table = load_prices(tmp_path / f"p{suffix}")
    assert (table.prices["local"].input, table.prices["gpt-5"].input) == (0, 7)
    assert "gpt-5-mini" in table.prices and table.digest != default_prices().digest


def test_a_pinned_table_is_that_table_or_none() -> None:
    digest = default_prices().digest
    assert load_prices(None, digest) == default_prices()
    with pytest.raises(FlyballError, match=f"the price table is {digest}, and prices.digest pins {'0' * 64}"):
        load_prices(None, "0" * 64)


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("p.toml", b"prices = "), ("p.toml", b"\xff"), ("p.json", b"{"), ("p.json", b"[]"), ("p.json", b'{"prices":2}'),
        ("p.json", b'{"prices":1,"prices":1}'), ("p.toml", b"prices = 1\n[models.m]\ninput = 0.25\noutput = 1"),
        ("p.toml", b" " * (8 * 1_048_576 + 1)), ("p.toml", b"a = " + b"[" * 100_000),
    ],
)  # fmt: skip
def test_a_file_with_a_fault_is_named(tmp_path: Path, name: str, raw: bytes) -> None:
    (tmp_path / name).write_bytes(raw)
    refused(tmp_path / name)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.toml")
