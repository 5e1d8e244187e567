"""What a port says no with."""

from __future__ import annotations

from collections.abc import Callable

from flyball.core.errors import FlyballError


def refusal(action: Callable[[], object]) -> str:
    """The code of the FlyballError that the action raises; "" where it raises none."""
    try:
        action()
    except FlyballError as refused:
        return refused.code
    return ""
