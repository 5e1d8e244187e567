"""Drive: runs start, go on, park, wake and end here. Liveness comes from this room; safety comes from the append.

Rules (JOURNAL section 1):

* Starting, taking, parking and ending are appends fenced by `(run, epoch)`: a doubled or dead driver loses.
* A parked run is a row: approvals and answers go to its inbox, timers to `wake_at`. Parking carries the inbox it has
  seen; where something newer is there, the run is ready at once.
* A queued run is a row: it is taken when no earlier turn of its session is under way (see `flow.session`).
* Wake state is scanned at start; notifications inside the process are only hints.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any

from flyball.core.attested import changed
from flyball.core.errors import FlyballError, Superseded
from flyball.core.identity import Principal
from flyball.core.journal import Append, Appended, Conflict, Refused, RunRow
from flyball.core.lifecycle import DUE, LIVE, QUEUED
from flyball.core.record import Event, Opened
from flyball.core.result import Stopped
from flyball.core.signature import to_json
from flyball.ports.recording import Recording
from flyball.runtime.flow.activation import Activation
from flyball.runtime.flow.session import lost_its_place
from flyball.runtime.flow.starting import Started, Starts, as_read
from flyball.runtime.flow.step import Halted
from flyball.runtime.flow.turn import Ending, Turn

MOST_ACTIVE = 1_000
# How often, in seconds of real time, the rows of a tenant are looked at for runs whose wake-up was lost.
POLL_S = 15.0

# What may be otherwise when it is tried again: there is room, or the journal takes the append.
LATER = frozenset({"disk_full", "not_parked"})


@dataclass(slots=True)
class _Driven:
    """A run while this process drives it: from when it is taken to when its driver has ended. `at` is the activation
    that it is in, if it is in one; `again` says that something has come for it since."""

    task: asyncio.Task[None]
    at: Activation | None = None
    again: bool = False


class Driver:
    """Drives the runs of this process."""

    def __init__(self, starts: Starts, turn: Turn, after: Callable[[str], Awaitable[None]]) -> None:
        self.starts, self._turn, self._after = starts, turn, after
        self._record, self._sessions = starts.record, starts.sessions
        self._driven: dict[tuple[str, str], _Driven] = {}
        self._due_at: list[tuple[int, str, str]] = []
        self._timing: asyncio.Task[None] | None = None
        self._timing_until = 0
        self._left: dict[tuple[str, str], set[asyncio.Task[Any]]] = {}
        self._polled: set[str] = set()
        self._starved: set[tuple[str, str]] = set()
        self._polling: asyncio.Task[None] | None = None
        self._slots = asyncio.Semaphore(MOST_ACTIVE)
        self._closing = False
        self._named: set[tuple[str, str]] | None = None
        self._stopping: set[tuple[str, str]] = set()
        self.crashed: dict[tuple[str, str], BaseException] = {}

    # who is driven ---------------------------------------------------------------------------------------------------
    def hold(self) -> None:
        """From now on only runs that somebody asks for by name are driven: a command must not start other work."""
        self._named = set()

    def name(self, tenant: str, run: str) -> None:
        """Somebody asks for this run: it may go on, now or when its time has come."""
        if self._named is None or (tenant, run) in self._named:
            return
        self._named.add((tenant, run))
        row = self._record.journal.row(tenant, RunRow, run)
        if row is not None and row.state == "waiting":
            self._timer(tenant, row)

    def drives(self, tenant: str, run: str) -> bool:
        """Would this process drive the run once it is due?"""
        return not self._closing and (self._named is None or (tenant, run) in self._named)

    # starting --------------------------------------------------------------------------------------------------------
    async def start(self, wanted: Started) -> str:
        """The id of the run: a new one, or the one that this key already started."""
        tenant = wanted.by.tenant
        run = self.starts.id_of(wanted)
        self.name(tenant, run)
        if wanted.session and self._record.journal.row(tenant, RunRow, run) is not None:
            return self._known(wanted, run, there=True)  # it has its turn already
        answer, event, row = await self.starts.append(wanted, run)
        while lost_its_place(answer):
            lost, (answer, event, row) = row.turn, await self.starts.append(wanted, run)
            if lost_its_place(answer) and row.turn == lost:
                raise changed(f"turn {lost} of the session of {run} is taken, and no row says by which run")
        if isinstance(answer, Appended) and not answer.repeated:
            self._poll(tenant)
            if row.state == QUEUED:
                self._wake_if_due(tenant, run)  # who was ahead may have ended meanwhile
                return run
            # Nobody else knows the id yet of what has no key: no stop or action within it can be in the log.
            alone = not wanted.key and not wanted.parent
            begun = as_read(event, answer.first, row.started) if alone else None
            self._drive((tenant, run), self._activate(tenant, row, begun))
            return run
        return self._known(wanted, run, there=isinstance(answer, (Conflict, Appended)), answer=str(answer))

    def _known(self, wanted: Started, run: str, *, there: bool, answer: str = "") -> str:
        if wanted.key and there:
            opened = self._started(wanted.by.tenant, run)
            same = opened is not None and (opened.private or {}).get("input") == to_json(wanted.input)
            if same and opened is not None and opened.facts["what"] == wanted.what:
                self.wake(wanted.by.tenant, run)  # whoever started it may have been cancelled before driving it
                return run
            key = wanted.key.rpartition("\0")[2]  # of an action, its call id
            raise FlyballError(
                "key_conflict", f"the key {key!r} started another run", f"{run} is of another action or input",
                "use a key of its own for each request",
            )  # fmt: skip
        raise FlyballError("not_started", "the run could not be started", answer, "see flyball doctor")

    # driving ---------------------------------------------------------------------------------------------------------
    def _drive(self, key: tuple[str, str], work: Coroutine[Any, Any, None]) -> None:
        driven = self._driven[key] = _Driven(asyncio.get_running_loop().create_task(work))
        driven.task.add_done_callback(lambda done: self._ended(key, driven, done))

    def _ended(self, key: tuple[str, str], driven: _Driven, done: asyncio.Task[None]) -> None:
        if self._driven.get(key) is driven:
            del self._driven[key]
        error = None if done.cancelled() else done.exception()
        if error is not None:
            self.crashed[key] = error.error if isinstance(error, Superseded) else error
        if getattr(self.crashed.get(key), "code", "") in LATER:
            self._starved.add(key)  # it stands where its log stands, and is tried again: see `_look`
        # Whoever cancelled it, the run is not over: it goes on from its log.
        if (driven.again or done.cancelled()) and not self._closing:
            self._wake_if_due(*key)

    def wake(self, tenant: str, run: str) -> None:
        """A hint that the run may go on: takes it where its row says that it is due."""
        key = (tenant, run)
        if not self.drives(tenant, run):
            return
        driven = self._driven.get(key)
        if driven is not None:
            driven.again = True
            if driven.at is not None:
                driven.at.heed()
            return
        row = self._record.journal.row(tenant, RunRow, run)
        if row is None or (row.review and key not in self._stopping):
            return  # the code is another one than its log was made with: somebody must look first
        if row.state in DUE or self.due(tenant, row):
            self._take(tenant, row)

    def due(self, tenant: str, row: RunRow) -> bool:
        """Has its time come, or its turn? Whoever is stopped has it at once."""
        if row.state == QUEUED:
            return (tenant, row.id) in self._stopping or self._sessions.ahead(tenant, row) is None
        return row.state == "waiting" and 0 < row.wake_at <= self._record.clock.now()

    def _take(self, tenant: str, row: RunRow) -> None:
        key = (tenant, row.id)

        async def taken() -> None:
            answer = await self._record.append(Append(
                id=f"{row.id}/take/{row.epoch + 1}", tenant=tenant, take=row.id,
            ))  # fmt: skip
            if isinstance(answer, Refused) and answer.reason == "disk_full":
                self._starved.add(key)
            if isinstance(answer, Appended) and answer.run is not None and not answer.repeated:
                await self._activate(tenant, answer.run)

        self.crashed.pop(key, None)  # of an earlier driver: it goes on now
        self._drive(key, taken())

    async def resume_all(self, tenant: str) -> int:
        """Takes every run that is due, and sets the timers of those that wait. Called once at start."""
        view = self._record.journal.view(tenant)
        self._poll(tenant)
        due = [row for state in sorted(DUE) for row in view.rows(RunRow, state=state)]
        for row in due:
            if not row.review and (tenant, row.id) not in self._driven:
                self._take(tenant, row)
        for row in view.rows(RunRow, state="waiting"):
            self._timer(tenant, row)
        for row in view.rows(RunRow, state=QUEUED):
            self._wake_if_due(tenant, row.id)
        await self._turn.close_left(tenant)
        return len(due)

    def _timer(self, tenant: str, row: RunRow) -> None:
        """Remembers when a waiting run wants to be driven: an entry in one heap, not a task of its own."""
        if not row.wake_at or self._closing:
            return
        heapq.heappush(self._due_at, (row.wake_at, tenant, row.id))
        idle = self._timing is None or self._timing.done()
        if idle or self._due_at[0][0] < self._timing_until:
            if self._timing is not None:
                self._timing.cancel()
            self._timing_until = self._due_at[0][0]
            self._timing = asyncio.get_running_loop().create_task(self._time())

    @property
    def sleeping(self) -> frozenset[asyncio.Task[None]]:
        """What waits for parked runs' times, not inside a driven run: a virtual clock does not move on for it."""
        return frozenset({self._timing} if self._timing is not None else ())

    async def _time(self) -> None:
        while self._due_at:
            self._timing_until = self._due_at[0][0]
            await self._record.clock.wait(self._timing_until)
            while self._due_at and self._due_at[0][0] <= self._record.clock.now():
                _, tenant, run = heapq.heappop(self._due_at)
                self._wake_if_due(tenant, run)  # its row says whether it is still due
        self._timing = None

    def _wake_if_due(self, tenant: str, run: str) -> None:
        try:
            self.wake(tenant, run)
        except Exception:  # noqa: BLE001 - a station boundary: what cannot be woken now must not keep the others asleep
            self._starved.add((tenant, run))  # it is tried again, see `_look`

    def _poll(self, tenant: str) -> None:
        """From now on this tenant's rows are looked at: a wake-up that was lost in this process is only late."""
        self._polled.add(tenant)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        while not self._closing:
            await asyncio.sleep(POLL_S)
            for tenant in sorted(self._polled):
                await asyncio.sleep(0)  # many tenants must not hold up everybody
                for row in _lying(self._record, tenant, "ready", "waiting", QUEUED):
                    due = row.state in ("ready", QUEUED) or self.due(tenant, row)
                    if due and (tenant, row.id) not in self._driven:
                        self._wake_if_due(tenant, row.id)
            starved, self._starved = self._starved, set()
            for key in starved:
                self._wake_if_due(*key)

    async def _activate(self, tenant: str, row: RunRow, started: Opened | None = None) -> None:
        key, at_once = (tenant, row.id), not self._slots.locked()
        async with self._slots:
            ended: Ending = None
            # Who waited for a slot may have been stopped meanwhile.
            at: Activation | None = self._turn.activation(tenant, row, started if at_once else None)
            while at is not None:
                self._driven[key].at = at
                try:
                    following, ended = await self._turn.one(at)
                finally:
                    self._leave(key, at)
                at = following
        if isinstance(ended, Superseded):
            self.crashed[key] = ended.error
        elif isinstance(ended, RunRow) and ended.state in DUE:
            self._driven[key].again = True  # something arrived while it parked
        elif isinstance(ended, RunRow):
            self._timer(tenant, ended)
        elif row.session:
            self._follow(tenant, row.session)
        await self._after(tenant)

    def _follow(self, tenant: str, session: str) -> None:
        """A turn has ended: the next one of its session may begin."""
        for row in _lying(self._record, tenant, QUEUED, session=session):
            self._wake_if_due(tenant, row.id)

    def _leave(self, key: tuple[str, str], at: Activation) -> None:
        """What is still in flight when a turn is over is recorded when it ends; it does not outlive this driver."""
        still = {task for task in at.tasks if not task.done()}
        if not still:
            return
        left = self._left.setdefault(key, set())
        left |= still

        def gone(task: asyncio.Task[Any]) -> None:
            left.discard(task)
            if not left and self._left.get(key) is left:
                del self._left[key]

        for task in still:
            task.add_done_callback(gone)

    # reading ---------------------------------------------------------------------------------------------------------
    def _started(self, tenant: str, run: str) -> Opened | None:
        view = self._record.journal.view(tenant)
        first = view.records(run=run, limit=1)
        return self._record.open(tenant, first[0], view) if first else None

    async def settled(self, tenant: str, run: str) -> RunRow:
        """Waits until nobody in this process drives the run, nor the turn that it waits for; its row then. Raises what
        crashed its driver."""
        row = await self._undriven(tenant, run)
        while row.state == QUEUED:
            ahead = self._sessions.ahead(tenant, row)
            if ahead is None or (tenant, ahead.id) not in self._driven:
                break  # it waits for more than this process
            await self._undriven(tenant, ahead.id)
            row = await self._undriven(tenant, run)
        return row

    async def _undriven(self, tenant: str, run: str) -> RunRow:
        while (tenant, run) in self._driven:
            await asyncio.wait({self._driven[(tenant, run)].task})
            await asyncio.sleep(0)
        if (tenant, run) in self.crashed:
            raise self.crashed.pop((tenant, run))
        row = self._record.journal.row(tenant, RunRow, run)
        if row is None:
            raise FlyballError("unknown_run", f"there is no run {run} in tenant {tenant}", fix="flyball runs")
        return row

    async def stop(self, tenant: str, run: str, reason: str, by: Principal) -> Stopped:
        """Ends a run at its next step; what is in flight is recorded first. A waiting run ends at once."""
        row = self._record.journal.row(tenant, RunRow, run)
        if row is None or row.state not in LIVE:
            raise FlyballError("not_running", f"run {run} is not running", fix="flyball runs")
        event = Event(
            kind="run_stopped", run=run, facts={"by": self._record.person(tenant, by.id)}, private={"reason": reason},
            subjects=(by.id,),
        )  # fmt: skip
        await self._record.write(tenant, event, wakes=(run,), urgent=True)
        driven = self._driven.get((tenant, run))
        if driven is not None and driven.at is not None:
            driven.at.halting = Halted("stopped", reason)
        self.name(tenant, run)
        self._stopping.add((tenant, run))
        try:
            self.wake(tenant, run)
            await self.settled(tenant, run)
        finally:
            self._stopping.discard((tenant, run))
        return Stopped(run, "stopped", reason)

    async def close(self) -> None:
        """Stops driving; runs stay where their log stands and are taken up at the next start."""
        self._closing = True
        own = (t for t in (self._timing, self._polling) if t is not None)
        tasks = [*(driven.task for driven in self._driven.values()), *own]
        await _called_off(tasks)
        await _called_off([task for left in self._left.values() for task in left])


def _lying(record: Recording, tenant: str, *states: str, **where: str) -> list[RunRow]:
    # Not in `_look`: a view and all these rows would be held until the next look.
    try:
        view = record.journal.view(tenant)
        return [row for state in states for row in view.rows(RunRow, state=state, **where)]
    except Exception:  # noqa: BLE001 - a station boundary: what cannot be read now is looked at again
        return []


async def _called_off(tasks: Iterable[asyncio.Task[Any]]) -> None:
    for task in (tasks := tuple(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
