"""What the desk decides without a model: faults of a draft, sums, clauses, the letter."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from drafts import (
    TOPICS,
    Draft,
    Item,
    deviating,
    faults,
    total,
    with_standard_clauses,
    written_out,
)
from hypothesis import given
from hypothesis import strategies as st
from tools import Clause, Customer, Price

PRICES = [Price("PT-1", "Transmitter", "pressure", "piece", 33_33), Price("SV-1", "Service", "services", "day", 100_00)]
CLAUSES = [
    Clause(f"{name}-{n}", topic, f"{topic} {n}.", n == 1)
    for topic, name in [(t, t[:3].upper()) for t in TOPICS]
    for n in (1, 2)
]  # fmt: skip
STANDARD = ["PAY-1", "DEL-1", "WAR-1", "LIA-1", "VAL-1"]
SOUND = Draft("Your line 3", "Thank you for your call.", [Item("PT-1", 3), Item("SV-1", 2)], 10, STANDARD)
CUSTOMER = Customer("C-1", "Elbe", "pharma", "A", "Amara Okafor", "amara@elbe.example")


def test_a_sound_draft_has_no_faults() -> None:
    assert faults(SOUND, PRICES, CLAUSES) == []


@pytest.mark.parametrize(("change", "said"), [
    ({"items": []}, "offers nothing"),
    ({"items": [Item("XX-9", 1)]}, "XX-9 is not on the price list"),
    ({"items": [Item("PT-1", 0)]}, "no quantity"),
    ({"items": [Item("PT-1", 1001)]}, "no quantity"),
    ({"items": [Item("PT-1", 1), Item("PT-1", 2)]}, "appears twice"),
    ({"discount": -1}, "no discount"),
    ({"discount": 101}, "no discount"),
    ({"clauses": STANDARD[1:]}, "exactly one clause about payment"),
    ({"clauses": [*STANDARD, "PAY-2"]}, "exactly one clause about payment"),
    ({"clauses": [*STANDARD, "NOPE-1"]}, "no clause NOPE-1"),
    ({"opening": "Write to me@else.example"}, "addresses and links"),
    ({"opening": "See https://else.example"}, "addresses and links"),
    ({"opening": "Only EUR 5 today"}, "prices and percentages"),
    ({"subject": "15 % off"}, "prices and percentages"),
    ({"subject": "two\nlines"}, "one line"),
    ({"subject": " "}, "one line"),
])  # fmt: skip
def test_a_fault_is_named(change: dict[str, Any], said: str) -> None:
    assert any(said in fault for fault in faults(replace(SOUND, **change), PRICES, CLAUSES))


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=2), st.integers(0, 100))
def test_a_discount_never_makes_a_total_negative_or_dearer(quantities: list[int], discount: int) -> None:
    items = [Item("PT-1", quantities[0]), Item("SV-1", quantities[1])]
    gross, net = total(replace(SOUND, items=items, discount=discount), PRICES)
    assert 0 <= net <= gross and abs(gross * (100 - discount) - 100 * net) < 100


def test_a_clause_that_is_not_standard_deviates_until_the_standard_takes_its_place() -> None:
    odd = replace(SOUND, clauses=["PAY-2", *STANDARD[1:]])
    assert [clause.id for clause in deviating(odd, CLAUSES)] == ["PAY-2"]
    assert sorted(with_standard_clauses(odd, CLAUSES).clauses) == sorted(STANDARD)


def test_the_letter_has_our_figures_and_the_whole_text_of_each_clause() -> None:
    text = written_out(SOUND, CUSTOMER, PRICES, CLAUSES)
    assert "Dear Amara Okafor" in text and "Sum: EUR 299.99" in text and "Total: EUR 269.99" in text
    assert all(clause.text in text for clause in CLAUSES if clause.standard)


def test_without_a_discount_the_letter_does_not_speak_of_one() -> None:
    assert "Discount" not in written_out(replace(SOUND, discount=0), CUSTOMER, PRICES, CLAUSES)
