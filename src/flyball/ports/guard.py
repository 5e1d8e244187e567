"""The socket for a guard: looks at passages of text at one stage, and says what should become of them.

Whoever adds one runs `flyball.testing.conformance.guard` on it. Time limits, fail modes and shadow are not its
business: the station holds them for every guard alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from flyball.core.guard import Edit, Subject, Verdict


class Guard(Protocol):
    """Judges text. It may raise: then it has failed, and its configuration says what that means."""

    @property
    def version(self) -> str:
        """What it is and what it was made of, in a word: recorded with everything that it said."""
        ...

    @property
    def local(self) -> bool:
        """Does it work in this process alone, in a time that grows with the text and no faster? Such guards look first,
        without a timer, and what they redact no other guard is shown."""
        ...

    async def check(self, subject: Subject, /) -> Verdict:
        """What it says of the passages. Must not block the loop; cancelled, it ends."""
        ...

    async def close(self) -> None:
        """Gives back what it holds."""
        ...


@runtime_checkable
class Streamed(Protocol):
    """A guard of this process that can look at a text that is still arriving."""

    def edits(self, text: str, /) -> Sequence[Edit]:
        """What it would write over in this text, and in every longer one that begins with it and goes on after a blank:
        a function of the text, in a time that grows with it and no faster."""
        ...
