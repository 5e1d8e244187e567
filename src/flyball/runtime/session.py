"""Sessions: what the log tells of the turns before a run's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from flyball.core.attested import changed
from flyball.core.journal import RunRow
from flyball.core.record import Opened, record_id, unopened
from flyball.core.session import ANOTHER, ERASED, Remembered, Turn, remembered
from flyball.core.source import highest
from flyball.ports.journal import View
from flyball.ports.recording import Recording

ALL: Final = 1_000_000
_NONE: Final[Mapping[str, Any]] = {}


class Earlier:
    """Reads ended turns from the log."""

    def __init__(self, record: Recording) -> None:
        self._record = record

    def __call__(self, tenant: str, run: str, most: int) -> Remembered:
        """At most so many turns before this run's, the latest first; raises `journal_corrupt` where a row says that a
        run is a turn and its record does not."""
        view, now = self._record.journal.view(tenant), self._record.clock.now()
        row = view.row(RunRow, run)
        if row is None or not row.session:
            return Remembered(at=now)
        own = self._opened(tenant, view, row, "run_started")
        rows = sorted(view.rows(RunRow, session=row.session), key=lambda r: r.turn)
        before = [r for r in rows if r.turn < row.turn][: -most - 1 : -1]
        subject = (own.private or _NONE).get("subject")
        return remembered([self._turn(tenant, view, one, subject) for one in before], now)

    def _turn(self, tenant: str, view: View, row: RunRow, subject: object) -> Turn:
        started, ended = (self._opened(tenant, view, row, kind) for kind in ("run_started", "run_ended"))
        if (started.facts.get("session"), started.facts.get("turn")) != (row.session, row.turn):
            raise changed(f"run {row.id}: its record says that it is another turn")
        if started.private is None or ended.private is None:
            return Turn(number=row.turn, run=row.id, ended=ended.time, absent=ERASED)
        if started.private["subject"] != subject:
            return Turn(number=row.turn, run=row.id, ended=ended.time, absent=ANOTHER)
        tainted, sensitivity = _labels(view, row.id)
        return Turn(
            number=row.turn, run=row.id, ended=ended.time, asked=started.private["input"],
            answered=ended.private.get("result"), why="" if ended.facts["ok"] else str(ended.facts["reason"]),
            tainted=tainted, sensitivity=sensitivity,
        )  # fmt: skip

    def _opened(self, tenant: str, view: View, row: RunRow, kind: str) -> Opened:
        stored = view.record(record_id(row.id, "", 0, kind))
        if stored is None:
            raise changed(f"run {row.id} has no record that it is {kind.removeprefix('run_')}")
        return self._record.open(tenant, stored, view)


def _labels(view: View, run: str) -> tuple[bool, str]:
    """Whether a run, with what acted within it, read what nobody vouches for; and the label of the most sensitive thing
    that it read: by an agent's context as by its own recalls."""
    stored = [s for one in (run, *_within(view, run)) for s in view.records(run=one, limit=ALL)]
    read = [unopened(s).facts for s in stored if s.kind in ("outcome", "late")]
    labels = [str(facts["sensitivity"]) for facts in read if "sensitivity" in facts]
    return any(facts["code"] == "untrusted" for facts in read), highest(labels)


def _within(view: View, run: str) -> Iterator[str]:
    return (row.id for row in view.rows(RunRow, parent=run))
