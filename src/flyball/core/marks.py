"""What an annotation says about a value: who/what/how much, outgoing text, which object, who vouches for it.

async def send(call: Call, to: Critical[str], body: Outgoing[str]) -> Sent: ...
customer: Annotated[str, Ref("Customer")]
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec

T = TypeVar("T")


class Mark(msgspec.Struct, frozen=True):
    """A mark on an argument (`critical`, `outgoing`), on a result's field (`trusted`, `personal`), or on what names the
    bytes of an `artifact`."""

    name: Literal["critical", "outgoing", "trusted", "personal", "artifact"]


class Ref(msgspec.Struct, frozen=True):
    """This argument names the business object that policy decides about: the id of an `@entity` of this type."""

    entity: str


Critical = Annotated[T, Mark("critical")]
Outgoing = Annotated[T, Mark("outgoing")]
Trusted = Annotated[T, Mark("trusted")]
Personal = Annotated[T, Mark("personal")]
