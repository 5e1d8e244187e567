"""The socket for an embedding model: texts as vectors, near each other where the texts mean the like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Embedding(Protocol):
    """Embeds texts. It may raise: then memories are found by their words alone."""

    @property
    def model(self) -> str:
        """Which model, in a word: vectors of another one are made again."""
        ...

    @property
    def floor(self) -> float:
        """The cosine that texts have which have nothing to do with each other: a score begins there. Below 1."""
        ...

    async def embed(self, texts: Sequence[str], /) -> list[tuple[float, ...]]:
        """A vector for each text, all of one length."""
        ...

    async def close(self) -> None:
        """Gives back what it holds."""
        ...
