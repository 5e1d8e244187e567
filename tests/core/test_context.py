"""What an agent is shown: the same bytes for the same passages, in the room that there is, and nothing stale."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyball.core.context import Context, Excerpt, Lacking, Part, Read, compile_context, tokens_of

HOUR = 3_600_000_000
NOW = 100 * HOUR
TEXTS = st.text(max_size=60)


def part(source: str, *texts: str, at: int | None = None, trusted: bool = False, **more: Any) -> Part:
    excerpts = tuple(Excerpt(place=n, text=t, ref=f"{source}/{n}", as_of=at) for n, t in enumerate(texts))
    read = Read(at=NOW, trusted=excerpts) if trusted else Read(at=NOW, untrusted=excerpts)
    return Part(source=source, read=read, **({"tokens": 1000} | more))


def compiled(*parts: Part, room: int = 10_000) -> Context:
    made = compile_context(parts, room)
    assert isinstance(made, Context), made
    return made


def lines(made: Context) -> list[dict[str, Any]]:
    return [json.loads(line) for line in made.text.split("\n")[1:]]


def lacking(*parts: Part, room: int = 10_000) -> tuple[str, str]:
    made = compile_context(parts, room)
    assert isinstance(made, Lacking), made
    return made.reason, made.source


def why(made: Context) -> list[str]:
    return [told.why for told in made.told]


def test_passages_stand_in_the_order_of_their_sources_with_where_they_come_from() -> None:
    made = compiled(part("a", "one", "two", at=NOW), part("b", "three", trusted=True))
    assert [(p["source"], p["text"], p["trusted"], p.get("as_of")) for p in lines(made)] == [
        ("a", "one", False, "1970-01-05T04:00:00+00:00"), ("a", "two", False, "1970-01-05T04:00:00+00:00"),
        ("b", "three", True, None),
    ]  # fmt: skip


def test_trusted_and_untrusted_passages_keep_the_order_of_their_source() -> None:
    read = Read(
        at=NOW, trusted=(Excerpt(place=1, text="b", ref="r"),), untrusted=(Excerpt(place=0, text="a", ref="r"),)
    )
    assert [p["text"] for p in lines(compiled(Part(source="s", tokens=500, read=read)))] == ["a", "b"]


@pytest.mark.promise("api-sources")
@given(st.lists(TEXTS, max_size=5), st.integers(0, 200), st.integers(0, 200))
def test_same_passages_same_bytes_and_never_over_a_limit(texts: list[str], tokens: int, room: int) -> None:
    parts = [part("a", *texts, tokens=tokens, required=False), part("b", *texts, required=False)]
    made = compiled(*parts, room=room)
    assert made == compiled(*parts, room=room)
    assert made.tokens <= room and sum(t.tokens for t in made.told if t.source == "a" and not t.why) <= tokens


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_no_text_ends_its_line_or_passes_for_another_source(texts: list[str]) -> None:
    shown = lines(compiled(part("a", *texts, required=False)))
    assert len(shown) == len(set(texts)) and all(p["source"] == "a" and p["trusted"] is False for p in shown)


def test_nothing_invisible_reaches_the_model() -> None:
    assert lines(compiled(part("a", "pay\u202e\U000e0041")))[0]["text"] == "pay<U+202E><U+E0041>"


def test_what_does_not_fit_gives_way_whole_and_what_still_fits_is_taken() -> None:
    made = compiled(part("a", "short", "x" * 400, "brief", tokens=60))
    assert [p["text"] for p in lines(made)] == ["short", "brief"] and why(made)[1] == "over 60 tokens"


def test_optional_sources_give_way_first_the_last_one_before_the_others() -> None:
    parts = [part("must", "m1", "m2"), part("may", "o1", required=False), part("could", "p1", required=False)]
    each = compiled(*parts).told[0].tokens
    for room, left in ((4, "m1 m2 o1 p1"), (3, "m1 m2 o1"), (2, "m1 m2"), (1, "m1")):
        assert " ".join(p["text"] for p in lines(compiled(*parts, room=room * (each + 1)))) == left
    assert lacking(*parts, room=1) == ("context_incomplete", "must")


def test_the_same_text_is_told_once_and_is_not_missed_where_it_was_told_already() -> None:
    made = compiled(part("a", "same"), part("b", "same"))
    assert [p["source"] for p in lines(made)] == ["a"] and why(made) == ["", "told already"]
    assert made.sources == ("a",)


@pytest.mark.parametrize(
    ("at", "found"), [(NOW - HOUR, ""), (NOW - HOUR - 1, "stale"), (None, "stale: without a date"),
                      (NOW + 1, "stale: dated later than it was read")],
)  # fmt: skip
def test_a_passage_may_be_as_old_as_its_source_says(at: int | None, found: str) -> None:
    assert why(compiled(part("a", "x", at=at, max_age=HOUR, required=False))) == [found]


@pytest.mark.promise("api-required-sources")
def test_a_required_source_that_is_too_old_is_stale_and_one_with_nothing_left_is_incomplete() -> None:
    assert lacking(part("a", "x", at=0, max_age=HOUR)) == ("context_stale", "a")
    assert lacking(part("a")) == ("context_incomplete", "a")
    assert lacking(part("a", "x" * 900, tokens=10)) == ("context_incomplete", "a")
    assert lacking(Part(source="a", tokens=9, problem="down")) == ("context_incomplete", "a")


def test_a_source_that_speaks_of_another_tenant_says_nothing_at_all() -> None:
    read = Read(at=NOW, tenant="other", trusted=(Excerpt(place=0, text="x", ref="r"),))
    assert lacking(Part(source="a", tokens=99, read=read)) == ("context_incomplete", "a")
    assert compiled(Part(source="a", tokens=99, read=read, required=False)) == Context()


def test_passages_of_one_place_that_differ_say_that_they_contradict_each_other() -> None:
    both = (Excerpt(place=0, text="open", ref="r", as_of=1), Excerpt(place=1, text="closed", ref="r", as_of=2))
    made = compiled(Part(source="a", tokens=200, read=Read(at=NOW, untrusted=both)), part("b", "open too"))
    assert [p.get("conflict", False) for p in lines(made)] == [True, True, False]
    assert [t.conflict for t in made.told] == [True, True, False]


def test_a_context_is_as_sensitive_as_what_is_in_it() -> None:
    gone = part("c", "x" * 900, tokens=5, required=False, sensitivity="restricted")
    made = compiled(part("a", "x", sensitivity="public"), part("b", "y", sensitivity="confidential"), gone)
    assert (made.sensitivity, made.sources) == ("confidential", ("a", "b"))
    assert Context().sensitivity == "public" and compiled() == Context()


def test_a_token_is_four_bytes() -> None:
    assert [tokens_of(t) for t in ("", "abcd", "abcde", "世界")] == [0, 1, 2, 2]
