"""Handoffs: with whom the work lies once a run is over, so that the session's next turn goes there.

>>> next_turn({"2": "writer", "5": "clerk", "5.3": "teller", "4.1": "inner"})
'teller'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flyball.core.steps import generation_of, parent
from flyball.core.stop import STOPS, StopReason


def next_turn(handed: Mapping[str, str]) -> str:
    """The agent that took the work over last, and handed it on to nobody; empty where nobody did.

    `handed`: step -> agent, for each handoff that was carried out. What an agent or flow hands over that was only asked
    to do a part is its own affair: its step lies in none that is a handoff.
    """
    taken = [path for path in handed if _all_the_way(path, handed)]
    return handed[max(taken, key=_place)] if taken else ""


def ending(reason: StopReason, handed: Mapping[str, str]) -> dict[str, Any]:
    """The facts of a run's end."""
    facts: dict[str, Any] = {"reason": reason, "ok": STOPS[reason].ok}
    following = next_turn(handed) if STOPS[reason].ok else ""
    return {**facts, "next": following} if following else facts


def _all_the_way(path: str, handed: Mapping[str, str]) -> bool:
    above = parent(path)
    return above == generation_of(path) or (above in handed and _all_the_way(above, handed))


def _place(path: str) -> tuple[int, ...]:
    return tuple(int(part) for part in path.split(".") if part.isdecimal())
