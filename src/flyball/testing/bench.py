"""Bench: the process of a Lab. It opens the project, drives runs in the Lab's own time, dies where it is told to."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar

import msgspec

from flyball.app.flyball import Flyball
from flyball.app.plugs import adapter
from flyball.app.project import Project
from flyball.app.wiring import Ports, Rooms, guards_of, sources, wire
from flyball.core.call import Use
from flyball.core.config import Config
from flyball.core.identity import Principal
from flyball.core.journal import RunRow
from flyball.core.model import ModelConfig
from flyball.core.record import Opened
from flyball.ports.clock import Clock, Entropy
from flyball.ports.guard import Guard
from flyball.ports.memory import MemoryIndex
from flyball.runtime.record import Recorder
from flyball.testing.apart import sandbox
from flyball.testing.chance import Seeded
from flyball.testing.clock import VirtualClock
from flyball.testing.crash import Crash, LabJournal
from flyball.testing.engine import cedar
from flyball.testing.script import LabModel, Scripts
from flyball.testing.sockets import no_models
from flyball.testing.values import project_of

T = TypeVar("T")
NAME: Final = "lab"
# How often, and how long in seconds, a driven run must have done nothing before time moves on for it.
QUIET, TICK = 4, 0.002
NONE: Final[Mapping[str, Guard]] = {}


class Bench:
    """What outlives a process (journal, keyring, signer, clock), and the process that is open now."""

    def __init__(
        self, config: Config | Path | None, policies: Path | str | None, resources: Sequence[Use[Any]],
        scripts: Scripts, modules: Sequence[ModuleType], seed: str | None = None, guards: Mapping[str, Guard] = NONE,
    ) -> None:  # fmt: skip
        self._guards = guards
        self.clock = VirtualClock()
        made: Config | None = adapter("config").load(config).config if isinstance(config, Path) else config
        self.config = made or Config.bare(NAME, str(Path.cwd()), home=str(Path.cwd()))
        self.set_policies(policies)
        self.values: tuple[Any, ...] = ()
        self._resources, self._scripts, self._modules = tuple(resources), scripts, tuple(modules)
        self.entropy: Entropy = adapter("entropy")() if seed is None else Seeded(seed)
        self.journal = LabJournal(fresh_journal())
        self._keyring = adapter("keyring.memory")(self.entropy.bytes)
        self._signer = adapter("signer.memory")(self.config.project.name, self.entropy.bytes(32))
        self._memory: MemoryIndex = adapter("memory.twin")()
        self._app: Flyball | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opening = asyncio.Lock()

    # the project -----------------------------------------------------------------------------------------------------
    def set_policies(self, policies: Path | str | None) -> None:
        """Policies from a directory or a text, which becomes a file that goes with this bench; None: as configured."""
        if isinstance(policies, str):
            folder = Path(tempfile.mkdtemp(prefix="flyball-lab-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
            folder.joinpath("lab.cedar").write_text(policies, "utf-8")
            policies = folder
        if policies is not None:
            project = msgspec.structs.replace(self.config.project, policies=str(policies), policy=None)
            self.config = msgspec.structs.replace(self.config, project=project)

    def project(self, value: Any = None) -> Project:
        """The project, with this value in it."""
        if value is not None and not self._holds(value):
            self.values = (*self.values, value)
        return project_of(NAME, self.values, self._modules)

    def _holds(self, value: Any) -> bool:
        if not self.values and not self._modules:
            return False
        known = project_of(NAME, self.values, self._modules)
        return any(value is held for group in (known.tools, known.agents, known.flows) for held in group.values())

    def stand_in(self, values: Sequence[Any]) -> None:
        """From now on these values stand for those of their kind and name."""
        named = {(type(value), value.name) for value in values}
        self.values = (*values, *(v for v in self.values if (type(v), v.name) not in named))

    def rooms(self, journal: LabJournal, clock: Clock | None = None) -> Rooms:
        """The project's rooms over another journal: nothing of them meets this bench's own runs."""
        project = self.project()
        # Another log, so another key: a signer signs one log under one origin.
        ports = replace(self._ports(project, journal, clock), signer=adapter("signer.memory")(self.config.project.name))
        return wire(self._configured(project), project, ports, self._resources)

    def _configured(self, project: Project) -> Config:
        models = {name: ModelConfig(name=name, adapter="scripted") for name in _model_names(project)}
        known = {name: msgspec.structs.replace(m, adapter="scripted") for name, m in self.config.models.items()}
        return msgspec.structs.replace(self.config, models={**models, **known})

    def _ports(self, project: Project, journal: LabJournal, clock: Clock | None = None) -> Ports:
        names = {*self.config.models, *_model_names(project)}
        return Ports(
            journal=journal, keyring=self._keyring, signer=self._signer, engine=cedar(), clock=clock or self.clock,
            entropy=self.entropy, models=dict.fromkeys(names, LabModel(self._scripts, journal)),
            prices=adapter("prices")(None), sandbox=sandbox(),
            guards={**guards_of(self.config, self._guards), **self._guards}, memory=self._memory,
        )  # fmt: skip

    # the process -----------------------------------------------------------------------------------------------------
    async def ready(self, value: Any = None) -> Flyball:
        """The open project, with this value in it; opened again where the loop or the project is another one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self.clock.forget()
            self._loop, self._opening, self._app = loop, asyncio.Lock(), None
        async with self._opening:
            project = self.project(value)
            if self._app is not None and self._app.rooms.project is not project:
                await self.close()
            if self._app is None:
                ports = self._ports(project, self.journal)
                app = Flyball(self._configured(project), project, ports, self._resources)
                await app.__aenter__()
                self._app = app
                await self.enforce(app, None)
            return self._app

    async def enforce(self, app: Flyball, by: Principal | None) -> None:
        """The policies of now, compiled for the values of now, decide for every tenant there is."""
        for tenant in self.journal.tenants():
            await app.runs.ready(tenant)
            for source in sources(self.config):
                await app.rooms.policies.activate(tenant, app.rooms.policies.check(source), by)

    async def close(self) -> None:
        """Ends the process in order, if it is open in this loop."""
        app, self._app = self._app, None
        if app is not None and self._loop is asyncio.get_running_loop():
            await app.__aexit__(None, None, None)

    async def reopen(self) -> None:
        """Ends the process; the next one finds what is durable."""
        await self.close()
        self.journal = self.journal.reopened()

    # driving ---------------------------------------------------------------------------------------------------------
    async def driven(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits work of the process while time moves on for what waits in driven runs; raises Crash where it died."""
        with no_models():
            task = asyncio.get_running_loop().create_task(work)
            try:
                await self._pump(task)
            finally:
                task.cancel()
                said = self.journal.dead
                if said:
                    await self.reopen()
        if said:
            if not task.cancelled():
                task.exception()  # whatever else it met in the dead process
            raise Crash(said)
        return task.result()

    async def _pump(self, task: asyncio.Task[Any]) -> None:
        quiet, seen = 0, -1
        while not task.done():
            await asyncio.wait({task}, timeout=TICK)
            moments = self._inner_waits()
            still = bool(moments) and self.journal.appends == seen
            quiet, seen = (quiet + 1 if still else 0), self.journal.appends
            if quiet >= QUIET:
                self.clock.move(min(moments.values()))
                quiet = 0

    def _inner_waits(self) -> dict[asyncio.Task[Any], int]:
        """What waits inside driven runs, where nothing in them is at work."""
        if self._app is None:
            return {}
        waits = self.clock.waits()
        if self.journal.in_flight() - waits.keys():
            return {}
        parked: frozenset[asyncio.Task[Any]] = self._app.rooms.driver.sleeping
        return {task: until for task, until in waits.items() if task not in parked}

    async def pass_time(self, app: Flyball, target: int) -> None:
        """Moves the clock to `target`, in microseconds, over every moment at which somebody wakes."""
        await self.calm(app)
        while (moment := min(self.clock.waits().values(), default=target)) < target:
            self.clock.move(moment)
            await self.calm(app)
        self.clock.move(target)
        await self.calm(app)

    async def calm(self, app: Flyball) -> None:
        """Waits until nobody drives a run."""
        for _ in range(3):
            await asyncio.sleep(0)
        for tenant in self.journal.tenants():
            for row in self.journal.view(tenant).rows(RunRow):
                await app.rooms.driver.settled(tenant, row.id)

    # evidence --------------------------------------------------------------------------------------------------------
    def records(self, tenant: str, run: str | None) -> list[Opened]:
        """The records of a run, or of a tenant's whole log, opened."""
        record = Recorder(self.journal, self._keyring, self.clock, adapter("entropy")())
        view = self.journal.view(tenant)
        return [record.open(tenant, stored, view) for stored in view.records(run=run, limit=1_000_000)]


def fresh_journal() -> Any:
    """An empty journal in memory."""
    return adapter("journal.memory")(adapter("entropy")())


def _model_names(project: Project) -> set[str]:
    return {agent.model for agent in project.agents.values()}
