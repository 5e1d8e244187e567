"""Where text for people goes: any stream, without colour. `terminal` has the paper with colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TextIO

Tone = Literal["plain", "good", "bad", "warn", "dim", "title"]


class Paper(Protocol):
    """Where text for people goes."""

    def line(self, text: str, tone: Tone) -> None:
        """One line."""
        ...

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under headers."""
        ...


class PlainPaper:
    """Text without colour, for pipes, files and `NO_COLOR`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str, tone: Tone) -> None:
        """One line; the tone is not shown."""
        print(text, file=self._stream)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns as wide as their widest cell, two blanks apart."""
        widths = [max(len(row[i]) for row in (headers, *rows)) for i in range(len(headers))]
        for row in ([h.upper() for h in headers], *rows):
            print("  ".join(f"{cell:<{widths[i]}}" for i, cell in enumerate(row)).rstrip(), file=self._stream)
