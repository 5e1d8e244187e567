"""The short form: one blocking call for a script. It acts as the operating-system user, who may not approve."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any, TypeVar

from flyball.app.flyball import Flyball
from flyball.app.person import os_user
from flyball.core.agent import Agent
from flyball.core.flow import Flow
from flyball.core.limits import Limits
from flyball.core.result import Result

I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741


def run(
    what: Flow[I, O] | Agent[I, O], input: I, /, *, max_steps: int | None = None, max_seconds: float | None = None,
    max_usd: str | Decimal | None = None, project: str = "flyball.toml",
) -> Result[O]:  # fmt: skip
    """Runs a flow or agent of this script to its end or to where it waits."""
    limits = Limits(steps=max_steps, seconds=max_seconds, usd=max_usd)
    return asyncio.run(_run(what, input, limits, project))


async def _run(what: Any, input: Any, limits: Limits, project: str) -> Result[Any]:
    async with Flyball.bare(what, project) as app:
        return await app.run(what, input, by=os_user(), limits=limits)
