"""Window: a text that arrives in pieces, redacted as the whole would be, with as little delay as that needs.

Rules:

* Only what has been looked at together with `overlap` characters after it is let out, and only up to a place between
  two words that nothing found spans: whatever is found in the whole text and is no longer than `overlap`, or has no
  blank in it, is found here too.
* A stretch of more than `most` characters without such a place lets nothing more out, ever.

>>> window = Window(lambda text: [], overlap=4)
>>> window.feed("one two thr"), window.feed("ee four"), window.end()
('one ', 'two three ', 'four')
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from flyball.core.guard import Edit, merged, redacted

Scan = Callable[[str], Sequence[Edit]]
BLANKS: Final = " \t\r\n"
OVERLAP: Final = 256
MOST: Final = 16_384
WITHHELD: Final = "[withheld]"


class Window:
    """Holds back the end of a text until it is known what it is. `scan` gives the edits of a text."""

    def __init__(self, scan: Scan, *, overlap: int = OVERLAP, most: int = MOST) -> None:
        self._scan, self._overlap, self._most = scan, overlap, most
        self._held = ""
        self._looked = 0
        self.found: list[Edit] = []
        self.stuck = False

    def feed(self, piece: str) -> str:
        """What may be shown now that this piece has come, too; empty while nothing may."""
        if self.stuck:
            return ""
        self._held += piece
        if len(self._held) - self._looked < self._overlap:
            return ""  # looked at once for every `overlap` characters: the work grows with the text
        edits = merged(self._scan(self._held))
        cut = self._cut(edits)
        self._looked = len(self._held) - cut
        if len(self._held) - cut > self._most:
            self.stuck, self._held = True, ""
            return WITHHELD
        return self._out(cut, edits)

    def end(self) -> str:
        """The rest."""
        return self._out(len(self._held), merged(self._scan(self._held)))

    def _cut(self, edits: Sequence[Edit]) -> int:
        """The last place that may be let out to: after a blank, in nothing found, `overlap` from the end."""
        at = len(self._held) - self._overlap
        spans = list(edits)
        while at > 0:
            while spans and spans[-1].start >= at:
                spans.pop()
            if spans and spans[-1].end > at:
                at = spans[-1].start
            elif self._held[at - 1] in BLANKS:
                return at
            else:
                at -= 1
        return 0

    def _out(self, cut: int, edits: Sequence[Edit]) -> str:
        let = [edit for edit in edits if edit.end <= cut]
        self.found += let
        out, self._held = redacted(self._held[:cut], let), self._held[cut:]
        return out
