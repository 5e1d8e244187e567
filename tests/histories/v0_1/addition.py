"""What the shop is given later, while runs wait: another release."""

from __future__ import annotations

from flyball import Call, tool


@tool(effect="read")
async def weigh(call: Call, n: int) -> int:
    """Weigh something."""
    return n
