"""A tenant's own patterns, which run on RE2 alone: it has no text on which it is slow.

Python's engine takes time that grows with the square of a text, or worse, for patterns that look harmless. So a pattern
that RE2 does not compile (a look-around, a back-reference) is refused, and so is every pattern where RE2 is not there.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from flyball.adapters.guard_pack.find import Detector, Found
from flyball.core.errors import FlyballError

LONGEST = 1_000


def own(patterns: Mapping[str, str]) -> dict[str, Detector]:
    """A detector for each pattern, by its name; raises FlyballError `guard_pattern` or `guard_extra`."""
    engine = _re2() if patterns else None
    return {name: _detector(engine, name, text) for name, text in patterns.items()}


def _re2() -> Any:
    try:
        return importlib.import_module("re2")
    except ImportError:
        raise FlyballError(
            "guard_extra", "patterns of one's own need RE2", "Python's own engine can be made to hang by a text",
            'pip install "flyball[re2]"',
        ) from None  # fmt: skip


def _detector(engine: Any, name: str, text: str) -> Detector:
    try:
        if len(text) > LONGEST:
            raise ValueError(f"more than {LONGEST} characters")
        options = engine.Options()
        options.log_errors = False
        compiled = engine.compile(text, options)
        if compiled.search("") is not None:
            raise ValueError("it matches where nothing stands")
    except (engine.error, ValueError) as bad:
        fix = "Write it without look-arounds and back-references: github.com/google/re2/wiki/Syntax"
        raise FlyballError("guard_pattern", f"RE2 does not take the pattern {name}", str(bad), fix) from None

    def find(plain: str) -> Iterator[Found]:
        for match in compiled.finditer(plain):
            if match.end() > match.start():
                yield Found(match.start(), match.end(), name, name, 900)

    return find
