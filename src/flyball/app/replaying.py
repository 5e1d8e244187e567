"""Replaying: `flyball replay RUN`. Every verdict from its recorded inputs and bundles, and the code over the log."""

from __future__ import annotations

from collections.abc import Sequence

from flyball.app.refold import Refold
from flyball.app.release import release_of
from flyball.app.verdicts import DECIDED, Verdicts, released
from flyball.app.wiring import Rooms
from flyball.core.errors import FlyballError
from flyball.core.journal import RunRow
from flyball.core.record import Opened
from flyball.core.steps import bare
from flyball.runtime.replay import (
    Difference,
    Replayed,
    approval_differences,
    precondition_differences,
    route_differences,
    verdict_differences,
)

ALL = 1_000_000


def records_of(rooms: Rooms, tenant: str, run: str) -> tuple[RunRow, list[Opened]]:
    """A run with its records; raises `unknown_run`, and `subject_erased` where what it did cannot be read any more."""
    view = rooms.ports.journal.view(tenant)
    row = view.row(RunRow, run)
    if row is None:
        raise FlyballError("unknown_run", f"there is no run {run} in tenant {tenant}", fix="flyball runs")
    records = [rooms.record.open(tenant, stored, view) for stored in view.records(run=run, limit=ALL)]
    gone = sum(record.private is None for record in records)
    if gone:
        why = f"{gone} of its {len(records)} records were erased with their subject"
        raise FlyballError("subject_erased", f"run {run} cannot be replayed", why, "flyball ledger verify still can.")
    return row, records


async def replay(rooms: Rooms, tenant: str, run: str) -> Replayed:
    """What is not as the log says. Executes and writes nothing."""
    row, records = records_of(rooms, tenant, run)
    derived, refused, differences = _verdicts(Verdicts(rooms, tenant), records)
    differences += [*precondition_differences(records), *approval_differences(records)]
    folded = bool(rooms.project.modules)
    if folded:
        differences += await Refold(rooms, tenant)(row, records, deep=True)
    steps = {bare(r.path) for r in records if r.path}
    return Replayed(
        run=run, release=row.release, loaded=release_of(rooms).digest, verdicts=derived, refused=refused,
        steps=len(steps), folded=folded, differences=tuple(differences),
    )  # fmt: skip


def _verdicts(verdicts: Verdicts, records: Sequence[Opened]) -> tuple[int, int, list[Difference]]:
    """How many verdicts were derived again, how many proposals had none, and what is different."""
    releases = released(records)
    derived = refused = 0
    found: list[Difference] = []
    for record in records:
        if record.kind not in DECIDED or record.facts.get("kind", "approval") != "approval":
            continue
        try:
            now = verdicts.again(record, releases[record.index])
        except FlyballError as missing:
            found.append(Difference(at=record.id, what=f"it cannot be decided again: {missing}"))
            continue
        if now is None:
            refused += 1
            continue
        derived += 1
        found += verdict_differences(record, now)
        found += route_differences(record)
        if "streamed" in record.facts and not verdicts.streams(record, releases[record.index]):
            found.append(Difference(at=record.id, what="its answer was shown while it arrived, and policy forbids it"))
    return derived, refused, found
