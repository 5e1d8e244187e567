from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.guard import Edit, redacted
from flyball.core.window import BLANKS, WITHHELD, Window

NUMBER = re.compile(r"(?<![0-9])[0-9]{2} [0-9]{2}(?![0-9])|x{3,}")


def scan(text: str) -> Sequence[Edit]:
    return [Edit(passage=0, start=m.start(), end=m.end(), text="[n]") for m in NUMBER.finditer(text)]


def pieces(text: str, sizes: Sequence[int]) -> list[str]:
    found = []
    for size in sizes:
        found.append(text[:size])
        text = text[size:]
    return [*found, text]


@pytest.mark.promise("gate-guard-streams-like-the-whole")
@given(st.text("0123x \n", max_size=80), st.lists(st.integers(0, 9), max_size=20))
def test_a_text_in_pieces_is_redacted_as_the_whole(text: str, sizes: list[int]) -> None:
    window = Window(scan, overlap=6)
    shown = [window.feed(piece) for piece in pieces(text, sizes)]
    assert "".join(shown) + window.end() == redacted(text, scan(text))
    assert len(window.found) == len(scan(text))


def test_what_may_still_become_something_is_held_back() -> None:
    window = Window(scan, overlap=6)
    assert window.feed("one two 12") == "one "
    assert window.feed(" 34 and more words") == "two [n] and "
    assert window.end() == "more words"


@pytest.mark.parametrize(
    ("text", "shown"), [("one 12 34 ", "one "), ("one 12 34 y xxx", "one [n] y "), ("one xxx", "one ")]
)
def test_nothing_that_was_found_is_cut_in_two(text: str, shown: str) -> None:
    window = Window(scan, overlap=2)
    assert window.feed(text) == shown


def test_nothing_is_let_out_within_a_word() -> None:
    window = Window(scan, overlap=2)
    assert window.feed("one " + "y" * 20) == "one "
    assert window.feed("y" * 20) == ""
    assert window.end() == "y" * 40


def test_a_stretch_without_an_end_lets_nothing_more_out() -> None:
    window = Window(scan, overlap=2, most=10)
    assert window.feed("ok " + "y" * 30) == WITHHELD
    assert window.stuck
    assert window.feed("and more") + window.end() == ""


def test_the_work_grows_with_the_text() -> None:
    def looked_at(size: int) -> int:
        seen = 0

        def counting(text: str) -> Sequence[Edit]:
            nonlocal seen
            seen += len(text)
            return []

        window = Window(counting, overlap=16)
        for _ in range(size):
            window.feed("a ")
        window.end()
        return seen

    assert looked_at(4_000) <= 2.2 * looked_at(2_000)


def test_a_blank_is_where_a_word_ends() -> None:
    assert set(BLANKS) == {" ", "\t", "\r", "\n"}
