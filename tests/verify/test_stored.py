"""A journal that goes on while it is verified is not taken for one that was edited."""

from __future__ import annotations

from functools import partial

from flyball import Waiting
from flyball.core.note import parse_vkey
from flyball.verify.stored import verify_store
from tests.runtime.test_late import Gate, pushing
from tests.runtime.till import FAY, lab


async def test_a_run_that_goes_on_meanwhile_is_no_difference() -> None:
    till = Gate()
    bench = lab(till)
    asked = await bench.run(pushing, 3, key="k")
    assert isinstance(asked, Waiting)
    rooms = bench._bench._app.rooms  # type: ignore[union-attr]
    view, record = partial(rooms.ports.journal.view, "local"), rooms.record
    looks = [view()]
    await bench.resolve(asked.pending[0], "executed", by=FAY, result="seen")
    till.open.set()
    checks = verify_store(
        lambda: looks.pop() if looks else view(), lambda stored: record.disclose("local", stored, view()),
        partial(record.person, "local"), parse_vkey(rooms.ledger.verifier_key()), rooms.ledger.origin("local"),
    )  # fmt: skip
    assert [c for c in checks if not c.ok] == []
