"""Lab: a whole project in memory: real policies, real flows, real evidence; scripted answers, named people, own time.

    lab = Lab(policies=HERE / "policies", by=KIM, resources=[shop.use(client)],
              models={"clerk": [propose(get_order, order_id="A-17"), Say(Advice(9900, "broken"))]})
    asked = await lab.run(handle, "A-17", key="ticket-7")
    done = await lab.approve(asked.pending[0], by=FAY)

Rules:

* Journal, keyring and signer are in memory; the gate, Cedar, the broker, recovery and the ledger are the product's own.
* Time stands still. `advance` moves it: expiries, timers and sleeping runs wake in order. Only while a run is being driven
  and everything in it waits (a retry, a rate, the grace of a probe, a `run.timeout`) does time move on by itself, to the
  next such moment, so that no test hangs and none sleeps. The limits of a tool's own work (`timeout=`) are real time.
* No model and no machine but this one is reached (see `no_models`).
* A crash ends the process: what was durable is there for the next call, nothing else is.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Self, TypeVar

import msgspec

from flyball.app.flyball import Flyball
from flyball.app.plugs import adapter
from flyball.app.project import Project
from flyball.app.wiring import Ports, sources, wire
from flyball.core.agent import Agent
from flyball.core.call import Use
from flyball.core.config import Config
from flyball.core.errors import FlyballError
from flyball.core.flow import Flow
from flyball.core.identity import Principal
from flyball.core.journal import PendingRow, RunRow
from flyball.core.limits import Limits
from flyball.core.model import ModelConfig
from flyball.core.policy import Source
from flyball.core.record import Opened
from flyball.core.result import Blocked, Executed, Failed, Pending, Result
from flyball.core.tool import Tool
from flyball.runtime.record import Recorder
from flyball.testing.clock import VirtualClock
from flyball.testing.crash import Crash, LabJournal, point
from flyball.testing.decide import Question, Verdict, at_once, decided
from flyball.testing.engine import cedar
from flyball.testing.histories import Replayed, ReplayJournal, history_of, read_history, replayed
from flyball.testing.script import LabModel, Script
from flyball.testing.sockets import no_models
from flyball.testing.values import project_of
from flyball.verify.report import Report

I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741
T = TypeVar("T")
NAME: Final = "lab"
SOMEBODY: Final = Principal("user:somebody")
# How often, and how long in seconds, a driven run must have done nothing before time moves on for it.
QUIET, TICK = 4, 0.002


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
    `config` limits, approvals, tenants and directory of people as in production.
    """

    def __init__(
        self, *, policies: Path | str | None = None, by: Principal = SOMEBODY, resources: Sequence[Use[Any]] = (),
        models: Mapping[str, Script] | None = None, project: Sequence[ModuleType] = (), config: Config | None = None,
    ) -> None:  # fmt: skip
        self.by = by
        self.clock = VirtualClock()
        self._config = _configured(self, config or Config.bare(NAME, str(Path.cwd()), home=str(Path.cwd())), policies)
        self._resources, self._models, self._modules = tuple(resources), dict(models or {}), tuple(project)
        self._journal = LabJournal(adapter("journal.memory")(adapter("entropy")()))
        self._keyring, self._signer = adapter("keyring.memory")(), adapter("signer.memory")(self._config.project.name)
        self._values: tuple[Any, ...] = ()
        self._runs: dict[str, tuple[str, str]] = {}
        self._app: Flyball | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes what is open; a Lab that is only dropped is closed with its loop."""
        app, self._app = self._app, None
        if app is not None and self._loop is asyncio.get_running_loop():
            await app.__aexit__(None, None, None)

    # running ---------------------------------------------------------------------------------------------------------
    async def run(
        self, what: Flow[I, O] | Agent[I, O], input: I, /, *, by: Principal | None = None, key: str | None = None,
        session: str | None = None, subject: str | None = None, limits: Limits | None = None,
    ) -> Result[O]:  # fmt: skip
        """Starts a run, or finds the one that this key started, and says what became of it."""
        who = by or self.by

        async def work() -> Result[O]:
            app = await self._ready(what)
            handle = await app.start(what, input, by=who, key=key, session=session, subject=subject, limits=limits)
            self._runs[key or handle.id] = self._runs[handle.id] = (handle.id, who.tenant)
            return await handle.result()

        return await self._driven(work())

    async def act(
        self, tool: Tool[..., Any], arguments: Mapping[str, Any], /, *, by: Principal | None = None, call_id: str
    ) -> Executed[Any] | Blocked | Failed | Pending:
        """One governed action, as a door makes it."""

        async def work() -> Executed[Any] | Blocked | Failed | Pending:
            app = await self._ready(tool)
            return await app.act(tool, arguments, by=by or self.by, call_id=call_id)

        return await self._driven(work())

    async def resume(self, run: str) -> Result[Any]:
        """Goes on with a run, by its key or id, where it is due, and says what became of it: after a crash, as another
        process does."""
        id, tenant = self._runs.get(run, (run, self.by.tenant))

        async def work() -> Result[Any]:
            return await (await self._ready()).runs.resume(id, tenant=tenant)

        return await self._driven(work())

    async def stop(self, run: str, reason: str = "", *, by: Principal | None = None) -> Result[Any]:
        """Ends a run at its next step."""
        id, _ = self._runs.get(run, (run, ""))

        async def work() -> Result[Any]:
            return await (await self._ready()).runs.stop(id, reason, by=by or self.by)

        return await self._driven(work())

    async def restart(self, *values: Any) -> None:
        """Another process goes on, with other code where values are given: each stands for the one of its name."""
        await self.close()
        self._journal = self._journal.reopened()
        self._rename(values)
        await self._driven(self._ready())

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

        def said(app: Flyball) -> Coroutine[Any, Any, Any]:
            return app.questions.resolve(pending, status, by=by, result=result, reason=reason)

        return await self._told(pending, by, said)

    async def _told(self, pending: Pending, by: Principal, tell: Any) -> Result[Any]:
        async def work() -> Result[Any]:
            app = await self._ready()
            await tell(app)
            return await app.runs.result(pending.run, tenant=by.tenant)

        return await self._driven(work())

    # time and crashes ------------------------------------------------------------------------------------------------
    async def advance(self, by: timedelta) -> None:
        """Lets time pass: whatever expires or wakes meanwhile does so at its own moment, in order.

        The clock ends later than asked for only where a run that woke had to wait in between.
        """
        target = self.clock.now() + by // timedelta(microseconds=1)

        async def work() -> None:
            app = await self._ready()
            await self._calm(app)
            while (moment := min(self.clock.waits().values(), default=target)) < target:
                self.clock.move(moment)
                await self._calm(app)
            self.clock.move(target)
            await self._calm(app)

        await self._driven(work())

    def crash_at(self, where: str, tool: Tool[..., Any] | str = "") -> None:
        """The process dies there, once (see `flyball.testing.crash`): the call that drives it raises Crash."""
        self._journal.arm(point(where, tool.name if isinstance(tool, Tool) else tool))

    def crash_before(self, tool: Tool[..., Any]) -> None:
        """The process dies between T1 and the effect of this tool, once."""
        self.crash_at("effect", tool)

    def crash_after(self, tool: Tool[..., Any]) -> None:
        """The process dies between the effect of this tool and T2, once."""
        self.crash_at("T2", tool)

    # policies --------------------------------------------------------------------------------------------------------
    def decide(
        self, tool: Tool[..., Any], /, *, by: Principal | None = None, origins: Mapping[str, str] | None = None,
        through: Sequence[str] = (), approvals: Sequence[str] = (), denied: Sequence[str] = (), **arguments: Any,
    ) -> Verdict:  # fmt: skip
        """What the policies say to a call that nobody makes. Arguments that `origins` does not name are `unknown`;
        `through` names the agents between; `approvals` the groups that have agreed; `denied` what the run was denied."""
        self._values = self._values or (tool,)
        question = Question(
            tool=tool.name, arguments=arguments, by=by or self.by, origins=origins or {}, through=tuple(through),
            approvals=tuple(approvals), denied=frozenset(denied),
        )  # fmt: skip
        return at_once(self.consider(question))

    async def consider(self, question: Question) -> Verdict:
        """What the policies say to a question (see `flyball.testing.decide`)."""
        project = self._project()
        fresh = LabJournal(adapter("journal.memory")(adapter("entropy")()))
        rooms = wire(self._project_config(project), project, self._ports(fresh), self._resources)
        force = tuple(rooms.policies.check(source) for source in sources(rooms.config))
        try:
            with no_models():
                return await decided(rooms, force, question)
        finally:
            await rooms.resources.close()

    async def activate(self, policies: Path | str, *, by: Principal | None = None) -> None:
        """Puts other policies in force, as an operator does while runs wait."""
        self._config = _configured(self, self._config, policies)

        async def work() -> None:
            app = await self._ready()
            await self._in_force(app, by or self.by)
            await self._calm(app)

        await self._driven(work())

    # evidence --------------------------------------------------------------------------------------------------------
    @property
    def effects(self) -> list[Effect]:
        """What was done to the world and is recorded as done, in order."""
        return [effect for tenant in self._journal.tenants() for effect in self._effects(tenant)]

    def _effects(self, tenant: str) -> list[Effect]:
        intents: dict[tuple[str, str], Opened] = {}
        found = []
        for record in self._records(tenant, None):
            if record.kind == "intent" and record.facts["effect"] != "read":
                intents[record.run, record.path] = record
            done = record.kind in ("outcome", "resolution") and record.facts["status"] == "executed"
            intent = intents.get((record.run, record.path))
            if done and intent is not None:
                found.append(Effect(
                    action=intent.facts["action"], arguments=(intent.private or {}).get("args", {}),
                    value=(record.private or {}).get("result"), run=record.run, path=record.path,
                ))  # fmt: skip
        return found

    def records(self, run: str = "") -> list[Opened]:
        """The records of a run, by its key or id, or of the whole log."""
        id, tenant = self._runs.get(run, (run, self.by.tenant))
        return self._records(tenant, id or None)

    def _records(self, tenant: str, run: str | None) -> list[Opened]:
        record = Recorder(self._journal, self._keyring, self.clock, adapter("entropy")())
        view = self._journal.view(tenant)
        return [record.open(tenant, stored, view) for stored in view.records(run=run, limit=1_000_000)]

    async def verify(self, *, tenant: str | None = None) -> Report:
        """Exports the ledger and verifies it as an outsider would."""

        async def work() -> Report:
            return await (await self._ready()).ledger.verify(tenant=tenant or self.by.tenant)

        return await self._driven(work())

    # histories -------------------------------------------------------------------------------------------------------
    def history(self, run: str) -> str:
        """What a run that waits or has ended recorded, as a text to keep: see `flyball.testing.histories`."""
        id, tenant = self._runs.get(run, (run, self.by.tenant))
        view = self._journal.view(tenant)
        row = view.row(RunRow, id)
        if row is None:
            raise FlyballError("unknown_run", f"there is no run {run}", fix="the key or id that it was started with")
        return history_of(tenant, row, view.rows(PendingRow, run=id), self._records(tenant, id))

    async def replay(self, history: str | Path, *values: Any) -> Replayed:
        """Gives a history to the code of today and says whether it does the same. Nothing is executed.

        `values` are flows and agents that this Lab does not know yet; they stand for those of their names."""
        found = read_history(history.read_text("utf-8") if isinstance(history, Path) else history)
        self._rename(values)
        project = self._project()
        journal = ReplayJournal(adapter("journal.memory")(adapter("entropy")()))
        ports = replace(self._ports(journal), clock=VirtualClock(found.records[0].time))
        rooms = wire(self._project_config(project), project, ports, self._resources)
        with no_models():
            return await replayed(rooms, journal, found)

    # the process -----------------------------------------------------------------------------------------------------
    async def _ready(self, value: Any = None) -> Flyball:
        """The open project, with this value in it; opened again where the loop or the project is another one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.clock.forget()
            self._loop, self._opening, self._app = loop, asyncio.Lock(), None
        async with self._opening:
            project = self._project(value)
            if self._app is not None and self._app.rooms.project is not project:
                await self.close()
            if self._app is None:
                app = Flyball(self._project_config(project), project, self._ports(self._journal), self._resources)
                await app.__aenter__()
                self._app = app
                await self._in_force(app, None)
            return self._app

    def _project(self, value: Any = None) -> Project:
        if value is not None and not any(value is known for known in self._values):
            known = project_of(NAME, self._values, self._modules) if self._values or self._modules else None
            if known is None or not any(value is v for group in (known.tools, known.agents, known.flows) for v in group.values()):
                self._values = (*self._values, value)
        return project_of(NAME, self._values, self._modules)

    def _rename(self, values: Sequence[Any]) -> None:
        named = {(type(value), value.name) for value in values}
        self._values = (*values, *(v for v in self._values if (type(v), v.name) not in named))

    def _project_config(self, project: Project) -> Config:
        names = {agent.model for agent in project.agents.values()}
        models = {name: ModelConfig(name=name, adapter="scripted") for name in names}
        known = {name: msgspec.structs.replace(m, adapter="scripted") for name, m in self._config.models.items()}
        return msgspec.structs.replace(self._config, models={**models, **known})

    def _ports(self, journal: LabJournal) -> Ports:
        names = {*self._config.models, *(agent.model for agent in self._project().agents.values())}
        model = LabModel(self._models, journal)
        return Ports(
            journal=journal, keyring=self._keyring, signer=self._signer, engine=cedar(), clock=self.clock,
            entropy=adapter("entropy")(), models=dict.fromkeys(names, model), prices=adapter("prices")(None),
        )  # fmt: skip

    async def _in_force(self, app: Flyball, by: Principal | None) -> None:
        """The Lab's policies, compiled for the values of now, decide for every tenant there is."""
        for tenant in self._journal.tenants():
            await app.runs.ready(tenant)
            for source in sources(app.rooms.config if by is None else self._config):
                await app.rooms.policies.activate(tenant, app.rooms.policies.check(source), by)

    # driving ---------------------------------------------------------------------------------------------------------
    async def _driven(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits work of the project while time moves on for what waits in driven runs; raises Crash where it died."""
        with no_models():
            task = asyncio.get_running_loop().create_task(work)
            try:
                await self._pump(task)
                value = task.result()
            except BaseException as error:
                if self._journal.dead:
                    raise await self._died() from None
                raise error
            finally:
                task.cancel()
        if self._journal.dead:
            raise await self._died()
        return value

    async def _pump(self, task: asyncio.Task[Any]) -> None:
        quiet, seen = 0, -1
        while not task.done():
            await asyncio.wait({task}, timeout=TICK)
            moments = self._inner_waits()
            still = bool(moments) and self._journal.appends == seen
            quiet, seen = (quiet + 1 if still else 0), self._journal.appends
            if quiet >= QUIET:
                self.clock.move(min(moments.values()))
                quiet = 0

    def _inner_waits(self) -> dict[asyncio.Task[object], int]:
        """What waits inside driven runs, where nothing in them is at work."""
        if self._app is None:
            return {}
        waits = self.clock.waits()
        if self._journal.in_flight() - waits.keys():
            return {}
        parked: frozenset[asyncio.Task[Any]] = self._app.rooms.driver.sleeping
        return {task: until for task, until in waits.items() if task not in parked}

    async def _calm(self, app: Flyball) -> None:
        """Waits until nobody drives a run."""
        for _ in range(3):
            await asyncio.sleep(0)
        for tenant in self._journal.tenants():
            for row in self._journal.view(tenant).rows(RunRow):
                await app.rooms.driver.settled(tenant, row.id)

    async def _died(self) -> Crash:
        """What the process left is taken away; the next one finds what is durable."""
        said = self._journal.dead
        await self.close()
        self._journal = self._journal.reopened()
        return Crash(said)


def _configured(lab: Lab, config: Config, policies: Path | str | None) -> Config:
    """The configuration with these policies. A text becomes a file, which goes with the Lab."""
    if policies is None:
        return config
    if isinstance(policies, str):
        folder = Path(tempfile.mkdtemp(prefix="flyball-lab-"))
        weakref.finalize(lab, shutil.rmtree, folder, ignore_errors=True)
        folder.joinpath("lab.cedar").write_text(policies, "utf-8")
        policies = folder
    project = msgspec.structs.replace(config.project, policies=str(policies), policy=None)
    return msgspec.structs.replace(config, project=project)
