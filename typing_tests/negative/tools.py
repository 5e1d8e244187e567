"""What a tool declares, and what belongs to it, must fit its function."""

from flyball import Call, Key, Tool, tool


@tool(effect="irreversible", idempotency="probe")
async def send(call: Call, to: str) -> int:
    return 1


@send.undo  # error
async def unsend(call: Call, sent: str, to: str) -> None: ...


@send.undo  # error
async def forget(call: Call, to: str) -> None: ...


@send.probe  # error
async def was_sent(call: Call, to: int) -> int | None:
    return None


@send.probe  # error
async def is_sent(call: Call, to: str) -> bytes | None:
    return None


@send.requires  # error
async def may(call: Call, to: str) -> int:
    return 1


@tool(effect="harmless")  # error
async def wrong_effect(call: Call) -> int:
    return 1


@tool(effect="read", isolation="box")  # error
async def wrong_isolation(call: Call) -> int:
    return 1


@tool(effect="read", risk=3)  # error
async def wrong_risk(call: Call) -> int:
    return 1


@tool(effect="read", idempotency="maybe")  # error
async def wrong_idempotency(call: Call) -> int:
    return 1


@tool(effect="read", cost=0.5)  # error
async def wrong_cost(call: Call) -> int:
    return 1


@tool(effect="read", timeout=30)  # error
async def wrong_timeout(call: Call) -> int:
    return 1


@tool()  # error
async def no_effect(call: Call) -> int:
    return 1


@tool(effect="read")  # error
async def no_call(to: str) -> int:
    return 1


key = Key(window=60)  # error


def spent() -> int:
    total: int = send.function  # error
    return total


def typed(t: Tool[[str], int]) -> Tool[[int], int]:
    return t  # error
