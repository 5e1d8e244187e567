"""A model's own form of its message, kept so that the same model gets it back unchanged.

Models that think sign what they thought, and refuse a conversation in which it is missing. It is opaque: nobody reads
it, and to another model it is not shown, because it can only check its own.
"""

from __future__ import annotations

import msgspec

from flyball.core.model import Message


class _Kept(msgspec.Struct):
    by: str
    model: str
    parts: list[msgspec.Raw]


def kept(by: str, model: str, parts: list[msgspec.Raw]) -> str:
    """The parts of a reply as text. `by` names the format, `model` the model that was asked."""
    return msgspec.json.encode(_Kept(by=by, model=model, parts=parts)).decode()


def given_back(message: Message, by: str, model: str) -> list[msgspec.Raw] | None:
    """The parts that this model wrote itself, or None where it wrote none that are kept."""
    if not message.echo:
        return None
    try:
        found = msgspec.json.decode(message.echo, type=_Kept)
    except (msgspec.DecodeError, RecursionError):
        return None
    return found.parts if (found.by, found.model) == (by, model) else None
