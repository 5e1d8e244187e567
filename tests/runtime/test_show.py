"""What a person is shown: nothing hides in a value, and what counts is never cut."""

from __future__ import annotations

from typing import Any

import pytest

from flyball.runtime.approve.show import MOST_SHOWN, blocks, visible


def one(value: Any, critical: bool = True) -> dict[str, Any]:
    (block,) = blocks({"to": value}, frozenset({"to"} if critical else ()))
    return block


@pytest.mark.promise("gate-shown-as-it-is")
@pytest.mark.parametrize(
    ("text", "seen", "warned"),
    [
        ("pay\u202eeve", "pay<U+202E>eve", ["hidden characters"]),
        ("a\u200bda", "a<U+200B>da", ["hidden characters"]),
        ("a\x1b[2Jb", "a<U+001B>[2Jb", ["hidden characters"]),
        ("x\U000e0041", "x<U+E0041>", ["hidden characters"]),
        ("\u0430da", "\u0430da", ["mixed scripts"]),
        ("ada@b\u00fccher.example", "ada@xn--bcher-kva.example (written b\u00fccher.example)", []),
        ("https://b\u00fccher.example/x", "https://xn--bcher-kva.example (written b\u00fccher.example)/x", []),
        ("two\nlines", "two\nlines", []),
        ("plain <U+202E>", "plain <U+202E>", []),
    ],
)
def test_what_hides_in_a_value_is_written_out_and_flagged(text: str, seen: str, warned: list[str]) -> None:
    block = one(text)
    assert (block["value"], block["warnings"]) == (seen, warned)


@pytest.mark.promise("gate-shown-as-it-is")
def test_every_leaf_has_a_block_of_its_own() -> None:
    told = list(blocks({"a": [1, {"b": "x"}], "c": True}, frozenset({"a"})))
    assert [(block["at"], block["value"], block["critical"]) for block in told] == [
        ("/a/*", "1", True), ("/a/*/b", "x", True), ("/c", "True", False),
    ]  # fmt: skip


@pytest.mark.promise("gate-shown-as-it-is")
def test_a_critical_value_is_never_cut() -> None:
    text = "x" * (MOST_SHOWN + 1)
    assert one(text)["value"] == text
    assert one(text, critical=False)["value"].endswith(f"({MOST_SHOWN + 1} in all)")


def test_a_domain_that_is_none_says_so() -> None:
    assert visible("ada@\u00fc..example") == "ada@\u00fc..example (not a valid domain)"
