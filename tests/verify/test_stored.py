"""A journal that goes on while it is verified is not taken for one that was edited."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from flyball import Run, Waiting, flow
from flyball.core.errors import FlyballError
from flyball.core.note import parse_vkey
from flyball.verify import stored
from flyball.verify.report import Check
from flyball.verify.stored import verify_store
from tests.runtime.test_late import Gate, pushing
from tests.runtime.till import FAY, lab, look


class Short:
    """A view that ends after a few nodes."""

    def __init__(self, view: Any) -> None:
        self._view, self._left = view, 4

    def node(self, level: int, index: int) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise FlyballError("view_expired", "this view of the journal has ended")
        found: bytes = self._view.node(level, index)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._view, name)


def verified(rooms: Any, look: Callable[[], Any]) -> tuple[Check, ...]:
    record = rooms.record
    return verify_store(
        look, lambda one: record.disclose("local", one, rooms.ports.journal.view("local")),
        partial(record.person, "local"), parse_vkey(rooms.ledger.verifier_key()), rooms.ledger.origin("local"),
    )  # fmt: skip


async def test_a_run_that_goes_on_meanwhile_is_no_difference() -> None:
    till = Gate()
    bench = lab(till)
    asked = await bench.run(pushing, 3, key="k")
    assert isinstance(asked, Waiting)
    rooms = bench._bench._app.rooms  # type: ignore[union-attr]
    view = partial(rooms.ports.journal.view, "local")
    looks = [view()]
    await bench.resolve(asked.pending[0], "executed", by=FAY, result="seen")
    till.open.set()
    assert [c for c in verified(rooms, lambda: looks.pop() if looks else view()) if not c.ok] == []


async def test_a_long_log_is_read_by_many_short_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "PORTION", 4)
    bench = lab()
    await bench.run(peeking, 3, key="k")
    rooms = bench._bench._app.rooms  # type: ignore[union-attr]
    assert all(check.ok for check in verified(rooms, lambda: Short(rooms.ports.journal.view("local"))))


@flow
async def peeking(run: Run, n: int) -> int:
    return await run.call(look, n)
