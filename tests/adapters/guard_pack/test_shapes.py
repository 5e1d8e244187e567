"""No text makes the pack slow: counted, not timed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from flyball.adapters.guard_pack import find, shapes
from flyball.adapters.guard_pack.pack import Pack

parser: Any = __import__("re._parser", fromlist=["parse"])
# The most steps that one place of a text may cost with one pattern, and the longest text that such a place may see.
MOST_STEPS = 70_000
PATTERNS = {
    **{f"shapes.{s.name}.{n}": s.pattern for n, s in enumerate(shapes.SHAPES)},
    **{
        f"{m.__name__}.{name}": value for m in (find, shapes)
        for name, value in vars(m).items() if isinstance(value, re.Pattern)
    },
    **{f"phones.{n}": pattern for n, (pattern, _) in enumerate(find._PHONES)},
}  # fmt: skip


def steps(tree: Any, at_end: bool = True) -> int:
    """The most characters that one attempt at one place can look at: alternatives added, nested repeats multiplied."""
    total = 1
    for n, (op, av) in enumerate(tree):
        name = str(op)
        last = at_end and n == len(tree) - 1
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            _, most, inner = av
            if most is parser.MAXREPEAT:
                assert last and steps(inner, False) <= 4, "an unbounded repeat that something follows"
                continue
            total += most * steps(inner, False)
        elif name == "SUBPATTERN":
            total += steps(av[-1], last)
        elif name == "BRANCH":
            total += sum(steps(branch, last) for branch in av[1])
        elif name in ("ASSERT", "ASSERT_NOT"):
            total += steps(av[1], False)
        else:
            total += 1
    return total


@pytest.mark.promise("gate-guard-linear")
@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_looks_further_than_a_fixed_way(name: str) -> None:
    assert steps(parser.parse(PATTERNS[name].pattern)) <= MOST_STEPS


ADVERSARIAL: dict[str, Callable[[int], str]] = {
    "digits": lambda n: "4" * n, "groups": lambda n: "41 " * (n // 3), "ats": lambda n: "a@" * (n // 2),
    "dots": lambda n: "a@" + "a." * (n // 2), "words": lambda n: "aB3" * (n // 3), "keys": lambda n: "sk-" * (n // 3),
    "pem": lambda n: "-----BEGIN PRIVATE KEY-----" * (n // 27), "percent": lambda n: "%4" * (n // 2),
    "hidden": lambda n: "\u200b" * n, "wide": lambda n: "\ufdfa" * n, "heads": lambda n: "DE12 " * (n // 5),
    "plus": lambda n: "+1 " * (n // 3), "assigned": lambda n: "token=" * (n // 6), "dashes": lambda n: "-" * n,
}  # fmt: skip


def lines_run(text: str) -> int:
    """How many lines of the pack run for a text, each comprehension's turn among them."""
    count = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if "guard_pack" not in frame.f_code.co_filename:
            return None
        count += 1
        return trace

    subject = Pack()
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        subject.find(text)
    finally:
        sys.settrace(before)
    return count


@pytest.mark.promise("gate-guard-linear")
@pytest.mark.parametrize("name", ADVERSARIAL)
def test_twice_the_text_is_at_most_twice_the_work(name: str) -> None:
    once, twice = (lines_run(ADVERSARIAL[name](size)) for size in (1_200, 2_400))
    assert twice <= 2.3 * once + 200
