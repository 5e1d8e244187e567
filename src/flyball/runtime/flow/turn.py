"""Turn: one activation of a run, from where its log stands to where it parks or ends.

Parking carries the inbox that this turn has seen: where something newer is there, the journal makes the run ready.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from flyball.core.budget import TENANT, UNLIMITED, Amounts, Limit, tightest
from flyball.core.doubt import outlives
from flyball.core.errors import FlyballError, Superseded, recordable, said
from flyball.core.handoff import ending
from flyball.core.identity import Principal, authority_of
from flyball.core.journal import Append, Appended, Conflict, Hold, HoldRow, PendingRow, Reserve, RunRow, Settle
from flyball.core.lifecycle import LIVE
from flyball.core.origin import Origins, with_request
from flyball.core.outcome import HALTED, Ended, amounts_of, outcome_event
from flyball.core.record import Event, Opened, record_id
from flyball.core.result import Blocked, Failed, stop_reason
from flyball.core.signals import Scale
from flyball.core.signature import to_json
from flyball.core.span import read_traceparent
from flyball.core.steps import TRACED, gaps, root, start
from flyball.core.stop import STOPS, StopReason
from flyball.ports.recording import Recording
from flyball.runtime.flow.activation import Activation, Branch, Govern
from flyball.runtime.flow.history import History
from flyball.runtime.flow.kin import kin_of, request_of
from flyball.runtime.flow.snapshot import Trusted, generation_records
from flyball.runtime.flow.step import TIMED, Continued, Halted, Suspended

Ending = RunRow | Superseded | None
# How often an end is tried again because somebody decided an approval meanwhile.
MAX_ROUNDS = 8
NOTHING: Mapping[str, Scale] = {}


class Body(Protocol):
    """What a run does: made by the wiring from the project's values, by kind and name."""

    async def __call__(self, at: Activation, branch: Branch, kind: str, what: str, input: Any, /) -> Any:
        """Works on the input in this branch; returns the run's value."""
        ...


class Unproven(Protocol):
    """Which promised tools of a run have no committed outcome."""

    def __call__(self, kind: str, what: str, did: frozenset[str], /) -> tuple[str, ...]:
        """The promised tools that are not among those that `did` names."""
        ...


class Turn:
    """Drives activations; what starts and wakes runs is `Driver`."""

    def __init__(
        self, record: Recording, govern: Govern, body: Body, unproven: Unproven, trusted: Trusted,
        limits: Mapping[str, Limit], *, deep: bool = False, scales: Mapping[str, Scale] = NOTHING,
    ) -> None:  # fmt: skip
        """`deep`: what lies inside finished agents and flows is read too, because somebody folds it again."""
        self._record, self._govern, self._body, self._unproven = record, govern, body, unproven
        self._trusted, self._limits, self._deep, self._scales = trusted, limits, deep, scales
        self._logs: dict[str, str] = {}

    def _begun(self, tenant: str, row: RunRow, started: Opened) -> Activation:
        if tenant not in self._logs:  # a log's id stays with it for good
            self._logs[tenant] = self._record.journal.view(tenant).tree()[0]
        at = Activation(self._record, self._govern, tenant, row, History([started]), self._trusted, self._logs[tenant])
        self._rest_on(at, started.private or {})
        at.origins, at.fresh = with_request(Origins(), request_of(started)), True
        return at

    def _rest_on(self, at: Activation, private: Mapping[str, Any]) -> None:
        at.authority = authority_of(msgspec.convert(private["principal"], Principal))
        at.subjects = (private["subject"],)
        caller = read_traceparent(private.get("traceparent", ""))
        at.trace = caller.trace if caller is not None else ""
        at.limit = self._limit(private)
        at.agent_limit = self._limits.get("agent", Limit())
        at.step_limit = self._limits.get("step", Limit())
        at.day_limits = self._limits
        at.scales = self._scales

    def activation(self, tenant: str, row: RunRow, started: Opened | None = None) -> Activation:
        """A run with its history read from the log, ready to be driven.

        Of one that was started just now, within no other, `started` is all that there is to read.
        """
        if started is not None:
            return self._begun(tenant, row, started)
        view = self._record.journal.view(tenant)

        def read(run: RunRow) -> list[Opened]:
            return generation_records(self._record, tenant, view, run, None if self._deep else self._trusted)

        opened = read(row)
        at = Activation(self._record, self._govern, tenant, row, History(opened), self._trusted, view.tree()[0])
        started = opened[0]
        if started.private is None:
            at.halting = Halted("subject_erased", "the run's subject was erased")
            return at
        self._rest_on(at, started.private)
        at.steps = at.history.steps()
        kin = kin_of(view, row, started, read)
        # What `continue_as` hands on is the flow's own, not the principal's request.
        at.recall(view, kin.request, kin.others)
        if kin.above is not None and kin.above.private is not None:
            at.above = row.parent, self._limit(kin.above.private)
        if any(run == row.parent and history.ended() for run, history in kin.others):
            at.halting = Halted("stopped", f"run {row.parent}, within which it acted, has ended")
        stopped = next((r for r in at.history.run if r.kind == "run_stopped"), None)
        if stopped is not None:
            at.halting = Halted("stopped", str((stopped.private or {}).get("reason", "")))
        return at

    def _limit(self, started: Mapping[str, Any]) -> Limit:
        return tightest(msgspec.convert(started["limits"], Limit), self._limits.get("run", Limit()))

    def _input(self, at: Activation, first: Any) -> Any:
        continued = at.history.continued
        return first if continued is None else (continued.private or {})["input"]

    def _branch(self, at: Activation) -> Branch:
        none = Amounts()
        holds = [Hold(node=f"run/{at.row.id}", amounts=none, limit=at.limit)]
        if at.above is not None:
            holds.append(Hold(node=f"run/{at.above[0]}", amounts=none, limit=at.above[1]))
        if "tenant" in self._limits:
            holds.append(Hold(node=TENANT, amounts=none, limit=self._limits["tenant"]))
        for link in at.authority.links:  # an agent that acts on somebody's behalf
            holds += at.day_hold(link.agent)
        return Branch(prefix=root(at.history.generation), authority=at.authority, holds=tuple(holds))

    async def one(self, at: Activation) -> tuple[Activation | None, Ending]:
        """Drives one activation to where it parks or ends. Another one follows where the run goes on with a fresh
        history; otherwise the row that it parked with, or what superseded this driver."""
        if isinstance(at.halting, Halted):
            await self._give_up(at)
            await self._end(at, None, at.halting.reason, at.halting.detail)
            return None, None
        branch = self._branch(at)
        at.doubted |= {str(asked.facts["pending"]) for asked in at.history.contradicted()}
        if at.doubted:  # what the run was told may be wrong: it goes on once a person has said what is true
            return None, await self._park(at, branch)
        input = self._input(at, (at.history.run[0].private or {})["input"])
        TIMED.set(None)  # whoever started or woke this run may be a tool within another one's time limit
        work = at.spawn(self._body(at, branch, at.row.kind, at.row.what, input))
        try:
            value = await work
        except asyncio.CancelledError:
            work.cancel()
            raise
        except Suspended:
            return None, await self._park(at, branch)
        except Continued as on:
            return await self._continue(at, branch, on.input), None
        except Halted as halted:
            await self._end(at, branch, halted.reason, halted.detail)
        except Superseded as lost:
            return None, lost
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as bad:  # noqa: BLE001 - a station boundary: what a flow raises is a named ending of its run
            await self._end(at, branch, stop_reason(bad), said(bad), error=bad)
        else:
            await self._finish(at, branch, value)
        return None, None

    async def close_left(self, tenant: str) -> None:
        """Closes what runs that have ended left open: a call that lost its timer, and with it its process."""
        view = self._record.journal.view(tenant)
        for run in sorted({hold.id.partition("/")[0] for hold in view.rows(HoldRow)}):
            row = view.row(RunRow, run)
            if row is not None and row.state not in LIVE:
                await self._give_up(self.activation(tenant, row))

    async def _give_up(self, at: Activation) -> None:
        """Closes what was under way when the process ended: no step of this run will find out any more what became of
        it. A read is charged and over; whether anything else happened is unknown, and its reservation is held."""
        for intent in at.history.open_intents():
            read = intent.facts["effect"] == "read"
            used = amounts_of(intent.facts["reserved"])
            ended = Ended(status="interrupted" if read else "unknown", code=HALTED, usage=used)
            event = outcome_event(at.place(intent.path), intent.attempt, ended, final=True)
            entry = self._record.seal(at.tenant, event)
            settle = Settle(id=intent.id, actual=used) if read else None
            await self._record.append(Append(
                id=entry.id, tenant=at.tenant, entries=(entry,), urgent=True, settle=settle,
            ))  # fmt: skip

    async def _finish(self, at: Activation, branch: Branch, value: Any) -> None:
        folded = at.history.closed(start(at.history.generation))
        if folded:
            await self._give_up(at)  # its steps are asked for no more
        unasked = [] if folded else at.history.unasked()
        if unasked:
            await self._end(
                at, branch, "replay_diverged", f"the log holds steps that the code never asked for: {unasked}"
            )
            return
        missing = self._unproven(at.row.kind, at.row.what, frozenset(at.did))
        if missing:
            detail = f"the run promised {', '.join(missing)}, and no committed outcome shows it"
            await self._end(at, branch, "claim_unproven", detail)
            return
        await self._end(at, branch, "completed", "", value=value)

    async def _continue(self, at: Activation, branch: Branch, input: Any) -> Activation:
        event = Event(
            kind="run_continued", run=at.row.id, attempt=at.history.generation + 1,
            private={"input": input, "snapshot": msgspec.to_builtins(at.snapshot(input))},
            subjects=at.subjects, facts={"generation": at.history.generation + 1},
        )  # fmt: skip
        size = self._record.journal.view(at.tenant).tree()[1].size
        row = msgspec.structs.replace(at.row, active_ms=at.used_ms(), since=size - 1)
        await at.note(branch, *_interrupted(at), event, rows=(row,))
        following = self.activation(at.tenant, row)
        following.charged_ms, following.standing = at.charged_ms, at.standing
        return following

    def _time_used(self, at: Activation) -> tuple[Reserve | None, Settle | None]:
        tenant = at.day_limits.get(TENANT, UNLIMITED)
        return at.standing.time_used(f"{at.row.id}/time/{at.row.epoch}", tenant, at.uncharged_ms())

    # parking and ending ----------------------------------------------------------------------------------------------
    async def _park(self, at: Activation, branch: Branch) -> RunRow | None:
        event = Event(
            kind="run_parked", run=at.row.id, attempt=at.row.epoch, facts={"waits": at.waits()},
        )  # fmt: skip
        row = msgspec.structs.replace(at.row, state="waiting", wake_at=at.wake_at, active_ms=at.used_ms())
        reserve, settle = self._time_used(at)
        entries = tuple(self._record.seal(at.tenant, e) for e in (event, *at.marker_events(branch)))
        answer = await self._record.append(Append(
            id=f"{entries[0].id}@{at.row.epoch}", tenant=at.tenant, entries=entries, fence=at.fence, put=(row,),
            inbox_seen=at.seen_inbox, reserve=reserve, settle=settle,
        ))  # fmt: skip
        if not isinstance(answer, Appended):
            raise Superseded(FlyballError("not_parked", f"run {at.row.id} could not be parked", str(answer)))
        return answer.run or self._record.journal.row(at.tenant, RunRow, at.row.id)

    def _waiting(self, at: Activation) -> list[PendingRow]:
        if not at.may_ask():
            return []
        return self._record.journal.view(at.tenant).rows(PendingRow, run=at.row.id, state="open")

    async def _end(
        self, at: Activation, branch: Branch | None, reason: str, detail: str, *, value: Any = None,
        error: BaseException | None = None,
    ) -> None:  # fmt: skip
        known: StopReason = reason if reason in STOPS else "internal_error"
        now = self._record.clock.now()
        private: dict[str, Any] = {"detail": detail} if detail else {}
        if known == "completed":
            private["result"] = to_json(value)
        if isinstance(error, (Blocked, Failed)):
            private["error"] = {"reason": error.reason, "what": recordable(error.what), "action": error.action}
        event = Event(
            kind="run_ended", run=at.row.id, facts=ending(known, at.history.handed), private=private,
            subjects=at.subjects,
        )  # fmt: skip
        row = msgspec.structs.replace(at.row, state="ended", reason=known, ended=now, wake_at=0, active_ms=at.used_ms())
        markers = at.marker_events(branch) if branch is not None else ()
        unbegun = () if known == "completed" else _unbegun(at)
        entries = tuple(self._record.seal(at.tenant, e) for e in (*markers, *unbegun, *_interrupted(at), event))
        answer: Any = None
        reserve, settle = self._time_used(at)
        for _ in range(MAX_ROUNDS):
            gone = (r for r in self._waiting(at) if not outlives(r))
            void = tuple(msgspec.structs.replace(r, state="void", version=r.version + 1) for r in gone)
            answer = await self._record.append(Append(
                id=f"{event.id}@{at.row.epoch}", tenant=at.tenant, entries=entries, fence=at.fence, put=(row, *void),
                reserve=reserve, settle=settle,
            ))  # fmt: skip
            if isinstance(answer, Appended):
                return
            if not isinstance(answer, Conflict) or answer.what != "pending":
                break  # somebody decided meanwhile what this end would void: looked at again; all else is the journal's
        raise Superseded(FlyballError("not_ended", f"the end of run {at.row.id} could not be recorded", str(answer)))


def _unbegun(at: Activation) -> list[Event]:
    """Steps that had not begun when their run was ended, beside others of the same branch that had: without a word of
    them the log would look as if records were missing."""
    view, paths, after = at.record.journal.view(at.tenant), set[str](), -1
    while kept := view.records(run=at.row.id, after=after):
        paths |= {record.path for record in kept if record.kind in TRACED}
        after = kept[-1].index
    unbegun: list[str] = []
    while missing := gaps(paths):
        unbegun += missing
        paths.update(missing)
    return [Event(kind="not_awaited", run=at.row.id, path=path, facts={"what": "not begun"}) for path in unbegun]


def _interrupted(at: Activation) -> list[Event]:
    """Outcomes of the agents and flows that were under way when the run was ended from outside."""
    starts = at.open_starts()
    if not starts:
        return []
    view = at.record.journal.view(at.tenant)
    halted = Ended(status="interrupted", code=HALTED)
    made = [
        (record_id(at.row.id, path, attempt, "intent"), outcome_event(at.place(path), attempt, halted, final=True))
        for path, attempt in starts.items()
    ]  # fmt: skip
    return [event for intent, event in made if view.record(intent) is not None and view.record(event.id) is None]
