"""The world of one case: what outlives processes (disk, keys, remote, clock), the faults, and the processes in turn."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from flyball.app.flyball import Flyball
from flyball.app.plugs import adapter
from flyball.app.project import collect
from flyball.app.wiring import Ports
from flyball.core.config import Approvals, Config, LimitSet
from flyball.core.credential import enrolled
from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import Append, KeyRow, RunRow
from flyball.core.limits import Limits
from flyball.core.model import ModelConfig
from flyball.core.note import public_key
from flyball.core.policy import Source
from flyball.ports.clock import Clock
from flyball.testing.engine import cedar
from flyball.testing.simulation import shop
from flyball.testing.simulation.disk import Disk, FaultyJournal, intended
from flyball.testing.simulation.faults import Fault
from flyball.testing.simulation.machine import Machine, SimEntropy, SimKeyring
from flyball.testing.simulation.model import SimModel
from flyball.testing.simulation.remote import Remote

TENANT: Final = "local"
NAME: Final = "simulation"
HOUR_S, DAY_S = 3600.0, 86_400.0
KIM: Final = Principal("user:kim")
OPERATOR: Final = Principal("user:ola", groups=frozenset({"owner", "admin"}))
PROJECT: Final = collect(NAME, str(shop.POLICIES.parent), [shop])
_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)


@dataclass(frozen=True, slots=True)
class Point:
    """A place where something can go wrong, as it was passed: its name, and what was under way there."""

    name: str
    what: str


class World:
    """What outlives every process of one case."""

    def __init__(self, seed: int, faults: Sequence[Fault], limits: Limits | None, disk: Disk | None = None) -> None:
        self.entropy, self.keyring = SimEntropy(f"{seed}/{disk is None}"), SimKeyring(f"{seed}")
        self.disk, self.remote = disk or Disk(self.entropy), Remote(shop.ASKED, shop.WINDOWS)
        self.machine = Machine()
        self.signer = adapter("signer.memory")(NAME, SimKeyring(f"{seed}").pseudonym("signer"))
        self.config = _config(limits)
        self.plan = {fault.point: fault.kind for fault in faults}
        self.points: list[Point] = []
        self.happened: list[str] = []
        self.lives = 0
        self.armed = False
        self.away = 1.0
        self._counts: Counter[str] = Counter()

    def number(self, letter: str) -> int:
        """The number of the next point of this kind."""
        self._counts[letter] += 1
        return self._counts[letter]

    def fault(self, name: str, what: str) -> str:
        """The kind of fault at this point, which is passed now; empty where all goes well."""
        if not self.armed or _QUIET.get():
            return ""
        self.points.append(Point(name, what))
        kind = self.plan.get(name, "")
        if kind:
            self.happened.append(f"{name}={kind}")
        return kind

    def process(self, *, drive: bool = True) -> Process:
        """Another process, not yet open."""
        self.lives += 1
        return Process(self, self.lives, drive=drive)


class Process:
    """One process: an open project whose every way to the outside passes a point."""

    def __init__(self, world: World, number: int, *, drive: bool) -> None:
        self.world, self.number = world, number
        self.ended = asyncio.get_running_loop().create_future()
        self.tasks: dict[asyncio.Task[Any], None] = {}
        self.clock: Clock = adapter("clock")(world.machine.wall, world.machine.steady)
        self.journal = FaultyJournal(world.disk, self)
        self.app = Flyball(
            world.config, PROJECT, self._ports(), [shop.line.use(shop.Line(self, world.remote))], drive=drive
        )

    def _ports(self) -> Ports:
        world = self.world
        return Ports(
            journal=self.journal, keyring=world.keyring, signer=world.signer, engine=cedar(), clock=self.clock,
            entropy=world.entropy, models={"default": SimModel(self)}, prices=_prices(),
        )  # fmt: skip

    # living and dying ------------------------------------------------------------------------------------------------
    @property
    def dead(self) -> bool:
        """Has it died?"""
        return self.ended.done()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """A task of this process."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)

    async def die(self, *, away: float = 1.0, torn: bool = False) -> None:
        """Ends here; nobody ever goes on from this. `away` seconds pass before the next process starts."""
        if torn:
            self.world.disk.lose()
        self.world.away = away
        if not self.dead:
            self.ended.set_result(None)
        await self.never()

    async def never(self) -> None:
        """Where a dead process stands."""
        await asyncio.get_running_loop().create_future()

    async def bury(self) -> None:
        """Ends what is left of it. Its journal and its line are gone: whatever it still does, nobody sees."""
        if not self.dead:
            self.ended.set_result(None)
        for _ in range(8):
            left = [task for task in self.tasks if not task.done() and task is not asyncio.current_task()]
            for task in left:
                task.cancel()
            if not left:
                return
            await asyncio.wait(left, timeout=0.001)

    # passing points --------------------------------------------------------------------------------------------------
    async def meet(self, append: Append) -> str:
        """An append; see `disk.Owner`."""
        if self.dead:
            await self.never()
        if _QUIET.get() or not self.world.armed:
            return ""
        return await self._pass(f"j{self.world.number('j')}", _described(append))

    async def met(self, fault: str) -> None:
        """After an append; see `disk.Owner`."""
        if fault == "crash_after":
            await self.die()
        if fault == "cancel_after":
            await _cancelled()

    async def stage(self, point: str) -> str:
        """A point on the way to the remote or a model; see `remote.Place`."""
        if self.dead:
            await self.never()
        kind = await self._pass(point, "")
        if kind == "error":
            raise ConnectionResetError("the connection was lost")
        return kind

    async def _pass(self, point: str, what: str) -> str:
        kind = self.world.fault(point, what)
        known = _ACTS.get(kind)
        if known is None:
            return kind
        await known(self)
        return ""

    def now(self) -> int:
        """The time, in microseconds."""
        return self.clock.now()

    def intended(self, key: str) -> bool:
        """Is an intent under this key durable?"""
        return intended(self.world.disk.durable(TENANT), key)

    # what else happens meanwhile -------------------------------------------------------------------------------------
    async def quietly(self, work: Coroutine[Any, Any, Any], *, wait: bool = True) -> None:
        """Something else that happens now, at which nothing goes wrong."""
        context = copy_context()
        context.run(_QUIET.set, True)
        context.run(_PROCESS.set, self)
        task = asyncio.get_running_loop().create_task(work, context=context)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        if wait:
            await asyncio.wait({task})
        else:
            for _ in range(3):
                await asyncio.sleep(0)

    async def activate(self, text: str) -> None:
        """Puts these policies in force, once there is a log to say so in."""
        if TENANT not in self.world.disk.tenants():
            return
        policies = self.app.rooms.policies
        source = Source(layer="project", name=NAME, files={"shop.cedar": text})
        await policies.activate(TENANT, policies.check(source), None)

    async def usurped(self) -> None:
        """Another process takes the runs over and goes on with them, while this one stands still."""
        self.world.disk.keep()  # what another process can read is durable
        other = self.world.process()
        task = other.spawn(_taking_over(other))
        await asyncio.wait({task, other.ended}, return_when=asyncio.FIRST_COMPLETED)
        await other.bury()

    async def stopped(self) -> None:
        """An operator stops every run."""
        for row in self.world.disk.view(TENANT).rows(RunRow):
            await self.quietly(self.app.runs.stop(row.id, "enough", by=OPERATOR), wait=False)


async def calm(process: Process) -> None:
    """Waits until this process drives nothing."""
    for row in process.world.disk.view(TENANT).rows(RunRow):
        try:
            await process.app.rooms.driver.settled(TENANT, row.id)
        except FlyballError:
            continue  # its driver lost the run, and said so


async def _taking_over(process: Process) -> None:
    async with process.app:
        await calm(process)


async def _cancelled() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.cancel()
    await asyncio.sleep(0)


async def _set(process: Process, seconds: float, *, dies: bool = False) -> None:
    process.world.machine.set(seconds)
    if dies:
        await process.die()


async def _enrol(process: Process) -> None:
    if not hasattr(process.app, "keys"):
        return  # nobody can be enrolled in a log that is not open
    known = len(process.world.disk.view(TENANT).rows(KeyRow))
    public = public_key(process.world.keyring.subject("key", f"{known}"))
    row = KeyRow(
        id=enrolled(public), person=f"user:p{known}", groups=(), public=b64encode(public).decode(),
        created=process.now(),
    )  # fmt: skip
    await process.quietly(process.app.keys.enrol(row))


_ACTS: Final[dict[str, Callable[[Process], Coroutine[Any, Any, None]]]] = {
    "crash": lambda p: p.die(),
    "torn": lambda p: p.die(torn=True),
    "outage": lambda p: p.die(away=DAY_S),
    "back": lambda p: _set(p, -HOUR_S),
    "reboot": lambda p: _set(p, -HOUR_S, dies=True),
    "forward": lambda p: _set(p, DAY_S),
    "cancel": lambda p: _cancelled(),
    "slow": lambda p: asyncio.sleep(20.0),
    "long": lambda p: asyncio.sleep(2 * HOUR_S),
    "usurp": lambda p: p.usurped(),
    "closed": lambda p: p.quietly(p.activate(shop.CLOSED)),
    "reopened": lambda p: p.quietly(p.activate(shop.OPEN)),
    "enrolled": _enrol,
    "stop": lambda p: p.stopped(),
}


def track(loop: asyncio.AbstractEventLoop) -> None:
    """From now on every task of this loop belongs to the process in whose context it was made."""

    def made(loop: asyncio.AbstractEventLoop, work: Any, **rest: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(work, loop=loop, **rest)
        context: Context | None = rest.get("context")
        process = _PROCESS.get() if context is None else context.get(_PROCESS)
        if process is not None:
            process.tasks[task] = None
            task.add_done_callback(lambda done: process.tasks.pop(done, None))
        return task

    loop.set_task_factory(made)


def _described(append: Append) -> str:
    """What an append says, in a word: the kinds of its records, or what else it does."""
    kinds = "+".join(entry.kind for entry in append.entries)
    return kinds or ("take" if append.take else append.id.partition("/")[0])


def _config(limits: Limits | None) -> Config:
    directory = str(shop.POLICIES.parent)
    config = Config.bare(NAME, directory, home=directory)
    project = msgspec.structs.replace(config.project, policies=str(shop.POLICIES), policy=None)
    own = LimitSet(run=limits or Limits())
    models = {"default": ModelConfig(name="default", adapter="scripted")}
    approvals = Approvals(expires_ms=int(4 * HOUR_S * 1000))
    return msgspec.structs.replace(config, project=project, limits=own, models=models, approvals=approvals)


_PRICES: list[Any] = []


def _prices() -> Any:
    if not _PRICES:
        _PRICES.append(adapter("prices")(None))
    return _PRICES[0]
