"""What a model call costs: integer micro-dollars per million tokens, from a table that is named by its digest.

Rules:

* A model that the table does not name has no price: `lookup` gives None, and what has no price is denied. 0 is a price.
* Every amount is rounded up to a whole micro-dollar: a sum of calls is never more than what was reserved for them.
* `greatest` is the most that a call can cost: its input bounded by `bound_tokens`, its output by its own limit.

>>> cost(Usage(input=1_000, output=10), Price(input=250_000, output=2_000_000, cached=25_000))
270
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from flyball.core.artifact import Artifact
from flyball.core.canonical import encode
from flyball.core.errors import FlyballError
from flyball.core.model import ModelRequest, Usage, nearest

MILLION: Final = 1_000_000
FORMAT: Final = 1
# Chat templates wrap each message, and instructions about tools, in tokens that are no part of the text.
_PER_MESSAGE: Final = 32
_PER_FILE: Final = 6_000
_PER_TOOL: Final = 64
_PER_REQUEST: Final = 512
_RATES: Final = ("input", "output", "cached", "written")


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-dollars per million tokens: of input, of output, of input read from the provider's cache or put into it.

    Without `written`, input that is put into the cache costs as much as other input.
    """

    input: int
    output: int
    cached: int
    # Unset is no part of the digest: a table without it keeps the digest that was pinned.
    written: int | msgspec.UnsetType = msgspec.UNSET


class Price(Rates, frozen=True, kw_only=True):
    """A model's price. A prompt of more than `over` tokens is charged at `long` throughout, where there is one."""

    over: int = 0
    long: Rates | None = None


class PriceTable(msgspec.Struct, frozen=True, kw_only=True):
    """Prices by model name; `digest` is the SHA-256 of their canonical form, in hex."""

    prices: Mapping[str, Price]
    digest: str


def price_table(data: Mapping[str, Any]) -> PriceTable:
    """Reads a table as TOML or JSON gives it: `prices = 1`, then `[models."NAME"]` with the fields of `Rates`.

    `also` lists further names of a model; `over` and `long = {input, output, cached, written}` its price for long
    prompts. Without `cached` or `written`, such tokens cost as much as others. Raises FlyballError `bad_prices` naming
    the place.
    """
    _known(data, ("prices", "models"), "the price table")
    if type(data.get("prices")) is not int or data["prices"] != FORMAT:
        raise _bad("the price table has another format", "", f"Begin the file with prices = {FORMAT}")
    prices: dict[str, Price] = {}
    for name, entry in _table(data.get("models", {}), "models").items():
        fields = _table(entry, name)
        price = _price(name, fields)
        for known_as in (name, *_names(name, fields.get("also", []))):
            if known_as in prices or not known_as.isascii():
                raise _bad(f"models.{known_as[:64]!r}", "it stands twice, or is not ASCII")
            prices[known_as] = price
    return _digested(prices)


def overlaid(table: PriceTable, over: PriceTable) -> PriceTable:
    """The first table with the entries of the second put over it, and a digest of its own."""
    return _digested({**table.prices, **over.prices})


def lookup(table: PriceTable, model: str) -> Price | None:
    """The price of a model by its exact name; None is a reason to deny."""
    return table.prices.get(model)


def cost(usage: Usage, price: Price) -> int:
    """What a call cost, in micro-dollars, rounded up. Tokens read from a cache or put into it are part of the input."""
    rates = _rates(price, usage.input)
    fresh = max(0, usage.input - usage.cached - usage.written)
    kept = usage.cached * rates.cached + usage.written * _written(rates)
    return _up(fresh * rates.input + kept + usage.output * rates.output)


def greatest(input_tokens: int, max_tokens: int, price: Price) -> int:
    """The most that a call can cost, in micro-dollars: all of its input at the dearest rate, all of `max_tokens`.

    `input_tokens` is an upper bound (`bound_tokens`). Raises FlyballError `no_max_tokens` where `max_tokens` is not
    above 0: without it there is no most.
    """
    if max_tokens < 1:
        raise FlyballError(
            "no_max_tokens", "the call has no limit on its output", "its budget cannot be reserved",
            "Set max_tokens of the model above 0",
        )  # fmt: skip
    tiers = [_rates(price, 0), _rates(price, input_tokens)]
    read = max(max(t.input, t.cached, _written(t)) for t in tiers)
    return _up(input_tokens * read + max_tokens * max(t.output for t in tiers))


def bound_tokens(request: ModelRequest) -> int:
    """An upper bound of the tokens that a request is read as.

    Tokenisers that work on bytes (BPE) make at most one token of each byte; what a chat template adds around messages
    and tools is allowed for by constants.
    """
    total = _PER_REQUEST
    for message in request.messages:
        total += _PER_MESSAGE + _size(message.text) + _size(message.name) + _size(message.call_id)
        total += _size(message.echo or "")
        total += sum(_of_file(artifact) for artifact in message.artifacts or ())
        total += sum(_PER_MESSAGE + _size(c.id) + _size(c.name) + _size(c.arguments) for c in message.calls)
    for tool in request.tools:
        total += _PER_TOOL + _size(tool.name) + _size(tool.description) + len(msgspec.json.encode(tool.schema))
    if request.output_schema is not None:
        total += _PER_TOOL + len(msgspec.json.encode(request.output_schema))
    return total


def _of_file(artifact: Artifact) -> int:
    # Providers scale an image down to at most some thousand tokens; a page of a document costs an image and its text.
    return max(_PER_FILE, artifact.size) if artifact.kind != "image" else _PER_FILE


def _rates(price: Price, tokens: int) -> Rates:
    if price.long is not None and tokens > price.over:
        return price.long
    return price


def _written(rates: Rates) -> int:
    return rates.input if rates.written is msgspec.UNSET else rates.written


def _up(amount: int) -> int:
    return -(-amount // MILLION)


def _size(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))


def _digested(prices: Mapping[str, Price]) -> PriceTable:
    canonical = encode({"v": FORMAT, "prices": {n: msgspec.to_builtins(p) for n, p in prices.items()}})
    return PriceTable(prices=dict(prices), digest=hashlib.sha256(canonical).hexdigest())


def _price(name: str, fields: Mapping[str, Any]) -> Price:
    _known(fields, (*_RATES, "also", "over", "long"), f"models.{name}")
    rates = _read_rates(name, fields)
    if "long" not in fields and "over" not in fields:
        return Price(input=rates.input, output=rates.output, cached=rates.cached, written=rates.written)
    long = _table(fields.get("long", {}), f"{name}.long")
    _known(long, _RATES, f"models.{name}.long")
    return Price(
        input=rates.input, output=rates.output, cached=rates.cached, written=rates.written,
        over=_amount(name, fields, "over"), long=_read_rates(f"{name}.long", long),
    )  # fmt: skip


def _read_rates(name: str, fields: Mapping[str, Any]) -> Rates:
    read = _amount(name, fields, "input")
    cached = _amount(name, fields, "cached") if "cached" in fields else read
    written = _amount(name, fields, "written") if "written" in fields else msgspec.UNSET
    return Rates(input=read, output=_amount(name, fields, "output"), cached=cached, written=written)


def _amount(name: str, fields: Mapping[str, Any], field: str) -> int:
    value = fields.get(field)
    if type(value) is not int or not 0 <= value <= MILLION * MILLION:
        why = "it is missing" if value is None else "it is not a whole number of micro-dollars per million tokens"
        raise _bad(f"models.{name}.{field}", why, "Write 250_000 for $0.25 per million tokens, 0 for a local model")
    return value


def _names(name: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        raise _bad(f"models.{name}.also", "it is not a list of names")
    return value


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _bad(f"models.{name}", "it is not a table")
    return value


def _known(fields: Mapping[str, Any], names: tuple[str, ...], where: str) -> None:
    for field in fields:
        if field not in names:
            guess = nearest(field, names)
            fix = f"Did you mean {guess}?" if guess else f"Known: {', '.join(names)}"
            if isinstance(fields[field], Mapping) and not guess:
                fix = f'A name with a dot stands in quotes: [models."gpt-5.4"]; {fix}'
            raise _bad(f"{where}: unknown key {field[:64]!r}", "", fix)


def _bad(what: str, why: str, fix: str = "") -> FlyballError:
    return FlyballError("bad_prices", what, why, fix)
