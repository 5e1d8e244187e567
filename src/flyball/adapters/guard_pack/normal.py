"""The plain form of a text, in which detectors look, and the way back from it to the text as it is.

Rules:

* Character by character: compatibility forms (NFKC), decimal digits of any script as ASCII, percent-encoded printable
  ASCII decoded once; what cannot be seen is left out.
* Every character of the plain form knows where it came from, so that a span of it is a span of the text, hidden
  characters in between included. The work grows with the text and no faster.

>>> plain = plain_form("k\u200bim%40x.org")
>>> plain.text, plain.back(0, 9)
('kim@x.org', (0, 12))
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

# Zero-width and joining characters, soft hyphen, fillers, bidirectional controls, the byte order mark, tags.
_RANGES: Final = (
    (0x00AD, 0x00AD), (0x034F, 0x034F), (0x061C, 0x061C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180E),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF9, 0xFFFB), (0xE0000, 0xE007F), (0xE0100, 0xE01EF),
)  # fmt: skip
_INVISIBLE: Final = frozenset(chr(point) for first, last in _RANGES for point in range(first, last + 1))
INVISIBLE: Final = re.compile(f"[{''.join(f'{chr(first)}-{chr(last)}' for first, last in _RANGES)}]")
# Characters that a text in its compatibility form may have all the same and that are read as others here.
_ODD: Final = re.compile(rf"%|(?![0-9])\d|{INVISIBLE.pattern}")
_HEX: Final = frozenset("0123456789abcdefABCDEF")


class Plain(NamedTuple):
    """A plain form; `starts` and `ends` are where each of its characters came from, None where it is the text."""

    text: str
    starts: Sequence[int] | None = None
    ends: Sequence[int] | None = None

    def back(self, start: int, end: int) -> tuple[int, int]:
        """The span of the text that a span of the plain form came from; `end` is above `start`."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def invisible(char: str) -> bool:
    """Is it a character that nobody sees and that changes what a program reads?"""
    return char in _INVISIBLE


def plain_form(text: str) -> Plain:
    """The plain form of a text."""
    if (text.isascii() and "%" not in text) or (unicodedata.is_normalized("NFKC", text) and not _ODD.search(text)):
        return Plain(text)
    chars: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end, shown in _units(text):
        for char in shown:
            chars.append(char)
            starts.append(start)
            ends.append(end)
    return Plain("".join(chars), starts, ends)


def _units(text: str) -> Iterator[tuple[int, int, str]]:
    at = 0
    while at < len(text):
        char = text[at]
        if char == "%":
            decoded = _percent(text, at)
            if decoded:
                yield at, at + 3, decoded
                at += 3
                continue
        yield at, at + 1, char if char.isascii() else _seen(char)
        at += 1


def _percent(text: str, at: int) -> str:
    two = text[at + 1 : at + 3]
    if len(two) < 2 or not set(two) <= _HEX:
        return ""
    char = chr(int(two, 16))
    return char if char.isascii() and char.isprintable() else ""


@lru_cache(maxsize=4_096)
def _seen(char: str) -> str:
    if char in _INVISIBLE:
        return ""
    digit = unicodedata.decimal(char, None)
    return str(digit) if digit is not None else unicodedata.normalize("NFKC", char)
