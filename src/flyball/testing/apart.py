"""The sandbox of the Labs of this process: what it can do is tried out once."""

from __future__ import annotations

from functools import cache

from flyball.app.plugs import adapter
from flyball.ports.sandbox import Sandbox


@cache
def sandbox() -> Sandbox:
    """Real processes, for every Lab of this process."""
    return adapter("sandbox.process")()  # type: ignore[no-any-return]
