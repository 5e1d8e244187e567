"""Lab: a whole project in memory: real policies, real flows, real evidence; scripted answers, named people, own time.

    lab = Lab(policies=HERE / "policies", by=KIM, resources=[shop.use(client)],
              models={"clerk": [propose(get_order, order_id="A-17"), Say(Advice(9900, "broken"))]})
    asked = await lab.run(handle, "A-17", key="ticket-7")
    done = await lab.approve(asked.pending[0], by=FAY)

Rules:

* Journal, keyring and signer are in memory; the gate, Cedar, the broker, recovery and the ledger are the product's own.
* Time stands still. `advance` moves it: expiries, timers and sleeping runs wake in order. Only while a run is driven
  and everything in it waits (a retry, a rate, the grace of a probe, a `run.timeout`) does time move on by itself, to
  the next such moment, so that no test hangs and none sleeps. A tool's own `timeout=` is real time.
* No model and no machine but this one is reached (see `no_models`).
* A crash ends the process: what was durable is there for the next call, nothing else is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Self, TypeVar

from flyball.app.flyball import Flyball
from flyball.app.wiring import sources
from flyball.core.agent import Agent
from flyball.core.call import Use
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.core.flow import Flow
from flyball.core.identity import Principal
from flyball.core.journal import PendingRow, RunRow
from flyball.core.limits import Limits
from flyball.core.record import Opened
from flyball.core.result import Blocked, Executed, Failed, Pending, Result, Stopped
from flyball.core.steps import bare
from flyball.core.tool import Tool
from flyball.ports.guard import Guard
from flyball.testing.bench import NONE, Bench, fresh_journal
from flyball.testing.clock import VirtualClock
from flyball.testing.crash import LabJournal, point
from flyball.testing.decide import Question, Verdict, at_once, decided
from flyball.testing.histories import Replayed, ReplayJournal, history_of, read_history, replayed
from flyball.testing.script import Scripts
from flyball.testing.sockets import no_models
from flyball.verify.report import Report

I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741
SOMEBODY: Final = Principal("user:somebody")
MICRO: Final = timedelta(microseconds=1)
NO_ORIGINS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Something that a run did to the world: the action with its arguments, and what it returned."""

    action: str
    arguments: Mapping[str, Any]
    value: Any
    run: str
    path: str


class Lab:
    """One project under test; see the module.

    `policies` a directory, the text of a policy, or None for the starter policy; `by` who starts runs where no one else
    is named; `resources` what stands for the project's resources; `models` the answers of each agent's model;
    `project` the modules to take the project's values from (else they are found from the values that are passed);
    `config` (a `flyball.toml`, or ready) limits, approvals, tenants, guards and directory of people as in production;
    `guards` what stands for
    configured ones, by name; with a `seed` ids, keys and salts come from it, so that the same calls leave the same
    bytes.
    """

    def __init__(
        self, *, policies: Path | str | None = None, by: Principal = SOMEBODY, resources: Sequence[Use[Any]] = (),
        models: Scripts | None = None, project: Sequence[ModuleType] = (), config: Config | Path | None = None,
        seed: str | None = None, guards: Mapping[str, Guard] = NONE,
    ) -> None:  # fmt: skip
        self.by = by
        self._bench = Bench(config, policies, resources, models or {}, project, seed, guards)
        self._runs: dict[str, tuple[str, str]] = {}

    @property
    def clock(self) -> VirtualClock:
        """The Lab's time."""
        return self._bench.clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes what is open; a Lab that is only dropped is closed with its loop."""
        await self._bench.close()

    # running ---------------------------------------------------------------------------------------------------------
    async def run(
        self, what: Flow[I, O] | Agent[I, O], input: I, /, *, by: Principal | None = None, key: str | None = None,
        session: str | None = None, subject: str | None = None, limits: Limits | None = None,
    ) -> Result[O]:  # fmt: skip
        """Starts a run, or finds the one that this key started, and says what became of it."""
        who = by or self.by

        async def work() -> Result[O]:
            app = await self._bench.ready(what)
            handle = await app.start(what, input, by=who, key=key, session=session, subject=subject, limits=limits)
            self._runs[key or handle.id] = self._runs[handle.id] = (handle.id, who.tenant)
            return await handle.result()

        return await self._bench.driven(work())

    async def act(
        self, tool: Tool[..., Any], arguments: Mapping[str, Any], /, *, by: Principal | None = None, call_id: str
    ) -> Executed[Any] | Blocked | Failed | Pending:
        """One governed action, as a door makes it."""

        async def work() -> Executed[Any] | Blocked | Failed | Pending:
            app = await self._bench.ready(tool)
            return await app.act(tool, arguments, by=by or self.by, call_id=call_id)

        return await self._bench.driven(work())

    async def resume(self, run: str) -> Result[Any]:
        """Goes on with a run, by its key or id, where it is due, and says what became of it: after a crash, as another
        process does."""
        id, tenant = self._runs.get(run, (run, self.by.tenant))

        async def work() -> Result[Any]:
            return await (await self._bench.ready()).runs.resume(id, tenant=tenant)

        return await self._bench.driven(work())

    async def stop(self, run: str, reason: str = "", *, by: Principal | None = None) -> Stopped:
        """Ends a run at its next step."""
        id, _ = self._runs.get(run, (run, ""))

        async def work() -> Stopped:
            return await (await self._bench.ready()).runs.stop(id, reason, by=by or self.by)

        return await self._bench.driven(work())

    async def restart(self, *values: Any) -> None:
        """Another process goes on, with other code where values are given: each stands for the one of its name."""
        await self._bench.reopen()
        self._bench.stand_in(values)
        await self._bench.driven(self._bench.ready())

    # people ----------------------------------------------------------------------------------------------------------
    async def approve(self, pending: Pending, *, by: Principal, reason: str = "") -> Result[Any]:
        """Signs what was shown; says what became of its run then: still waiting where more people are needed."""
        return await self._told(pending, by, lambda app: app.approvals.approve(pending, by=by, reason=reason))

    async def deny(self, pending: Pending, *, by: Principal, reason: str = "") -> Result[Any]:
        """Says no; says what became of the run."""
        return await self._told(pending, by, lambda app: app.approvals.deny(pending, by=by, reason=reason))

    async def edit(
        self, pending: Pending, changes: Mapping[str, Any], *, by: Principal, reason: str = ""
    ) -> Result[Any]:
        """Changes arguments: a new proposal, decided again; says what became of the run."""
        return await self._told(pending, by, lambda app: app.approvals.edit(pending, changes, by=by, reason=reason))

    async def answer(self, pending: Pending, value: Any, *, by: Principal, reason: str = "") -> Result[Any]:
        """Answers a question of a flow or an agent; says what became of the run."""
        return await self._told(pending, by, lambda app: app.questions.answer(pending, value, by=by, reason=reason))

    async def resolve(
        self, pending: Pending, status: str, *, by: Principal, result: Any = None, reason: str = ""
    ) -> Result[Any]:
        """Says what became of an unknown outcome, `executed` or `failed`; says what became of the run."""

        def said(app: Flyball) -> Awaitable[None]:
            return app.questions.resolve(pending, status, by=by, result=result, reason=reason)

        return await self._told(pending, by, said)

    async def _told(self, pending: Pending, by: Principal, tell: Callable[[Flyball], Awaitable[Any]]) -> Result[Any]:
        async def work() -> Result[Any]:
            app = await self._bench.ready()
            await tell(app)
            return await app.runs.result(pending.run, tenant=by.tenant)

        return await self._bench.driven(work())

    # time and crashes ------------------------------------------------------------------------------------------------
    async def advance(self, by: timedelta) -> None:
        """Lets time pass: whatever expires or wakes meanwhile does so at its own moment, in order.

        The clock ends later than asked for only where a run that woke had to wait in between.
        """
        target = self.clock.now() + by // MICRO

        async def work() -> None:
            await self._bench.pass_time(await self._bench.ready(), target)

        await self._bench.driven(work())

    def crash_at(self, where: str, tool: Tool[..., Any] | str = "") -> None:
        """The process dies there, once (see `flyball.testing.crash`): the call that drives it raises Crash."""
        self._bench.journal.arm(point(where, tool.name if isinstance(tool, Tool) else tool))

    def crash_before(self, tool: Tool[..., Any]) -> None:
        """The process dies between T1 and the effect of this tool, once."""
        self.crash_at("effect", tool)

    def crash_after(self, tool: Tool[..., Any]) -> None:
        """The process dies between the effect of this tool and T2, once."""
        self.crash_at("T2", tool)

    # policies --------------------------------------------------------------------------------------------------------
    def decide(
        self, tool: Tool[..., Any], /, *, by: Principal | None = None, origins: Mapping[str, str] = NO_ORIGINS,
        through: Sequence[str] = (), approvals: Sequence[str] = (), denied: Sequence[str] = (), **arguments: Any,
    ) -> Verdict:  # fmt: skip
        """What the policies say to a call that nobody makes: nothing is done, nothing is recorded.

        Arguments that `origins` does not name are of unknown origin; `through` names the agents between `by` and the
        call, `approvals` the groups that have agreed, `denied` the tools that the run was denied before.
        """
        self._bench.project(tool)
        question = Question(
            tool=tool.name, arguments=arguments, by=by or self.by, origins=origins, through=tuple(through),
            approvals=tuple(approvals), denied=frozenset(denied),
        )  # fmt: skip
        return at_once(self.consider(question))

    async def consider(self, question: Question) -> Verdict:
        """What the policies say to a question (see `flyball.testing.decide`)."""
        rooms = self._bench.rooms(LabJournal(fresh_journal()))
        force = tuple(rooms.policies.check(source) for source in sources(rooms.config))
        try:
            with no_models():
                return await decided(rooms, force, question)
        finally:
            await rooms.resources.close()

    async def activate(self, policies: Path | str, *, by: Principal | None = None) -> None:
        """Puts other policies in force, as an operator does while runs wait."""
        self._bench.set_policies(policies)

        async def work() -> None:
            app = await self._bench.ready()
            await self._bench.enforce(app, by or self.by)
            await self._bench.calm(app)

        await self._bench.driven(work())

    # evidence --------------------------------------------------------------------------------------------------------
    @property
    def effects(self) -> list[Effect]:
        """What was done to the world and is recorded as done, in order."""
        return [effect for tenant in self._bench.journal.tenants() for effect in self._effects(tenant)]

    def _effects(self, tenant: str) -> list[Effect]:
        intents: dict[tuple[str, str], Opened] = {}
        found = []
        told: set[tuple[str, str]] = set()
        for record in self._bench.records(tenant, None):
            if record.kind == "intent" and record.facts["effect"] != "read":
                intents[record.run, record.path] = record
            done = record.kind in ("outcome", "late", "resolution") and record.facts["status"] == "executed"
            step = (record.run, bare(record.path))
            intent = intents.get(step)
            if done and intent is not None and step not in told:
                told.add(step)
                found.append(Effect(
                    action=intent.facts["action"], arguments=(intent.private or {}).get("args", {}),
                    value=(record.private or {}).get("result"), run=record.run, path=step[1],
                ))  # fmt: skip
        return found

    def records(self, run: str = "") -> list[Opened]:
        """The records of a run, by its key or id, or of the whole log."""
        id, tenant = self._runs.get(run, (run, self.by.tenant))
        return self._bench.records(tenant, id or None)

    async def verify(self, *, tenant: str | None = None) -> Report:
        """Exports the ledger and verifies it as an outsider would."""

        async def work() -> Report:
            return await (await self._bench.ready()).ledger.verify(tenant=tenant or self.by.tenant)

        return await self._bench.driven(work())

    # histories -------------------------------------------------------------------------------------------------------
    def history(self, run: str) -> str:
        """What a run that waits or has ended recorded, as a text to keep: see `flyball.testing.histories`."""
        id, tenant = self._runs.get(run, (run, self.by.tenant))
        view = self._bench.journal.view(tenant)
        row = view.row(RunRow, id)
        if row is None:
            raise FlyballError("unknown_run", f"there is no run {run}", fix="the key or id that it was started with")
        return history_of(tenant, row, view.rows(PendingRow, run=id), self._bench.records(tenant, id))

    async def replay(self, history: str | Path, *values: Any) -> Replayed:
        """Gives a history to the code of today and says whether it does the same. Nothing is executed.

        `values` are flows and agents that this Lab does not know yet; they stand for those of their names."""
        found = read_history(history)
        self._bench.stand_in(values)
        journal = ReplayJournal(fresh_journal())
        clock = VirtualClock(found.records[0].time)
        rooms = self._bench.rooms(journal, clock)
        with no_models():
            return await replayed(rooms, journal, clock, found)
