"""An activation: one run being driven, from where its log stands to where it parks or ends.

It knows the run's fence, history and budgets, builds every proposal, and keeps what later decisions read: what the run
did and was denied, where values came from, whether it is tainted.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec

from flyball.core.budget import NO_LIMIT, UNLIMITED, ZERO, Amounts, Limit, costless, left, of_agent, plus, tightest
from flyball.core.doubt import outlives
from flyball.core.effect import READING, Action
from flyball.core.errors import FlyballError, Superseded
from flyball.core.guard import Screened
from flyball.core.identity import Authority
from flyball.core.journal import Append, Appended, BudgetRow, Fence, Hold, PendingRow, Refused, Row, RunRow
from flyball.core.memory import Remembering, Scope
from flyball.core.origin import Origins, untrusted, with_output, with_request
from flyball.core.outcome import Past
from flyball.core.proposal import Performer, Place, Proposal
from flyball.core.record import Event
from flyball.core.result import Blocked, Executed, Failed, Governed, Pending
from flyball.core.signals import Scale
from flyball.core.signature import to_json
from flyball.core.source import SENSITIVITIES, highest
from flyball.core.steps import bare, child
from flyball.ports.journal import View
from flyball.ports.recording import Recording
from flyball.runtime.flow.history import History
from flyball.runtime.flow.snapshot import Snapshot, Trusted, handed_on, taken
from flyball.runtime.flow.standing import Standing
from flyball.runtime.flow.step import Halted, Suspended, lost

Govern = Callable[[Proposal, Past], Awaitable[Governed[Any]]]
Prepared = tuple[Action, Performer, Mapping[str, Any]]
MOST_STEPS = 10_000
# Actions that are called like their kind.
_WORDS = frozenset({"model", "recall", "remember"})


class Remembers(Protocol):
    """What a run remembers and recalls by: prepares the proposals."""

    def remember(self, scene: Any, wanted: Remembering, /) -> Prepared:
        """The proposal to remember something."""
        ...

    def recall(self, scene: Any, query: str, top_k: int, min_score: float, scope: Scope, /) -> Prepared:
        """The proposal to recall."""
        ...

    async def follow(self, tenant: str, /) -> None:
        """Brings the index to where the log is."""
        ...


@dataclass(slots=True)
class Branch:
    """A branch of a run: where its steps stand, who acts in it, what its agents may use; `following` has the work since
    the turn before."""

    prefix: str
    authority: Authority
    holds: tuple[Hold, ...]
    made: int = 0
    until: int = 0
    chances: int = 0
    marks: int = 0
    markers: list[tuple[str, Any]] = field(default_factory=list)
    travelling: BaseException | None = None
    steps: dict[str, Any] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    following: str = ""

    def next(self) -> str:
        """The path of the next step of this branch."""
        self.made += 1
        return child(self.prefix, self.made)


class Activation:
    """The state of one run while it is driven."""

    def __init__(
        self, record: Recording, govern: Govern, tenant: str, row: RunRow, history: History, trusted: Trusted, log: str
    ) -> None:
        self.record, self._govern, self.tenant, self.row, self.history = record, govern, tenant, row, history
        self.log, self.trace, self._trusted = log, "", trusted
        self.origins = Origins()
        self.subjects: tuple[str, ...] = ()
        self.authority: Authority
        self.limit: Limit = UNLIMITED
        self.agent_limit: Limit = UNLIMITED
        self.above: tuple[str, Limit] | None = None
        self.step_limit: Limit = UNLIMITED
        self.day_limits: Mapping[str, Limit] = {}
        self.standing = Standing(record, tenant, row.id)
        self.charged_ms, self.seen_inbox = row.active_ms, row.inbox
        self.state: Any = None
        self.pending: dict[str, Pending] = {}
        self.tasks: set[asyncio.Task[Any]] = set()
        self.did: set[str] = set()
        self.denied: dict[str, str] = {}
        self.rejected: set[str] = set()
        self.tainted = False
        self.sensitivity = SENSITIVITIES[0]
        self.memories: Remembers
        self.began = record.clock.now()
        self.halting: Halted | Suspended | None = None
        self.doubted: set[str] = set()
        self.steps = self.wake_at = 0
        self.lasting: dict[str, int] = {}
        self.scales: Mapping[str, Scale] = {}
        self.signals: dict[str, int] = {}
        self.fresh = False  # is it sure that nothing was reserved yet?

    @property
    def fence(self) -> Fence:
        """What every append of this driver is fenced by."""
        return Fence(self.row.id, self.row.epoch)

    # driving ---------------------------------------------------------------------------------------------------------
    def spawn(self, work: Coroutine[Any, Any, Any], context: Context | None = None) -> asyncio.Task[Any]:
        """A task that belongs to the run: steps may be awaited in it."""
        task = asyncio.get_running_loop().create_task(work, context=context)
        self.tasks.add(task)
        return task

    def own(self) -> bool:
        """Is this the run's own task?"""
        return asyncio.current_task() in self.tasks

    def may_ask(self) -> bool:
        """Can there be something of this run that waits for people? What is still at work may just be asking."""
        return bool(self.pending) or self.history.asked() or any(not task.done() for task in self.tasks)

    def used_ms(self) -> int:
        """How long the run has been driven, parked time excluded."""
        return self.row.active_ms + (self.record.clock.now() - self.began) // 1000

    def uncharged_ms(self) -> int:
        """How long it was driven without having told so to its tenant."""
        return self.used_ms() - self.charged_ms

    def day_hold(self, agent: str) -> tuple[Hold, ...]:
        """The node of an agent over all runs, where its day is limited."""
        node = of_agent(agent)
        limit = self.day_limits.get(node, self.day_limits.get(of_agent(""), UNLIMITED))
        return (Hold(node=node, amounts=ZERO, limit=limit),) if limit != UNLIMITED else ()

    def check_limits(self, branch: Branch) -> None:
        """Raises Halted where the run may not take another step in this branch."""
        self.steps += 1
        if lost():
            raise Suspended  # the flow was told that this did not end in time, and has gone on
        if self.halting is not None:
            raise self.halting
        if self.limit.ms >= 0 and self.used_ms() >= self.limit.ms:
            raise Halted("max_seconds", f"the run may take {self.limit.ms / 1000:g} s")
        self.standing.check(branch.holds, self.uncharged_ms())
        if self.steps > MOST_STEPS:
            raise Halted("max_steps", f"more than {MOST_STEPS} steps; use run.continue_as for long runs")
        if NO_LIMIT != self.limit.denials <= len(self.denied):
            raise Halted("policy_denied", f"{len(self.denied)} proposals of this run were denied")

    # acting ----------------------------------------------------------------------------------------------------------
    async def act(
        self, branch: Branch, path: str, action: Action, performer: Performer, arguments: Mapping[str, Any],
        extra: Mapping[str, Any] | None = None, problem: str = "", screened: Screened | None = None,
    ) -> Executed[Any] | Blocked | Failed:  # fmt: skip
        """One governed action at a place of the run: told from the log, or decided and done now."""
        past, digest = self._past(path, action), argument_digest(_word(action), arguments)
        self._same(past, path, action, digest)
        for check in past.checks:
            self._same(check, path, performer.requires.action if performer.requires else action, digest)
        if not past.records:
            self.check_limits(branch)
            if 0 < branch.until <= self.record.clock.now():
                raise Failed("max_seconds", f"{branch.authority.links[-1].agent} has used up its time")
        proposal = Proposal(
            place=self._place(branch, path, past), action=action, performer=performer, authority=branch.authority,
            arguments=arguments, origins=self.origins, extra=extra or {}, digest=digest,
            problem=problem, screened=screened,
        )  # fmt: skip
        self.fresh = self.fresh and performer.lasting  # this one reserves
        if branch.markers:
            await self.note(branch)  # durable before the step that follows: appends are first in, first out
        self._enter(proposal, past)
        told = await self._govern(proposal, past)
        self.lasting.pop(path, None)
        if isinstance(told, Pending):
            self.pending[told.id] = told
            self._wake(told)
            raise Suspended
        self._learn(path, action, performer, told)
        if isinstance(told, Blocked):
            self._end_by(told, branch)
        return told

    def _end_by(self, told: Blocked, branch: Branch) -> None:
        """What ends the run, whatever the flow would catch: a revoked person, a spent budget, too many denials."""
        if told.reason == "auth_failed" or str(told.data.get("node", "")).startswith(("run/", "tenant/", "agents/")):
            raise Halted(told.reason, told.what)
        if "capped" in told.data:
            self.standing.refuse(f"{told.data['capped']}:denials", branch.holds)

    def waits(self) -> list[str]:
        """What the run waits for, by id."""
        return sorted({*self.pending, *self.doubted})

    def heed(self) -> None:
        """Something has come for this run while it is driven. Where it contradicts what the run was told, the run
        takes no new step before a person has said what is true."""
        rows = self.record.journal.view(self.tenant).rows(PendingRow, run=self.row.id, state="open", kind="unknown")
        self.doubted |= {row.id for row in rows if outlives(row)}
        if self.doubted and self.halting is None:
            self.halting = Suspended()

    def _past(self, path: str, action: Action) -> Past:
        past = self.history.past(path)
        inside = self.history.checks(path) if action.kind == "tool" else ()
        return msgspec.structs.replace(past, checks=inside) if inside else past

    def open_starts(self) -> dict[str, int]:
        """The agents and flows under way: those entered now, and those that the log holds open."""
        return self.history.open_starts() | self.lasting

    def place(self, path: str) -> Place:
        """A place of this run, for a record that ends something."""
        return Place(
            tenant=self.tenant, run=self.row.id, path=path, fence=self.fence, release=self.row.release,
            subjects=self.subjects, subject="", log=self.log,
        )  # fmt: skip

    def _enter(self, proposal: Proposal, past: Past) -> None:
        # What is running when the run is halted must be closed with it: see `Turn`.
        if proposal.performer.lasting:
            going = past.open_intent()
            self.lasting[proposal.place.path] = past.attempts + 1 if going is None else going.attempt

    def _wake(self, pending: Pending) -> None:
        if pending.expires is not None:
            self.wake(int(pending.expires.timestamp() * 1_000_000))

    def wake(self, at: int) -> None:
        """The run wants to be driven again at this time, in microseconds."""
        self.wake_at = at if not self.wake_at else min(self.wake_at, at)

    def _same(self, past: Past, path: str, action: Action, digest: str) -> None:
        for r in past.records:
            if r.private is None or r.kind not in ("intent", "decision", "asked"):
                continue
            name = r.facts.get("action") or r.facts.get("covers", {}).get("action", action.name)
            request = r.private.get("request", r.private)
            if name != action.name or request.get("proposed", digest) != digest:
                # A tool is its own word in a request, and none may be called like a kind; everything else is its kind.
                word = request.get("action", name)
                held = worded("tool" if word == name and word not in _WORDS else word, name)
                now = "it with other arguments" if name == action.name else worded(action.kind, action.name)
                raise Halted("replay_diverged", f"step {path}: the log holds {held}, the code now does {now}")

    def _place(self, branch: Branch, path: str, past: Past) -> Place:
        left = UNLIMITED if past.over() else self.left()  # no policy reads what is left for a step that is over
        return Place(
            tenant=self.tenant, run=self.row.id, path=path, fence=self.fence, release=self.row.release,
            subjects=self.subjects, subject=self.subjects[0] if self.subjects else "", did=frozenset(self.did),
            denied=frozenset(self.denied.values()), tainted=self.tainted, holds=self._holds(branch, path),
            left=left, rejected=frozenset(self.rejected), within=self.row.parent, log=self.log, trace=self.trace,
            signals=dict(self.signals),
        )  # fmt: skip

    def _holds(self, branch: Branch, path: str) -> tuple[Hold, ...]:
        """The budget path of a step. Only where steps are limited has it a node of its own, for all its attempts."""
        if self.step_limit == UNLIMITED:
            return branch.holds
        step = Hold(node=f"step/{self.row.id}/{path}", amounts=ZERO, limit=self.step_limit)
        return (*branch.holds, step)

    def left(self) -> Limit:
        """What remains of the run's limits, and of those of the run that it acts within."""
        own = self._left(self.row.id, self.limit, self.used_ms() if self.limit.ms >= 0 else 0)
        return own if self.above is None else tightest(own, self._left(*self.above))

    def _left(self, run: str, limit: Limit, ms: int = 0) -> Limit:
        if costless(limit):
            return UNLIMITED
        found = None if self.fresh else self.record.journal.row(self.tenant, BudgetRow, f"run/{run}")
        row = found or BudgetRow(id="")
        return left(limit, plus(Amounts(ms=ms), plus(row.reserved, row.spent)))

    def _learn(self, path: str, action: Action, performer: Performer, told: Governed[Any]) -> None:
        if isinstance(told, Blocked):
            self.denied[path] = action.name
        elif isinstance(told, Executed) and action.kind == "handoff":
            self.history.handed[path] = action.name
        elif isinstance(told, Executed) and action.kind in READING and performer.signature is not None:
            if performer.notes is not None:
                self._read(performer.notes(told.value).facts.get("sensitivity"))
            trusted = performer.signature.trusted
            # Of a tainted run a result that nobody vouches for says nothing more.
            self._did(action.name, to_json(told.value) if trusted or not self.tainted else None, trusted)

    def _did(self, name: str, data: Any, trusted: frozenset[str]) -> None:
        self.did.add(name)
        self.origins = with_output(self.origins, name, data, trusted)
        self.tainted = self.tainted or untrusted(data, trusted)

    def _read(self, sensitivity: Any) -> None:
        if sensitivity in SENSITIVITIES:
            self.sensitivity = highest([self.sensitivity, sensitivity])

    def recall(self, view: View, request: Any, others: tuple[tuple[str, History], ...] = ()) -> None:
        """Learns from the log what earlier activations did: a finished agent is folded, what it read still counts.

        `others` are the runs that this one is one piece of work with, by id.
        """
        self.origins = with_request(Origins(), request)
        for run, history in others:
            self._recall(view, run, history, f"{run}/")
        self._recall(view, self.row.id, self.history)

    def snapshot(self, input: Any) -> Snapshot:
        """What the next generation of the run must know of this one and those before it."""
        return Snapshot(
            did=tuple(sorted(self.did)), denied=self.denied, rejected=tuple(sorted(self.rejected)),
            tainted=self.tainted, known=handed_on(self.origins.known, input), signals=self.signals,
            sensitivity=self.sensitivity,
        )  # fmt: skip

    def _recall(self, view: View, run: str, history: History, place: str = "") -> None:
        earlier = taken(history.continued)
        self.did |= set(earlier.did)
        self.rejected |= set(earlier.rejected)
        self.tainted = self.tainted or earlier.tainted
        self._read(earlier.sensitivity)
        self.denied |= {f"{place}{path}": name for path, name in earlier.denied.items()}
        self.origins = Origins({**earlier.known, **self.origins.known})
        self.signals |= {**earlier.signals, **history.signals()}
        actions = history.actions()
        for record in history.outcomes():
            name, private = actions.get(bare(record.path), ""), record.private or {}
            trusted = self._trusted(name)
            good = record.facts["status"] == "executed" and not record.facts.get("result_invalid")
            if good:
                self._read(record.facts.get("sensitivity"))
            if good and trusted is not None and "result" in private:
                self._did(name, private["result"], trusted)
            elif good and trusted is not None and record.private is not None:  # folded: its leaf says enough
                self.did.add(name)
                self.tainted = self.tainted or record.facts["code"] == "untrusted"
        self.denied |= {f"{place}{path}": name for path, name in history.denials().items()}
        if history.asked():
            rows = view.rows(PendingRow, run=run, state="rejected")
            self.rejected |= history.rejections({row.id for row in rows})

    # writing ---------------------------------------------------------------------------------------------------------
    async def note(self, branch: Branch, *events: Event, rows: tuple[Row, ...] = ()) -> None:
        """Appends records of the flow itself, with the markers that wait; a lost fence ends this driver, a cap that
        is used up ends the run."""
        events, markers = (*self.marker_events(branch), *events), list(branch.markers)
        branch.markers.clear()
        entries = tuple(self.record.seal(self.tenant, e) for e in events)
        answer = await self.record.append(Append(
            id=f"{entries[0].id}@{self.row.epoch}", tenant=self.tenant, entries=entries, fence=self.fence, put=rows,
        ))  # fmt: skip
        if isinstance(answer, Refused) and answer.reason == "budget":
            branch.markers[:0] = markers
            self.standing.refuse(answer.detail, [hold for row in rows for hold in getattr(row, "counts", ())])
        if not isinstance(answer, Appended):
            lost = FlyballError("conflict", f"another driver has run {self.row.id}", str(getattr(answer, "what", "")))
            raise Superseded(lost)

    def marker_events(self, branch: Branch) -> tuple[Event, ...]:
        """Markers as records."""
        return tuple(
            Event(kind="marker", run=self.row.id, path=path, facts={"name": path}, private={"value": value},
                  subjects=self.subjects)
            for path, value in branch.markers
        )  # fmt: skip


def worded(kind: str, name: str) -> str:
    """`call send`, `agent writer`: how a step is named to people."""
    return f"{'call' if kind == 'tool' else kind} {name}" if kind != name else f"a {kind} call"


def _word(action: Action) -> str:
    # A handoff is of the same name as the agent's start, and is another step.
    return f"{action.kind} {action.name}" if action.kind == "handoff" else action.name


def argument_digest(name: str, arguments: Mapping[str, Any]) -> str:
    """The digest by which a replay sees whether the code still proposes the same."""
    try:
        data = msgspec.json.encode(arguments, order="sorted")
    except (ValueError, RecursionError):  # no record could hold them: the gate refuses them, at a replay too
        data = b"-"
    return hashlib.sha256(name.encode() + b"\0" + data).hexdigest()
