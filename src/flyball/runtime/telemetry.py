"""Telemetry: follows the log by a cursor and hands what it finds to an exporter. The log is the truth, this its shadow.

Rules:

* Nothing here is called by a step: the log is looked at every POLL_S seconds, a slice at a time, and everybody else has
  their turn between two slices.
* The cursor moves when a batch was accepted, and never before: what was sent and not noted is sent again, under the
  same ids. What is under way at the cursor is found again by folding its run up to there.
* While a receiver is away the same batch waits, longer each time. A batch that it refuses is halved until the span is
  found that it will never take; that one is dropped and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace

from flyball.core.disclosure import Rules, needed
from flyball.core.journal import Stored
from flyball.core.meter import Meter, measured
from flyball.core.record import NO_RUN, Opened, unopened
from flyball.core.span import Span
from flyball.core.telemetry import Cursor, ExportError
from flyball.core.trace import Folded, Trace, begun, fold, subject_of
from flyball.ports.exporter import Cursors, Exporter
from flyball.ports.journal import View
from flyball.ports.recording import Recording

POLL_S: Final = 1.0
LONGEST_S: Final = 60.0
SLICE: Final = 64
MOST_SPANS: Final = 512
# Runs whose fold is kept; of another one it is made again from its records.
MOST_TRACES: Final = 2_000


@dataclass(slots=True)
class _Batch:
    """What was folded and not accepted yet: everything before `next`, and the meter with it."""

    next: int
    meter: Meter
    spans: list[Span] = field(default_factory=list)
    lost: int = 0


@dataclass(slots=True)
class _Followed:
    """One tenant's log: how far its exporter has come, and the runs that are under way there."""

    cursor: Cursor
    traces: dict[str, Trace] = field(default_factory=dict)
    batch: _Batch | None = None
    told: Meter | None = None


class Projector:
    """One exporter's way through the logs of a deployment, of tenants that `takes` lets. `chance` gives 0 to 1, for
    waits that do not meet."""

    def __init__(
        self, record: Recording, exporter: Exporter, cursors: Cursors, rules: Rules, chance: Callable[[], float],
        takes: Callable[[str], bool] = lambda _: True,
    ) -> None:  # fmt: skip
        self._record, self._exporter, self._cursors = record, exporter, cursors
        self._rules, self._chance, self._takes = rules, chance, takes
        self._followed: dict[str, _Followed] = {}
        self._failures = 0

    async def run(self) -> None:
        """Exports until it is cancelled."""
        while True:
            seconds = await self.round()
            await asyncio.sleep(seconds)

    async def round(self) -> float:
        """Exports everything that is there now; how many seconds to wait before the next time."""
        try:
            if not self._cursors.take():
                self._followed.clear()  # another process is further by now
                return POLL_S
            await self.drain([tenant for tenant in self._record.journal.tenants() if self._takes(tenant)])
        except ExportError as bad:
            return self._wait(bad.retry_after_ms)
        except Exception:  # noqa: BLE001 - a station boundary: a log or a disk that fails now must not end telemetry
            self._followed.clear()  # it goes on from what was saved last
            return self._wait()
        self._failures = 0
        return POLL_S

    async def drain(self, tenants: Sequence[str]) -> None:
        """Exports everything that is there now of these tenants; raises ExportError where something is not taken."""
        behind = dict.fromkeys(tenants)
        while behind:
            for tenant in tuple(behind):
                if not await self._portion(tenant):
                    del behind[tenant]
        await self._tell_metrics()

    def of_run(self, tenant: str, run: str) -> list[Span]:
        """What there is to tell of one run by now; nothing is sent."""
        view, trace, found, after = self._record.journal.view(tenant), None, list[Span](), -1
        while kept := view.records(run=run, after=after, limit=1_000):
            for stored in kept:
                folded, after = self._next(tenant, view, stored, trace), stored.index
                if folded is not None:
                    trace = folded.trace
                    found += folded.spans
        return found

    def _wait(self, retry_after_ms: int = 0) -> float:
        self._failures += 1
        seconds = min(LONGEST_S, POLL_S * 2.0 ** min(self._failures, 16))
        return max(retry_after_ms / 1000, seconds * (0.5 + self._chance() / 2))

    # one portion -----------------------------------------------------------------------------------------------------
    async def _portion(self, tenant: str) -> bool:
        """Folds and sends the next batch of a log; is there more?"""
        followed, size = self._standing(tenant)
        batch = followed.batch or _Batch(next=followed.cursor.next, meter=followed.cursor.meter)
        followed.batch = batch
        while len(batch.spans) < MOST_SPANS and batch.next < size:
            self._fold_slice(tenant, followed, batch)
            await asyncio.sleep(0)
        if batch.next == followed.cursor.next:
            return False
        dropped = await self._accepted(tenant, followed, batch)
        cursor = followed.cursor
        followed.batch, followed.cursor = None, replace(
            cursor, next=batch.next, meter=batch.meter, trouble="", at=self._record.clock.now(),
            sent=cursor.sent + len(batch.spans) - dropped, dropped=cursor.dropped + dropped + batch.lost,
        )  # fmt: skip
        self._cursors.save(tenant, followed.cursor)
        return batch.next < size

    def _standing(self, tenant: str) -> tuple[_Followed, int]:
        log, frontier = self._record.journal.view(tenant).tree()
        known = self._followed.get(tenant)
        cursor = known.cursor if known is not None else self._cursors.load(tenant) or Cursor(log=log)
        if cursor.log != log or cursor.next > frontier.size:  # another log stands there now, or an older copy of it
            known, cursor = None, Cursor(log=log)
        if known is None:
            known = self._followed[tenant] = _Followed(cursor)
        return known, frontier.size

    async def _accepted(self, tenant: str, followed: _Followed, batch: _Batch) -> int:
        try:
            return await self._send(batch.spans)
        except ExportError as bad:
            if followed.cursor.trouble != bad.code:
                followed.cursor = replace(followed.cursor, trouble=bad.code, at=self._record.clock.now())
                self._cursors.save(tenant, followed.cursor)
            raise

    async def _send(self, spans: Sequence[Span]) -> int:
        """Sends them; how many nobody will ever take."""
        if not spans:
            return 0
        try:
            return await self._exporter.spans(spans)
        except ExportError as bad:
            if bad.kind != "refused":
                raise
            half = len(spans) // 2
            return await self._send(spans[:half]) + await self._send(spans[half:]) if half else 1

    async def _tell_metrics(self) -> None:
        if not self._exporter.metered:
            return
        for followed in self._followed.values():
            meter = followed.cursor.meter
            if meter.series and meter is not followed.told:
                try:
                    await self._exporter.metrics(meter, self._record.clock.now())
                except ExportError as bad:
                    if bad.kind != "refused":
                        raise
                followed.told = meter

    # folding ---------------------------------------------------------------------------------------------------------
    def _fold_slice(self, tenant: str, followed: _Followed, batch: _Batch) -> None:
        view, spans, waiting = self._record.journal.view(tenant), list[Span](), dict[str, int]()
        kept, now = view.records(after=batch.next - 1, limit=SLICE), 0
        for stored in kept:
            batch.next, now = stored.index + 1, stored.time
            if stored.run == NO_RUN:
                continue
            folded = self._folded(tenant, view, followed.traces, stored)
            batch.lost += folded is None
            if folded is None:
                continue
            spans += folded.spans
            for kind, more in folded.waiting.items():
                waiting[kind] = waiting.get(kind, 0) + more
        batch.spans += spans
        if spans or waiting:
            batch.meter = measured(batch.meter, tenant, spans, waiting, now)

    def _folded(self, tenant: str, view: View, traces: dict[str, Trace], stored: Stored) -> Folded | None:
        known = traces.pop(stored.run, None)
        if known is None and stored.kind != "run_started":
            known = self._again(tenant, view, stored)
        folded = self._next(tenant, view, stored, known)
        trace = folded.trace if folded is not None else known
        if trace is not None and not trace.ended:
            traces[stored.run] = trace  # last in order: what is used least is forgotten first
            if len(traces) > MOST_TRACES:
                del traces[next(iter(traces))]
        return folded

    def _next(self, tenant: str, view: View, stored: Stored, trace: Trace | None) -> Folded | None:
        """What one more record of a run comes to; None where nobody can read it."""
        try:
            if trace is not None:
                return fold(trace, self._read(tenant, view, stored, trace), self._rules)
            started = self._opened(tenant, view, stored)
            return Folded(trace=begun(tenant, started, self._rules))
        except Exception:  # noqa: BLE001 - a station boundary: a record that nobody can read must not end telemetry
            return None

    def _again(self, tenant: str, view: View, stored: Stored) -> Trace | None:
        """The fold of a run's records before this one; None where there are none."""
        trace, after = None, -1
        while True:
            kept = [one for one in view.records(run=stored.run, after=after, limit=1_000) if one.index < stored.index]
            if not kept:
                return trace
            for one in kept:
                folded, after = self._next(tenant, view, one, trace), one.index
                trace = folded.trace if folded is not None else trace

    def _read(self, tenant: str, view: View, stored: Stored, trace: Trace) -> Opened:
        told = unopened(stored)
        return self._opened(tenant, view, stored) if needed(told, *subject_of(trace, told), self._rules) else told

    def _opened(self, tenant: str, view: View, stored: Stored) -> Opened:
        try:
            return self._record.open(tenant, stored, view)
        except Exception:  # noqa: BLE001 - a station boundary: what cannot be opened is told by its leaf
            return unopened(stored)


class Telemetry:
    """The projectors of a deployment, while it is open."""

    def __init__(self, projectors: Mapping[str, tuple[Projector, Exporter, Cursors]]) -> None:
        self._projectors = projectors
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to export, beside everything else."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(p.run(), name=f"telemetry {n}") for n, (p, _, _) in self._projectors.items()]

    async def close(self, seconds: float = 2.0) -> None:
        """Sends what is there, as far as that can be done in so many seconds; the rest is sent at the next start. What
        was never started sends nothing."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                last = (p.round() for p, _, _ in self._projectors.values() if self._tasks)
                await asyncio.gather(*last, return_exceptions=True)
        for _, exporter, cursors in self._projectors.values():
            await exporter.close()
            cursors.close()
