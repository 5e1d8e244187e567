"""The desk's own words, and what can be decided without a model: prices, sums, clauses, the final text.

A model chooses items, a discount and clauses, and writes an opening. Every figure and every clause in the letter comes
from the CRM; `faults` says what is wrong with a draft before anybody else looks at it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tools import Clause, Customer, Price

TOPICS: Final = ("payment", "delivery", "warranty", "liability", "validity")
_ELSEWHERE: Final = re.compile(r"\S+@\S+|https?://|www\.", re.IGNORECASE)
_FIGURE: Final = re.compile(r"(?:€|EUR)\s*\d|\d\s*(?:€|EUR|%)", re.IGNORECASE)


@dataclass(frozen=True)
class Request:
    """What the desk is asked for: a customer's id, and the wish in plain words."""

    customer: str
    wish: str


@dataclass(frozen=True)
class Item:
    """How many of what."""

    sku: str
    quantity: int


@dataclass(frozen=True)
class Findings:
    """What the gatherer found out: items, the discount hoped for in per cent, clauses asked for by id, a summary."""

    items: list[Item]
    discount: int
    clauses: list[str]
    summary: str


@dataclass(frozen=True)
class Task:
    """What the writer works from; `faults` are what was wrong with its last draft."""

    request: Request
    customer: Customer
    findings: Findings
    prices: list[Price]
    clauses: list[Clause]
    faults: list[str]


@dataclass(frozen=True)
class Draft:
    """A proposal before it is written out: `discount` in whole per cent, `clauses` by id, one per topic."""

    subject: str
    opening: str
    items: list[Item]
    discount: int
    clauses: list[str]


@dataclass(frozen=True)
class Check:
    """What the validator reads: the wish, and the letter as it would go out."""

    wish: str
    subject: str
    letter: str


@dataclass(frozen=True)
class Review:
    """What the validator says: remarks that must be dealt with; none: the letter is sound."""

    remarks: list[str]


@dataclass(frozen=True)
class Dispatch:
    """What the sender sends, exactly."""

    customer: str
    to: str
    subject: str
    body: str
    discount: int


@dataclass(frozen=True)
class Done:
    """The proposal's end: the saved document, and what the sender says (the ledger proves it)."""

    document: str
    said: str


def faults(draft: Draft, prices: Sequence[Price], clauses: Sequence[Clause]) -> list[str]:
    """What is wrong with a draft, in sentences for the writer. `clauses` are all there are."""
    return [*_item_faults(draft, prices), *_clause_faults(draft, clauses), *_text_faults(draft)]


def _item_faults(draft: Draft, prices: Sequence[Price]) -> Iterator[str]:
    known = {price.sku for price in prices}
    if not draft.items:
        yield "the draft offers nothing"
    yield from (f"{item.sku} is not on the price list" for item in draft.items if item.sku not in known)
    yield from (f"{i.quantity} x {i.sku} is no quantity" for i in draft.items if not 1 <= i.quantity <= 1000)
    if len({item.sku for item in draft.items}) < len(draft.items):
        yield "an item appears twice"
    if not 0 <= draft.discount <= 100:
        yield f"{draft.discount} per cent is no discount"


def _clause_faults(draft: Draft, clauses: Sequence[Clause]) -> Iterator[str]:
    topics = {clause.id: clause.topic for clause in clauses}
    yield from (f"there is no clause {name}" for name in draft.clauses if name not in topics)
    chosen = [topics.get(name) for name in draft.clauses]
    yield from (f"it needs exactly one clause about {topic}" for topic in TOPICS if chosen.count(topic) != 1)


def _text_faults(draft: Draft) -> Iterator[str]:
    for part in (draft.subject, draft.opening):
        if _ELSEWHERE.search(part):
            yield "addresses and links do not belong into the text"
        if _FIGURE.search(part):
            yield "prices and percentages do not belong into the text: they are added from the price list"
    if "\n" in draft.subject or not draft.subject.strip():
        yield "the subject is one line"


def deviating(draft: Draft, clauses: Sequence[Clause]) -> list[Clause]:
    """The chosen clauses that are not our standard ones."""
    return [clause for clause in clauses if clause.id in draft.clauses and not clause.standard]


def with_standard_clauses(draft: Draft, clauses: Sequence[Clause]) -> Draft:
    """The same draft with the standard clause of each topic it names."""
    topics = {clause.topic for clause in clauses if clause.id in draft.clauses}
    return replace(draft, clauses=[clause.id for clause in clauses if clause.standard and clause.topic in topics])


def total(draft: Draft, prices: Sequence[Price]) -> tuple[int, int]:
    """The sum before and after the discount, in cents; the customer gets the benefit of rounding."""
    cents = {price.sku: price.cents for price in prices}
    gross = sum(cents[item.sku] * item.quantity for item in draft.items)
    return gross, gross * (100 - draft.discount) // 100


def written_out(draft: Draft, customer: Customer, prices: Sequence[Price], clauses: Sequence[Clause]) -> str:
    """The letter: the model's opening, our figures, our clauses."""
    by_sku = {price.sku: price for price in prices}
    gross, net = total(draft, prices)
    lines = [_line(item, by_sku[item.sku]) for item in draft.items]
    less = [f"Discount {draft.discount} %: -{_euro(gross - net)}"] if draft.discount else []
    terms = [f"  {clause.id}  {clause.text}" for clause in clauses if clause.id in draft.clauses]
    sums = [f"Sum: {_euro(gross)}", *less, f"Total: {_euro(net)}"]
    head = [f"Dear {customer.contact_name},", draft.opening.strip()]
    parts = (*head, "\n".join(lines), "\n".join(sums), "\n".join(terms), "Halden Instruments")
    return "\n\n".join(parts) + "\n"


def _line(item: Item, price: Price) -> str:
    return f"  {item.quantity:>4} x {item.sku}  {price.name}: {_euro(price.cents)} per {price.unit}"


def _euro(cents: int) -> str:
    return f"EUR {cents // 100:,}.{cents % 100:02}"
