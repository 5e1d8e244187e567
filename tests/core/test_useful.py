"""Write if useful: what is worth keeping, and may be kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from flyball.core.memory import Kept, Skipped, Written
from flyball.core.useful import MAX_TEXT, Caps, Standing, Usage, useful

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Standing(tenant=Usage(items=0, bytes=0), principal=Usage(items=0, bytes=0))
CAPS = Caps(tenant=Usage(items=10, bytes=1_000), principal=Usage(items=5, bytes=500))
OLD = Kept(
    id="m-1", text="Kim drinks green tea", about="drinks", scope="user", owner="o", by="b", source="flow f",
    origin="request", trusted=True, sensitivity="internal", created=NOW, expires=NOW + timedelta(days=9),
    subjects=("user:kim",),
)  # fmt: skip
NEW = replace(OLD, id="m-2", expires=NOW + timedelta(days=1))


def wrote(text: str, *near: Kept, standing: Standing = NOTHING) -> Written:
    return useful(replace(NEW, text=text), near, standing, CAPS)


def why(written: Written) -> str:
    assert isinstance(written.told, Skipped)
    return written.told.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ok", "too_short"),
        ("... !", "too_short"),
        ("x " * MAX_TEXT, "too_long"),
        ("her password is hunter2", "secret"),
        ("use AKIAABCDEFGHIJKLMNOP", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----", "secret"),
        ("token eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK", "secret"),
        ("ghp_abcdefghijklmnopqrstuvwx", "secret"),
        ("sk-abcdefghijklmnop1234", "secret"),
        ("drinks green TEA!", "nothing_new"),
    ],
)
def test_what_is_of_no_use_is_skipped(text: str, reason: str) -> None:
    assert why(wrote(text, OLD)) == reason


def test_the_same_words_are_merged_and_live_as_long_as_the_longer_of_both() -> None:
    written = useful(replace(NEW, text="kim drinks: green tea", sensitivity="confidential"), [OLD], NOTHING, CAPS)
    assert written.merged and written.kept == replace(OLD, sensitivity="confidential")
    assert written.told.id == "m-1"  # type: ignore[union-attr]


def test_what_is_known_twice_is_vouched_for_only_if_both_are() -> None:
    doubted = replace(NEW, text=OLD.text, trusted=False, origin="unknown", subjects=("user:bea",))
    kept = useful(doubted, [OLD], NOTHING, CAPS).kept
    assert kept is not None and (kept.trusted, kept.origin) == (False, "unknown")
    assert kept.subjects == ("user:bea", "user:kim")
    kept = useful(replace(NEW, text=OLD.text), [replace(OLD, trusted=False, origin="unknown")], NOTHING, CAPS).kept
    assert kept is not None and (kept.trusted, kept.origin) == (False, "unknown")


def test_contradictions_stand_side_by_side() -> None:
    written = wrote("Kim drinks coffee", OLD)
    assert written.kept is not None and written.contradicts == ("m-1",) and not written.merged


def test_the_order_of_words_counts() -> None:
    assert wrote("tea drinks green Kim", OLD).kept is not None


@pytest.mark.parametrize(
    ("who", "standing"),
    [
        ("this tenant", Standing(tenant=Usage(items=10, bytes=0), principal=Usage(items=0, bytes=0))),
        ("this tenant", Standing(tenant=Usage(items=1, bytes=999), principal=Usage(items=0, bytes=0))),
        ("this principal", Standing(tenant=Usage(items=5, bytes=0), principal=Usage(items=5, bytes=0))),
        ("this principal", Standing(tenant=Usage(items=1, bytes=490), principal=Usage(items=1, bytes=490))),
    ],
)
def test_what_is_over_a_cap_is_skipped_and_says_whose(who: str, standing: Standing) -> None:
    told = wrote("Kim drinks coffee", standing=standing).told
    assert isinstance(told, Skipped) and told.reason == "full" and told.detail.startswith(who)


def test_what_is_known_already_needs_no_room() -> None:
    full = Standing(tenant=Usage(items=10, bytes=0), principal=Usage(items=5, bytes=0))
    assert useful(replace(NEW, text=OLD.text), [OLD], full, CAPS).merged


@given(st.text(max_size=80), st.text(max_size=80))
def test_what_is_kept_is_what_was_said_and_saying_it_again_adds_nothing(first: str, second: str) -> None:
    kept = wrote(first).kept
    if kept is not None:
        assert kept.text == first
        assert useful(replace(kept, id="m-9"), [kept], NOTHING, CAPS).merged
        assert second != first or wrote(second, kept).merged
