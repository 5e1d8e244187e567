"""One case: a scenario, a seed and faults, played to its end, and what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from flyball.core.errors import FlyballError
from flyball.core.journal import BudgetRow, HoldRow, PendingRow, RunRow
from flyball.core.record import Opened
from flyball.testing.simulation.client import Client, Story
from flyball.testing.simulation.disk import Disk
from flyball.testing.simulation.faults import Fault, written
from flyball.testing.simulation.loop import SimLoop, Stuck
from flyball.testing.simulation.machine import SimEntropy
from flyball.testing.simulation.scenarios import Scenario
from flyball.testing.simulation.world import TENANT, Point, Process, World, calm, track
from flyball.testing.sockets import no_models

MOST_LIVES: Final = 12


@dataclass(slots=True, kw_only=True)
class Played:
    """What was found: the world as it stands, what the clients saw, and the log as the last process reads it."""

    scenario: Scenario
    seed: int
    faults: tuple[Fault, ...]
    world: World
    story: Story
    runs: list[RunRow] = field(default_factory=list)
    records: list[Opened] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    budgets: list[BudgetRow] = field(default_factory=list)
    holds: list[HoldRow] = field(default_factory=list)
    pending: list[PendingRow] = field(default_factory=list)
    sound: bool = True
    audit: bool = False
    grew: int = 0

    @property
    def points(self) -> list[Point]:
        """The points that were passed, in order."""
        return self.world.points

    @property
    def history(self) -> list[str]:
        """What happened, without what chance made: two plays of one case give the same."""
        told = [f"{r.index} {r.kind} {r.run and 'run'} {r.path} {r.attempt} {r.time}" for r in self.records]
        done = [f"effect {e.tool} {e.cents} {e.time}" for e in self.world.remote.effects]
        return [*told, *done, *(point.name for point in self.points), *self.story.errors]

    @property
    def command(self) -> str:
        """What replays this case."""
        faults = f" --faults '{written(self.faults)}'" if self.faults else ""
        return f"python -m flyball.testing.simulation {self.scenario.name} --seed {self.seed}{faults}"


def play(scenario: Scenario, seed: int = 0, faults: Sequence[Fault] = (), *, audit: bool = False) -> Played:
    """Plays a case. `audit`: the ledger is exported and verified too, as an outsider would."""
    disk = None if scenario.opening else _founded(seed).copy(SimEntropy(f"{seed}"))
    world = World(seed, faults, scenario.limits, disk)
    played = Played(scenario=scenario, seed=seed, faults=tuple(faults), world=world, story=Story(), audit=audit)
    try:
        _run(_played(played))
    except Stuck as stuck:
        played.story.strange.append(str(stuck))
    return played


@cache
def _founded(seed: int) -> Disk:
    """A disk with a log that has been opened, its policies in force."""
    world = World(seed, (), None)

    async def found() -> None:
        process = world.process()
        await process.spawn(_found(process))

    _run(found())
    return world.disk


def _run(work: Coroutine[Any, Any, None]) -> None:
    loop = SimLoop()
    try:
        track(loop)
        with no_models():
            loop.run_until_complete(work)
    finally:
        _end(loop)


def _end(loop: SimLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
    try:
        loop.run_until_complete(asyncio.sleep(0))
    finally:
        loop.close()


async def _played(played: Played) -> None:
    world, story, scenario = played.world, played.story, played.scenario
    world.armed = True
    done = False
    while not done and world.lives < MOST_LIVES:
        done = await _life(world, scenario, story)
    world.armed = False
    if not done:
        story.strange.append(f"after {world.lives} processes the run has not ended")
    for last in (False, True):  # whatever is left is recovered without faults, and then nothing more is to be done
        process = world.process()
        await process.spawn(_recover(process, played, last=last))
        await process.bury()


async def _found(process: Process) -> None:
    async with process.app:
        await process.app.runs.ready(TENANT)


async def _life(world: World, scenario: Scenario, story: Story) -> bool:
    """One process, from its opening to its end; True where its clients have what they wanted."""
    process = world.process()
    task = process.spawn(_live(process, scenario, story))
    await asyncio.wait({task, process.ended}, return_when=asyncio.FIRST_COMPLETED)
    done = False
    if task.done() and not task.cancelled():
        bad = task.exception()
        if bad is None:
            done = bool(task.result())
        elif not isinstance(bad, (FlyballError, asyncio.CancelledError)):
            story.strange.append(f"the process ended with {bad!r}")
        else:
            story.errors.append(f"the process ended: {bad}")
    await process.bury()
    world.disk.keep()
    away, world.away = world.away, 1.0
    await asyncio.sleep(away)
    return done


async def _live(process: Process, scenario: Scenario, story: Story) -> bool:
    async with process.app:
        return await Client(process, scenario, story).work()


async def _recover(process: Process, played: Played, *, last: bool) -> None:
    """The final recovery, without faults; the second time there must be nothing left to do."""
    before = _size(played.world)
    async with process.app:
        if not last:
            await Client(process, played.scenario, played.story).work()
        await calm(process)
        if last:
            await _look(process, played)
    played.grew = _size(played.world) - before


def _size(world: World) -> int:
    return world.disk.view(TENANT).tree()[1].size


async def _look(process: Process, played: Played) -> None:
    rooms, view = process.app.rooms, played.world.disk.view(TENANT)
    played.runs, played.pending = view.rows(RunRow), view.rows(PendingRow)
    played.budgets, played.holds = view.rows(BudgetRow), view.rows(HoldRow)
    played.records = [rooms.record.open(TENANT, stored, view) for stored in view.records(limit=1_000_000)]
    for row in played.runs:
        replayed = await process.app.releases.replay(row.id)
        played.differences += [f"{d.at}: {d.what}" for d in replayed.differences]
    if played.audit:
        played.sound = (await process.app.ledger.verify(tenant=TENANT)).ok


def told(played: Played) -> Any:
    """What the run's client was told at last."""
    return played.story.ended[-1] if played.story.ended else None
