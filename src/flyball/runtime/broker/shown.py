"""Shown: what of a model's answer whoever watches hears while it arrives.

Rules:

* Only where policy lets it be shown before its guards have seen the whole (`Proposal.streams`).
* Guards that can look at a stream redact it as they would the whole (see `core.window`), and secrets are hidden; a
  guard that fails lets nothing more out.
* Nothing of it is recorded. What counts is the answer that is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flyball.core.errors import recordable
from flyball.core.event import Delta
from flyball.core.guard import Edit
from flyball.core.proposal import Proposal
from flyball.core.window import OVERLAP, Window
from flyball.runtime.broker.hide import Hidden

Scan = Callable[[str], Sequence[Edit]]
Tell = Callable[[str, Delta], None]
LONGEST_PIECE = 65_536


class Showing:
    """Makes the streams of model calls. `scans` gives what the guards of a proposal look at a stream with."""

    def __init__(self, tell: Tell, hidden: Hidden, scans: Callable[[Proposal], Sequence[Scan]]) -> None:
        self._tell, self._hidden, self._scans = tell, hidden, scans

    def performing(self, p: Proposal) -> Callable[..., Any]:
        """How this attempt is carried out: with whoever watches hearing it, where that may be."""
        streaming = p.performer.streaming
        if not p.streams or streaming is None:
            return p.performer.perform

        async def perform(call: Any, arguments: Any) -> Any:
            scans = self._scans(p)
            # Where nothing looks at it, nothing is held back.
            overlap = max(OVERLAP if scans else 0, self._hidden.longest)
            shown = Shown(p, self._tell, (*scans, self._hidden.edits), overlap)
            value = await streaming(shown.feed)(call, arguments)
            shown.end()
            return value

        return perform


class Shown:
    """One answer while it arrives."""

    def __init__(self, p: Proposal, tell: Tell, scans: Sequence[Scan], overlap: int) -> None:
        self._p, self._tell, self._scans, self._start, self._broken = p, tell, scans, 0, False
        self._window = Window(self._found, overlap=overlap) if overlap else None

    def feed(self, piece: str) -> None:
        """Hands on what may be shown now that this piece has come."""
        self._said(lambda: piece if self._window is None else self._window.feed(piece))

    def end(self) -> None:
        """Hands on the rest of an answer that is whole."""
        self._said(lambda: "" if self._window is None else self._window.end())

    def _found(self, text: str) -> list[Edit]:
        return [edit for scan in self._scans for edit in scan(text)]

    def _said(self, take: Callable[[], str]) -> None:
        if self._broken:
            return
        try:
            text = recordable(take(), LONGEST_PIECE)
        except Exception:  # noqa: BLE001 - a station boundary: a guard that raises at a stream fails closed
            self._broken = True
            return
        if text:
            place, chain = self._p.place, self._p.authority.links
            self._tell(place.tenant, Delta(
                sequence=0, run=place.run, path=place.path, time=0, text=text, start=self._start,
                attempt=self._p.attempt, by=chain[-1].agent if chain else "",
            ))  # fmt: skip
            self._start += len(text)
