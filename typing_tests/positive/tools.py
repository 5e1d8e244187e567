"""A tool has the types of its function without the call; undo, probe and precondition fit it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, NoReturn, assert_type

from flyball import Call, Critical, Key, Outgoing, Personal, Ref, Retry, Secret, Tool, Trusted, tool


@dataclass(frozen=True)
class Sent:
    id: Trusted[str]
    to: Personal[str]


@tool(effect="irreversible", egress=True, idempotency="probe", cost="0.01", rate="10/s", credentials=["smtp"])
async def send(call: Call, to: Critical[str], body: Outgoing[str], *, copies: int = 1) -> Sent:
    """Sends."""
    secret = call.secret("smtp")
    assert_type(secret, Secret)
    call.progress("sending", 0.5)
    return Sent(id=call.key, to=to)


@send.undo
async def unsend(call: Call, sent: Sent, to: str, body: str, *, copies: int = 1) -> None: ...


@send.probe
async def was_sent(call: Call, to: str, body: str, *, copies: int = 1) -> Sent | None:
    return None


@send.requires
async def reachable(call: Call, to: str, body: str, *, copies: int = 1) -> str | None:
    return None


@tool(effect="read", timeout=timedelta(seconds=3), retry=Retry(attempts=5), cost=Decimal("0.1"))
def count(call: Call, customer: Annotated[str, Ref("Customer")]) -> int:
    return len(customer)


@tool(
    effect="reversible", name="book", idempotency=Key(window=timedelta(days=1), business="invoice"), isolation="process"
)
def book_invoice(call: Call, invoice: str) -> None: ...


def shown() -> None:
    kind: Tool[[str], int] = count
    assert_type(kind.name, str)
    assert_type(count.name, str)


def never() -> NoReturn:
    send(to="ada@acme.example")


def bare(call: Call) -> int | Awaitable[int]:
    return count.function(call, "c-1")


kept: Callable[..., Awaitable[None]] = unsend
