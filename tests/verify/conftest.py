"""One lived-through project for all of these tests: they look at its moments and change nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flyball.testing import Lab
from tests.verify.living import lived


@pytest.fixture(scope="session")
def living() -> tuple[Lab, list[Any]]:
    return asyncio.run(lived())
