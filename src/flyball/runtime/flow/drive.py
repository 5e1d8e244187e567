"""Drive: runs start, go on, park, wake and end here. Liveness comes from this room; safety comes from the append.

Rules (JOURNAL section 1):

* Starting, taking, parking and ending are appends fenced by `(run, epoch)`: a doubled or dead driver loses.
* A parked run is a row: approvals and answers go to its inbox, timers to `wake_at`. Parking carries the inbox it has
  seen; where something newer is there, the run is ready at once.
* Wake state is scanned at start; notifications inside the process are only hints.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from flyball.core.budget import Amounts, Limit, tightest
from flyball.core.errors import FlyballError, Superseded
from flyball.core.identity import Authority, Principal
from flyball.core.journal import Append, Appended, Claim, Conflict, Hold, PendingRow, RunRow
from flyball.core.lifecycle import DUE, LIVE
from flyball.core.limits import Limits, counted
from flyball.core.record import Event, Opened
from flyball.core.result import Blocked, Failed, Stopped, stop_reason
from flyball.core.signature import to_json
from flyball.core.steps import root
from flyball.core.stop import STOPS, StopReason
from flyball.ports.recording import Recording
from flyball.runtime.flow.activation import Activation, Branch, Govern, Trusted
from flyball.runtime.flow.history import History
from flyball.runtime.flow.step import Continued, Halted, Suspended

MOST_ACTIVE = 1_000


class Body(Protocol):
    """What a run does: made by the wiring from the project's values, by kind and name."""

    async def __call__(self, at: Activation, branch: Branch, kind: str, what: str, input: Any, /) -> Any: ...


class Unproven(Protocol):
    """Which promised tools of a run have no committed outcome."""

    def __call__(self, kind: str, what: str, did: frozenset[str], /) -> tuple[str, ...]: ...


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is started with."""

    kind: str
    what: str
    input: Any
    by: Principal
    release: str
    key: str = ""
    session: str = ""
    subject: str = ""
    limits: Limits = Limits()


class Driver:
    """Drives the runs of this process."""

    def __init__(
        self, record: Recording, govern: Govern, body: Body, unproven: Unproven, trusted: Trusted,
        limits: Mapping[str, Limit], after: Callable[[str], Awaitable[None]],
    ) -> None:  # fmt: skip
        self._record, self._govern, self._body, self._unproven = record, govern, body, unproven
        self._trusted, self._limits, self._after = trusted, limits, after
        self._active: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._running: dict[tuple[str, str], Activation] = {}
        self._again: set[tuple[str, str]] = set()
        self._timers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._slots = asyncio.Semaphore(MOST_ACTIVE)
        self._closing = False
        self.crashed: dict[tuple[str, str], BaseException] = {}

    # starting --------------------------------------------------------------------------------------------------------
    async def start(self, wanted: Started) -> str:
        """The id of the run: a new one, or the one that this key already started."""
        tenant, now = wanted.by.tenant, self._record.clock.now()
        data = to_json(wanted.input)
        run = self._run_id(wanted)
        claims: tuple[Claim, ...] = ()
        if wanted.key:
            body = self._record.person(tenant, hashlib.sha256(msgspec.json.encode([wanted.what, data])).hexdigest())
            claims = (Claim(scope="run", key=run, digest=body, owner=run),)
        subject = wanted.subject or wanted.by.id
        event = Event(
            kind="run_started", run=run, subjects=(subject,),
            facts={"kind": wanted.kind, "what": wanted.what, "release": wanted.release, "key": bool(wanted.key),
                   "by": self._record.person(tenant, wanted.by.id), "generation": 1},
            private={"input": data, "principal": msgspec.to_builtins(wanted.by), "subject": subject,
                     "limits": msgspec.to_builtins(counted(wanted.limits)), "key": wanted.key},
        )  # fmt: skip
        row = RunRow(
            id=run, kind=wanted.kind, what=wanted.what, state="running", epoch=1, release=wanted.release,
            session=wanted.session, started=now,
        )  # fmt: skip
        entry = self._record.seal(tenant, event, now)
        answer = await self._record.append(Append(
            id=entry.id, tenant=tenant, entries=(entry,), claims=claims, put=(row,),
        ))  # fmt: skip
        if isinstance(answer, Appended) and not answer.repeated:
            self._drive(tenant, row)
            return run
        return self._known(answer, wanted, run, claims)

    def _known(self, answer: Any, wanted: Started, run: str, claims: tuple[Claim, ...]) -> str:
        if wanted.key and isinstance(answer, (Conflict, Appended)):
            opened = self._started(wanted.by.tenant, run)
            same = opened is not None and (opened.private or {}).get("input") == to_json(wanted.input)
            if same and opened is not None and opened.facts["what"] == wanted.what:
                return run
            raise FlyballError(
                "key_conflict", f"the key {wanted.key!r} started another run", f"{run} has another input",
                "use a key of its own for each request",
            )  # fmt: skip
        raise FlyballError("not_started", "the run could not be started", str(answer), "see flyball doctor")

    def _run_id(self, wanted: Started) -> str:
        if wanted.key:
            return "r-" + self._record.person(wanted.by.tenant, f"run\0{wanted.by.id}\0{wanted.key}")[:20]
        return "r-" + self._record.salt()[:10].hex()

    # driving ---------------------------------------------------------------------------------------------------------
    def _drive(self, tenant: str, row: RunRow) -> None:
        key = (tenant, row.id)
        task = asyncio.get_running_loop().create_task(self._activate(tenant, row))
        self._active[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    def _ended(self, key: tuple[str, str], done: asyncio.Task[None]) -> None:
        self._active.pop(key, None)
        self._running.pop(key, None)
        if not done.cancelled() and done.exception() is not None:
            self.crashed[key] = done.exception()  # type: ignore[assignment]
        if key in self._again and not self._closing:
            self._again.discard(key)
            self.wake(*key)

    def wake(self, tenant: str, run: str) -> None:
        """A hint that the run may go on: takes it where its row says that it is due."""
        key = (tenant, run)
        if self._closing:
            return
        if key in self._active:
            self._again.add(key)
            return
        row = self._record.journal.view(tenant).row(RunRow, run)
        if row is not None and (row.state in DUE or (row.state == "waiting" and self._due(row))):
            self._take(tenant, row)

    def _due(self, row: RunRow) -> bool:
        return 0 < row.wake_at <= self._record.clock.now()

    def _take(self, tenant: str, row: RunRow) -> None:
        key = (tenant, row.id)

        async def taken() -> None:
            answer = await self._record.append(Append(
                id=f"{row.id}/take/{row.epoch + 1}", tenant=tenant, take=row.id,
            ))  # fmt: skip
            if isinstance(answer, Appended) and answer.run is not None and not answer.repeated:
                await self._activate(tenant, answer.run)

        task = asyncio.get_running_loop().create_task(taken())
        self._active[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))

    async def resume_all(self, tenant: str) -> int:
        """Takes every run that is due, and sets the timers of those that wait. Called once at start."""
        view = self._record.journal.view(tenant)
        due = [row for state in sorted(DUE) for row in view.rows(RunRow, state=state)]
        for row in due:
            if not row.review:
                self._take(tenant, row)
        for row in view.rows(RunRow, state="waiting"):
            self._timer(tenant, row)
        return len(due)

    def _timer(self, tenant: str, row: RunRow) -> None:
        if not row.wake_at or self._closing:
            return
        key = (tenant, row.id)

        async def later() -> None:
            await self._record.clock.wait(row.wake_at)
            self._timers.pop(key, None)
            self.wake(tenant, row.id)

        old = self._timers.pop(key, None)
        if old is not None:
            old.cancel()
        self._timers[key] = asyncio.get_running_loop().create_task(later())

    async def _activate(self, tenant: str, row: RunRow) -> None:
        async with self._slots:
            at = self._activation(tenant, row)
            self._running[(tenant, row.id)] = at
            while True:
                again = await self._one(at)
                if again is None:
                    break
                at = again
                self._running[(tenant, row.id)] = at
        await self._after(tenant)

    def _activation(self, tenant: str, row: RunRow) -> Activation:
        view = self._record.journal.view(tenant)
        opened = [self._record.open(tenant, s, view) for s in view.records(run=row.id, limit=1_000_000)]
        at = Activation(self._record, self._govern, tenant, row, History(opened), self._trusted)
        started = opened[0]
        if started.private is None:
            at.halting = Halted("subject_erased", "the run's subject was erased")
            return at
        private = started.private
        at.authority = Authority(principal=msgspec.convert(private["principal"], Principal))
        at.subjects = (private["subject"],)
        own = msgspec.convert(private["limits"], Limit)
        at.limit = tightest(own, self._limits.get("run", Limit()))
        at.recall(self._input(at, private["input"]))
        stopped = next((r for r in at.history.run if r.kind == "run_stopped"), None)
        if stopped is not None:
            at.halting = Halted("stopped", str((stopped.private or {}).get("reason", "")))
        return at

    def _input(self, at: Activation, first: Any) -> Any:
        continued = [r for r in at.history.run if r.kind == "run_continued"]
        return (continued[-1].private or {})["input"] if continued else first

    def _branch(self, at: Activation) -> Branch:
        day = at.row.started // 86_400_000_000
        none = Amounts()
        holds = [Hold(node=f"run/{at.row.id}", amounts=none, limit=at.limit)]
        if "tenant" in self._limits:
            holds.append(Hold(node=f"tenant/{day}", amounts=none, limit=self._limits["tenant"]))
        return Branch(prefix=root(self._generation(at)), authority=at.authority, holds=tuple(holds))

    @staticmethod
    def _generation(at: Activation) -> int:
        return 1 + sum(r.kind == "run_continued" for r in at.history.run)

    async def _one(self, at: Activation) -> Activation | None:
        """Drives one activation to where it parks or ends; another one where the run goes on with a fresh history."""
        if at.halting is not None:
            await self._end(at, None, at.halting.reason, at.halting.detail)
            return None
        branch = self._branch(at)
        input = self._input(at, (at.history.run[0].private or {})["input"])
        work = at.spawn(self._body(at, branch, at.row.kind, at.row.what, input))
        try:
            value = await work
        except asyncio.CancelledError:
            work.cancel()
            raise
        except Suspended:
            return await self._park(at, branch)
        except Continued as on:
            return await self._continue(at, branch, on.input)
        except Halted as halted:
            await self._end(at, branch, halted.reason, halted.detail)
        except Superseded as lost:
            self.crashed[(at.tenant, at.row.id)] = lost.error
        except Exception as bad:  # a station boundary: whatever a flow raises is a named ending of its run
            await self._end(at, branch, stop_reason(bad), f"{type(bad).__name__}: {bad}", error=bad)
        else:
            await self._finish(at, branch, value)
        return None

    async def _finish(self, at: Activation, branch: Branch, value: Any) -> None:
        unasked = at.history.unasked()
        if unasked:
            await self._end(at, branch, "replay_diverged", f"the log holds steps that the code never asked for: {unasked}")
            return
        for step in [s for s in branch.steps if not s.awaited]:
            event = Event(kind="not_awaited", run=at.row.id, path=step.path, facts={"what": step.what})
            if not at.history.past(step.path).records:
                await at.note(branch, event)
        missing = self._unproven(at.row.kind, at.row.what, frozenset(at.did))
        if missing:
            detail = f"the run promised {', '.join(missing)}, and no committed outcome shows it"
            await self._end(at, branch, "claim_unproven", detail)
            return
        await self._end(at, branch, "completed", "", value=value)

    async def _continue(self, at: Activation, branch: Branch, input: Any) -> Activation | None:
        event = Event(
            kind="run_continued", run=at.row.id, attempt=self._generation(at) + 1, private={"input": input},
            subjects=at.subjects, facts={"generation": self._generation(at) + 1},
        )  # fmt: skip
        await at.note(branch, event)
        return self._activation(at.tenant, at.row)

    # parking and ending ----------------------------------------------------------------------------------------------
    async def _park(self, at: Activation, branch: Branch) -> Activation | None:
        event = Event(
            kind="run_parked", run=at.row.id, attempt=at.row.epoch, facts={"waits": sorted(at.pending)},
        )  # fmt: skip
        row = msgspec.structs.replace(at.row, state="waiting", wake_at=at.wake_at, active_ms=at.used_ms())
        entries = tuple(self._record.seal(at.tenant, e) for e in (event, *at.marker_events(branch)))
        answer = await self._record.append(Append(
            id=f"{entries[0].id}@{at.row.epoch}", tenant=at.tenant, entries=entries, fence=at.fence, put=(row,),
            inbox_seen=at.seen_inbox,
        ))  # fmt: skip
        if isinstance(answer, Appended) and answer.run is not None:
            if answer.run.state == "ready":
                self._again.add((at.tenant, at.row.id))
            else:
                self._timer(at.tenant, answer.run)
        return None

    async def _end(
        self, at: Activation, branch: Branch | None, reason: str, detail: str, *, value: Any = None,
        error: BaseException | None = None,
    ) -> None:  # fmt: skip
        known: StopReason = reason if reason in STOPS else "internal_error"  # type: ignore[assignment]
        now = self._record.clock.now()
        private: dict[str, Any] = {"detail": detail} if detail else {}
        if known == "completed":
            private["result"] = to_json(value)
        if isinstance(error, (Blocked, Failed)):
            private["error"] = {"reason": error.reason, "what": error.what, "action": error.action}
        event = Event(
            kind="run_ended", run=at.row.id, facts={"reason": known, "ok": STOPS[known].ok}, private=private,
            subjects=at.subjects,
        )  # fmt: skip
        row = msgspec.structs.replace(
            at.row, state="ended", reason=known, ended=now, wake_at=0, active_ms=at.used_ms()
        )
        open_rows = self._record.journal.view(at.tenant).rows(PendingRow, run=at.row.id, state="open")
        void = tuple(msgspec.structs.replace(r, state="void", version=r.version + 1) for r in open_rows)
        markers = at.marker_events(branch) if branch is not None else ()
        entries = tuple(self._record.seal(at.tenant, e) for e in (*markers, event))
        await self._record.append(Append(
            id=f"{event.id}@{at.row.epoch}", tenant=at.tenant, entries=entries, fence=at.fence, put=(row, *void),
        ))  # fmt: skip

    # reading ---------------------------------------------------------------------------------------------------------
    def _started(self, tenant: str, run: str) -> Opened | None:
        view = self._record.journal.view(tenant)
        first = view.records(run=run, limit=1)
        return self._record.open(tenant, first[0], view) if first else None

    async def settled(self, tenant: str, run: str) -> RunRow:
        """Waits until nobody in this process drives the run; its row then. Raises what crashed its driver."""
        while (tenant, run) in self._active:
            await asyncio.wait({self._active[(tenant, run)]})
            await asyncio.sleep(0)
        if (tenant, run) in self.crashed:
            raise self.crashed.pop((tenant, run))
        row = self._record.journal.view(tenant).row(RunRow, run)
        if row is None:
            raise FlyballError("unknown_run", f"there is no run {run} in tenant {tenant}", fix="flyball runs")
        return row

    async def stop(self, tenant: str, run: str, reason: str, by: Principal) -> Stopped:
        """Ends a run at its next step; what is in flight is recorded first. A waiting run ends at once."""
        row = self._record.journal.view(tenant).row(RunRow, run)
        if row is None or row.state not in LIVE:
            raise FlyballError("not_running", f"run {run} is not running", fix="flyball runs")
        event = Event(
            kind="run_stopped", run=run, facts={"by": self._record.person(tenant, by.id)}, private={"reason": reason},
            subjects=(by.id,),
        )  # fmt: skip
        entry = self._record.seal(tenant, event)
        await self._record.append(Append(id=entry.id, tenant=tenant, entries=(entry,), wakes=(run,), urgent=True))
        halted = Halted("stopped", reason)
        running = self._running.get((tenant, run))
        if running is not None:
            running.halting = halted
        self.wake(tenant, run)
        await self.settled(tenant, run)
        return Stopped(run, "stopped", reason)

    async def close(self) -> None:
        """Stops driving; runs stay where their log stands and are taken up at the next start."""
        self._closing = True
        for task in (*self._timers.values(), *self._active.values()):
            task.cancel()
        await asyncio.gather(*self._timers.values(), *self._active.values(), return_exceptions=True)
