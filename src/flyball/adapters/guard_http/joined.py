"""Several passages as one text, for services that judge one text at a time, and places of it as places of passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from flyball.core.guard import Edit

BETWEEN: Final = "\n\n"


class Joined:
    """The passages with an empty line between them."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._passages = passages
        self.text = BETWEEN.join(passages)

    def edits(self, start: int, end: int, text: str) -> Iterator[Edit]:
        """The edits that write `text` over `[start, end)` of the joined text: one for each passage that it touches."""
        at = 0
        for number, passage in enumerate(self._passages):
            first, last = max(start - at, 0), min(end - at, len(passage))
            if first < last:
                yield Edit(passage=number, start=first, end=last, text=text)
            at += len(passage) + len(BETWEEN)
