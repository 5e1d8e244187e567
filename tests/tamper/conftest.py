"""One project for all of these tests: it takes some seconds to make, and every test spoils a copy."""

from __future__ import annotations

import pytest

from tests.tamper.world import World, made


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return made(tmp_path_factory.mktemp("tamper") / "world")
