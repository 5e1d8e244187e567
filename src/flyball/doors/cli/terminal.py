"""Text for people on a terminal, in colour. The only module that imports rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from flyball.doors.cli.paper import Tone

_STYLES: Final[dict[Tone, str]] = {
    "plain": "", "good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "title": "bold",
}  # fmt: skip


class RichPaper:
    """A `Paper` on a terminal. Everything is `Text`: brackets in it are brackets, never markup."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)

    def line(self, text: str, tone: Tone) -> None:
        """One line in the style of its tone, wrapped by the terminal and not cut."""
        self._console.print(Text(text, style=_STYLES[tone]), soft_wrap=True)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Rows under bold headers; long cells fold, nothing is cut."""
        table = Table(box=None, pad_edge=False, header_style="bold")
        for header in headers:
            table.add_column(Text(header.upper()), overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._console.print(table)
