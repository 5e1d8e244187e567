"""Text in which nothing hides: what cannot be seen is written as its code point."""

from __future__ import annotations

import unicodedata
from typing import Final

# Control, format (bidirectional, zero-width, tags), surrogates, private use, unassigned; line and paragraph separators.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def unhidden(text: str) -> str:
    """The text with every invisible character but the line feed as `<U+XXXX>`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(f"<U+{ord(c):04X}>" if unicodedata.category(c) in _HIDDEN and c != "\n" else c for c in text)
