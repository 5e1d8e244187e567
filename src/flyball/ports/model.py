"""The socket for a language model: one question, one reply or one `ModelError`.

An adapter never tries again by itself, never falls back and never logs a key: the runtime reserves, retries and
chooses. Whoever adds one runs `flyball.testing.conformance.model` on it.
"""

from __future__ import annotations

from typing import Protocol

from flyball.core.model import ModelReply, ModelRequest, OnDelta


class ModelPort(Protocol):
    """A model that can be asked, by any number of tasks at once."""

    @property
    def scripted(self) -> bool:
        """True where no model thinks: every surface that shows a reply says so."""
        ...

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None, /) -> ModelReply:
        """The reply; raises ModelError and nothing else for what a provider or a network does.

        With `on_delta` it is asked for in pieces: each piece of its text is told as it arrives, in order, and together
        they are the text of the reply. An adapter that cannot stream tells nothing. What breaks off in the middle is a
        ModelError, whatever was told by then.
        """
        ...

    async def close(self) -> None:
        """Refuses later requests, then releases connections; may be called again."""
        ...
