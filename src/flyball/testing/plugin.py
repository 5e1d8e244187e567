"""What pytest finds when flyball is installed: the fixtures `lab` and `no_models`. Nothing happens to other tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import flyball.testing as kit


@pytest.fixture
def lab(request: pytest.FixtureRequest) -> Callable[..., kit.Lab]:
    """Makes a Lab whose project, if nothing else is said, is the test's own module."""

    def make(**settings: Any) -> kit.Lab:
        chosen: dict[str, Any] = {"project": [request.module], **settings}
        return kit.Lab(**chosen)

    return make


@pytest.fixture
def no_models() -> Iterator[None]:
    """No real model is asked and nothing leaves this machine while the test runs."""
    with kit.no_models():
        yield
