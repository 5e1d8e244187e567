"""Moving: what becomes of runs that have not ended when the code is another one than their log was made with.

`[release] waiting`: "move-if-equal" (default) folds the loaded code over the log, without effects; where it comes to
the same, the run stands on the new release from now on, as a leaf; else it is kept for review. "pin" and "ask" keep
every such run. A run that is kept is not driven; approvals and answers reach it, and stopping it works.
"""

from __future__ import annotations

import msgspec

from flyball.app.refold import Refold
from flyball.app.release import release_of
from flyball.app.replaying import records_of
from flyball.app.wiring import Rooms
from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import Append, Appended, Conflict, Fence, RunRow
from flyball.core.lifecycle import LIVE
from flyball.core.record import Event
from flyball.runtime.replay import Difference


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A run against the loaded code: the releases, and what the code would do otherwise (empty: it may move)."""

    run: str
    release: str
    loaded: str
    differences: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Does the code come to what the log says?"""
        return not self.differences


async def check(rooms: Rooms, tenant: str, run: str) -> Checked:
    """Folds the loaded code over a run's log as a driver would; executes and writes nothing."""
    row, records = records_of(rooms, tenant, run)
    differences = await Refold(rooms, tenant)(row, records)
    return Checked(run=run, release=row.release, loaded=release_of(rooms).digest, differences=tuple(differences))


async def move(rooms: Rooms, tenant: str, run: str, by: Principal | None = None) -> Checked:
    """Sets a run that has not ended on the loaded release, where that comes to the same; raises `replay_diverged`.

    `by`: who decided it, where the configuration says to ask; None: the rule did.
    """
    checked = await check(rooms, tenant, run)
    if not checked.equal:
        raise _diverged(checked)
    await _move(rooms, tenant, checked, by)
    rooms.driver.wake(tenant, run)
    return checked


async def _move(rooms: Rooms, tenant: str, checked: Checked, by: Principal | None) -> None:
    row, records = records_of(rooms, tenant, checked.run)
    if row.release == checked.loaded and not row.review:
        return
    event = Event(
        kind="run_moved", run=row.id, attempt=1 + sum(r.kind == "run_moved" for r in records),
        facts={
            "from": row.release, "to": checked.loaded,
            "by": rooms.record.person(tenant, by.id) if by is not None else "",
        },
    )  # fmt: skip
    moved = msgspec.structs.replace(row, release=checked.loaded, review=False)
    await _put(rooms, tenant, moved, event if row.release != checked.loaded else None)


async def settle(rooms: Rooms, tenant: str) -> list[str]:
    """At opening: every run that has not ended and stands on another release is moved, or kept for review.

    Returns the kept ones.
    """
    loaded, rule = release_of(rooms).digest, rooms.config.release.waiting
    kept = []
    for row in _unended(rooms, tenant):
        if row.release == loaded and not row.review:
            continue
        if rule == "move-if-equal" or row.release == loaded:
            checked = await _checked(rooms, tenant, row)
            if checked is None:
                continue  # erased: no code of it runs any more, its next step ends it
            if checked.equal:
                await _move(rooms, tenant, checked, None)
                continue
        kept.append(row.id)
        if not row.review:
            await _put(rooms, tenant, msgspec.structs.replace(row, review=True), None)
    return kept


def kept_notices(rooms: Rooms, tenant: str) -> list[str]:
    """What every surface says of runs that are kept for review."""
    rule = rooms.config.release.waiting
    why = {"pin": "runs are pinned to their release", "ask": "somebody must say whether it may move"}
    now = f", the code is {release_of(rooms).digest[:8]}" if rooms.project.modules else ""
    return [
        f"run {row.id} stands on release {row.release[:8]}{now}: "
        f"{why.get(rule, 'the code does something else than its log')}. flyball resume {row.id} --check"
        for row in _unended(rooms, tenant) if row.review
    ]  # fmt: skip


async def _checked(rooms: Rooms, tenant: str, row: RunRow) -> Checked | None:
    """None where nothing can be compared any more, because the subject was erased."""
    try:
        return await check(rooms, tenant, row.id)
    except FlyballError as erased:
        if erased.code != "subject_erased":
            raise
        return None


def _unended(rooms: Rooms, tenant: str) -> list[RunRow]:
    view = rooms.ports.journal.view(tenant)
    return [row for state in sorted(LIVE) for row in view.rows(RunRow, state=state)]


async def _put(rooms: Rooms, tenant: str, row: RunRow, event: Event | None) -> None:
    entries = (rooms.record.seal(tenant, event),) if event is not None else ()
    answer = await rooms.record.append(Append(
        id=entries[0].id if entries else f"{row.id}/review/{rooms.ports.clock.now()}", tenant=tenant,
        entries=entries, fence=Fence(row.id, row.epoch), put=(row,), inbox_seen=row.inbox,
    ))  # fmt: skip
    if not isinstance(answer, Appended):
        what = answer.what if isinstance(answer, Conflict) else "it"
        raise FlyballError("conflict", f"run {row.id} is driven by somebody else", f"{what} has moved", "Try again.")


def _diverged(checked: Checked) -> FlyballError:
    return FlyballError(
        "replay_diverged", f"run {checked.run} does not move to release {checked.loaded[:8]}",
        "; ".join(str(d) for d in checked.differences[:3]),
        f'Guard the change with run.changed("..."), or load release {checked.release[:8]} again.',
        {"release": checked.release, "loaded": checked.loaded},
    )  # fmt: skip
