"""Relevance: words, and a score from 0 to 1 that depends on the query and the memory alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.relevance import MOST_WORDS, content, coverage, joined, relevance, words

TEXTS = st.text(max_size=60)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Kim's drinks: CAFÉ", ("kim", "drink", "cafe")),
        ("parties, aies eies", ("party", "aies", "eies")),
        ("boxes shoes trees", ("boxe", "shoes", "trees")),
        ("status less as a1", ("status", "less", "as", "a1")),
        ("ﬁne Straße", ("fine", "strasse")),
        ("東京都 は", ("東京", "京都", "は")),
        ("naïveté привет", ("naivete", "привет")),
        ("… !", ()),
    ],
)
def test_words_are_compared_in_one_form(text: str, found: tuple[str, ...]) -> None:
    assert words(text) == found


def test_function_words_count_only_where_there_is_nothing_else() -> None:
    assert content(words("what does Kim drink")) == {"kim", "drink"}
    assert content(words("what is it")) == {"what", "is", "it"}
    assert len(content(words(" ".join(f"w{n}" for n in range(100))))) == MOST_WORDS


def test_a_memory_scores_by_how_much_of_the_query_it_holds() -> None:
    query = words("which tea does Kim drink in Bonn")
    assert coverage(query, words("Kim drinks tea"), ()) == 0.75
    assert relevance(query, words("Kim drinks tea"), words("preferences")) == 0.75
    assert coverage((), words("Kim"), ()) == 0


def test_whoever_names_all_that_it_is_about_asks_for_it() -> None:
    query = words("Write a proposal for Acme about the new boiler, by Friday")
    assert relevance(query, words("pays late"), words("acme")) == 1
    assert relevance(query, words("pays late"), words("acme invoices")) == 0.5
    assert relevance(query, words("pays late"), ()) == 0


def test_the_better_of_two_witnesses_counts() -> None:
    assert joined(0.2, None, 0.0) == 0.2
    assert joined(0.2, 0.9, 0.6) == 0.75
    assert joined(0.8, 0.3, 0.6) == 0.8
    assert joined(0.0, 1.0001, 0.6) == 1


@given(TEXTS, TEXTS, TEXTS)
def test_a_score_is_from_0_to_1_and_what_is_asked_for_in_its_own_words_has_1(query: str, text: str, about: str) -> None:
    assert 0 <= relevance(words(query), words(text), words(about)) <= 1
    assert relevance(words(text), words(text), words(about)) == 1 or not words(text)
