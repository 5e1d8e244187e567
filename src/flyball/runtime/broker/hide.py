"""Hide: the text of a secret enters no record, whatever a tool returns, raises or tells."""

from __future__ import annotations

from typing import Any, Final

from flyball.core.call import Secret
from flyball.core.errors import recordable, said
from flyball.core.guard import Edit

WHOLE: Final = 1_048_576
"""What somebody says is cut to what a record holds only once secrets are hidden: a half of one is not found."""
SHORTEST: Final = 4
"""A shorter text is no secret: hiding it would hide half of every sentence."""


class Hidden:
    """The secrets that this process has handed out, and their texts replaced by their names."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, secret: Secret) -> Secret:
        """From now on the secret's text is hidden."""
        text = secret.reveal()
        if len(text) >= SHORTEST and text not in self._names:
            # Longest first: one that holds another would else be hidden in part.
            known = {**self._names, text: secret.name}
            self._names = dict(sorted(known.items(), key=lambda each: -len(each[0])))
        return secret

    def text(self, text: str) -> str:
        """A text with `<secret NAME>` for the text of a secret."""
        for secret, name in self._names.items():
            text = text.replace(secret, f"<secret {name}>")
        return text

    def edits(self, text: str) -> list[Edit]:
        """The same as edits of the text."""
        found = []
        for secret, name in self._names.items():
            at = text.find(secret)
            while at >= 0:
                found.append(Edit(passage=0, start=at, end=at + len(secret), text=f"<secret {name}>"))
                at = text.find(secret, at + len(secret))
        return found

    @property
    def longest(self) -> int:
        """How long the longest of them is."""
        return max(map(len, self._names), default=0)

    def recordable(self, text: str) -> str:
        """A text so changed, as a record can hold it."""
        return recordable(self.text(text[:WHOLE]))

    def said(self, error: BaseException) -> str:
        """What an error says of itself, so changed."""
        return recordable(self.text(said(error, WHOLE)))

    def data(self, data: Any) -> Any:
        """Plain data with every text and key of it so changed."""
        if not self._names:
            return data
        if isinstance(data, str):
            return self.text(data)
        if isinstance(data, dict):
            return {self.text(key): self.data(value) for key, value in data.items()}
        return [self.data(value) for value in data] if isinstance(data, (list, tuple)) else data
