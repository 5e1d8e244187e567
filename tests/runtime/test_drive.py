"""What drives runs, where the journal cannot be read for a moment."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from flyball.core.errors import FlyballError
from flyball.runtime.flow import drive


class Unread:
    """A journal that cannot be read the first time."""

    def __init__(self) -> None:
        self.asked = 0

    def view(self, tenant: str) -> Any:
        raise FlyballError("journal_unavailable", "the journal cannot be read")

    def row(self, *key: object) -> None:
        self.asked += 1
        if self.asked == 1:
            raise FlyballError("journal_unavailable", "the journal cannot be read")


async def test_a_run_without_room_is_tried_again_where_it_could_not_be_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drive, "POLL_S", 0.001)
    journal, nothing = Unread(), SimpleNamespace()
    record: Any = SimpleNamespace(journal=journal)
    driver = drive.Driver(record, nothing, nothing)  # type: ignore[arg-type]
    driver._starved.add(("local", "r"))
    driver._poll("local")
    await asyncio.sleep(0.1)
    await driver.close()
    assert journal.asked == 2
