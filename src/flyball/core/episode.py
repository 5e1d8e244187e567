"""Episodes: what a run did, in words that are made from its committed outcomes alone, the same at every replay.

Nothing in one is free text: names of actions, how often, what became of them, the critical arguments by which somebody
will look for them, and the day.

>>> told = [Did(action="refund", status="executed", arguments={"order": "A-17"}), Did(action="pay", status="denied")]
>>> episode("flow", "handle", "2026-11-20", told)
'On 2026-11-20 the flow handle completed. Done: refund (order=A-17). Refused: pay.'
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

MOST_TEXT: Final = 2_000
MOST_VALUE: Final = 80
_WORDS: Final = (
    ("executed", "Done"), ("approved", "Approved by people"), ("failed", "Failed"), ("denied", "Refused"),
    ("unknown", "Unknown"),
)  # fmt: skip


class Did(msgspec.Struct, frozen=True, kw_only=True):
    """One action of a run and what became of it: executed, approved (and executed), failed, denied, unknown."""

    action: str
    status: str
    arguments: Mapping[str, Any] = {}


def episode(kind: str, what: str, day: str, did: Sequence[Did]) -> str:
    """What a run came to, in at most MOST_TEXT characters."""
    parts = [f"On {day} the {kind} {what} completed."]
    for status, word in _WORDS:
        named = _counted([_named(one) for one in did if one.status == status])
        if named:
            parts.append(f"{word}: {', '.join(named)}.")
    text = " ".join(parts)
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}\u2026"


def _named(one: Did) -> str:
    told = ", ".join(f"{name}={_short(value)}" for name, value in sorted(one.arguments.items()))
    return f"{one.action} ({told})" if told else one.action


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= MOST_VALUE else f"{text[: MOST_VALUE - 1]}\u2026"


def _counted(names: Sequence[str]) -> list[str]:
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return [name if count == 1 else f"{name} {count} times" for name, count in counts.items()]
