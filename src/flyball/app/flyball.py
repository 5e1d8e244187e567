"""Flyball: rooms and one-line delegations. What a program opens, starts runs with and reads results from."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from flyball.app.artifact_room import ArtifactRoom
from flyball.app.control.office import Office
from flyball.app.control.server import Server
from flyball.app.memory_room import MemoryRoom
from flyball.app.opening import opened
from flyball.app.plugs import adapter
from flyball.app.policy_room import PolicyRoom
from flyball.app.project import collect, load, of_value
from flyball.app.rooms import Approvals, Budgets, Keys, LedgerRoom, Questions, Releases, Runs
from flyball.app.wiring import Ports, Rooms
from flyball.core.agent import Agent
from flyball.core.call import Use
from flyball.core.config import Config
from flyball.core.event import Event
from flyball.core.flow import Flow
from flyball.core.identity import Principal
from flyball.core.limits import Limits
from flyball.core.result import Blocked, Executed, Failed, Pending, Result, Stopped
from flyball.core.tool import Tool
from flyball.runtime.watch import watch

I = TypeVar("I")  # noqa: E741 - the API's name
O = TypeVar("O")  # noqa: E741


class RunHandle(Generic[O]):
    """A run that was started: its id, its result, its events."""

    def __init__(self, app: Flyball, tenant: str, id: str) -> None:
        self._app, self._tenant, self.id = app, tenant, id

    async def result(self) -> Result[O]:
        """Completed, Waiting or Stopped, once nobody drives the run any more."""
        return await self._app.runs.result(self.id, tenant=self._tenant)

    def watch(self, *, after: int = 0) -> AsyncIterator[Event]:
        """The run's events with a sequence above `after`, until it ends."""
        return self._app.watch(run=self.id, after=after, tenant=self._tenant)

    async def stop(self, reason: str, *, by: Principal) -> Stopped:
        """Ends the run at its next step."""
        return await self._app.runs.stop(self.id, reason, by=by)


class Flyball:
    """One open project. `async with Flyball.open(...) as app:` owns its journal until the end of the block."""

    runs: Runs
    approvals: Approvals
    questions: Questions
    policies: PolicyRoom
    ledger: LedgerRoom
    budgets: Budgets
    keys: Keys
    releases: Releases
    memory: MemoryRoom
    artifacts: ArtifactRoom

    def __init__(
        self, config: Config, project: Any, ports: Ports | None = None, uses: Sequence[Use[Any]] = (), *,
        drive: bool = True,
    ) -> None:  # fmt: skip
        self._config, self._project, self._ports, self._uses, self._drive = config, project, ports, uses, drive
        self._opened: Any = None
        self._server: Server | None = None
        self.rooms: Rooms
        self.office: Office

    @classmethod
    def open(cls, project: str | Path | Config = "flyball.toml", *, env: str | None = None) -> Self:
        """A project by its flyball.toml (or a ready Config); nothing is opened before the `async with`."""
        config = project if isinstance(project, Config) else adapter("config").load(project, env).config
        return cls(config, load(config.project.name, Path(config.directory), config.project.modules))

    @classmethod
    def bare(cls, value: Any, project: str | Path = "flyball.toml") -> Self:
        """The project of one value: its flyball.toml beside it, else its own module with the starter policy."""
        module = of_value(value)
        folder = Path(getattr(module, "__file__", None) or sys.argv[0] or ".").resolve().parent
        file = Path(project) if Path(project).is_absolute() or Path(project).exists() else folder / project
        if file.exists():
            return cls.open(file)
        config = adapter("config").bare(Path(str(module.__file__)).stem, folder).config
        return cls(config, collect(config.project.name, str(folder), [module]))

    async def __aenter__(self) -> Self:
        self._opened = opened(self._config, self._project, self._ports, self._uses, drive=self._drive)
        self.rooms = await self._opened.__aenter__()
        self.runs, self.approvals, self.questions = Runs(self.rooms), Approvals(self.rooms), Questions(self.rooms)
        self.policies, self.ledger = PolicyRoom(self.rooms), LedgerRoom(self.rooms)
        self.memory = MemoryRoom(self.rooms)
        self.budgets, self.keys, self.releases = Budgets(self.rooms), Keys(self.rooms), Releases(self.rooms)
        self.artifacts = ArtifactRoom(self.rooms, self.runs)
        scripted = tuple(sorted(name for name, port in self.rooms.ports.models.items() if port.scripted))
        self.office = Office.of(self.rooms, scripted=scripted, runs=self.runs)
        if self._ports is None:
            try:
                self._server = await Server.start(self.office, Path(self._config.journal.path))
            except BaseException:  # raised on: the project is only closed first
                await self._opened.__aexit__(*sys.exc_info())
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            await self._server.close()
        await self._opened.__aexit__(kind, error, trace)

    async def start(
        self, what: Flow[I, O] | Agent[I, O], input: I, /, *, by: Principal, key: str | None = None,
        session: str | None = None, subject: str | None = None, limits: Limits | None = None,
        traceparent: str | None = None,
    ) -> RunHandle[O]:  # fmt: skip
        """Starts a run; the same key is the same run, for ever. `subject`: whose data (default: the principal's).
        `traceparent`: the W3C header of whoever asks, beneath whose span this run is shown."""
        id = await self.runs.start(what, input, by, key, session, subject, limits, traceparent)
        return RunHandle(self, by.tenant, id)

    async def run(
        self, what: Flow[I, O] | Agent[I, O], input: I, /, *, by: Principal, key: str | None = None,
        session: str | None = None, subject: str | None = None, limits: Limits | None = None,
        traceparent: str | None = None,
    ) -> Result[O]:  # fmt: skip
        """Starts a run and waits for its result."""
        started = await self.start(
            what, input, by=by, key=key, session=session, subject=subject, limits=limits, traceparent=traceparent
        )
        return await started.result()

    async def act(
        self, tool: str | Tool[..., Any], arguments: Mapping[str, Any], /, *, by: Principal, call_id: str,
        run: str | None = None, hold: timedelta = timedelta(0), traceparent: str | None = None,
    ) -> Executed[Any] | Blocked | Failed | Pending:  # fmt: skip
        """One governed action; all that a door calls. The same `call_id` is the same action, for ever.

        `hold` waits so long for people before it answers Pending; `run` names an open run of the
        same principal that this action belongs to: its budget, taint and deeds count, its request is where values come
        from. `traceparent`: see `start`; within a run it is that run's where none is said.
        """
        return await self.runs.act(tool, arguments, by, call_id, run, hold, traceparent)

    def watch(self, *, run: str | None = None, after: int = 0, tenant: str = "local") -> AsyncIterator[Event]:
        """Events with a sequence above `after`; of one run until it ends, else for ever."""
        return watch(self.rooms.record, self.rooms.watching, tenant, run=run, after=after)
