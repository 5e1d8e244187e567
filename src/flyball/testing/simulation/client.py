"""Those who use a simulated process: somebody who wants a run done, and people who decide what waits.

They behave as clients do: what failed is asked for again under the same key, what waits is looked at again later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import PendingRow, RunRow
from flyball.core.record import Opened
from flyball.core.result import Completed, Executed, Pending, Stopped, Waiting
from flyball.testing.simulation import shop
from flyball.testing.simulation.machine import MICRO
from flyball.testing.simulation.remote import said
from flyball.testing.simulation.scenarios import Scenario
from flyball.testing.simulation.world import HOUR_S, KIM, TENANT, Process

FAY: Final = Principal("user:fay", groups=frozenset({"finance", "owner"}))
NOOR: Final = Principal("user:noor", groups=frozenset({"finance"}))
MAL: Final = Principal("user:mal", groups=frozenset({"finance"}))
KEY: Final = "ticket-7"
SESSION: Final = "desk"
BY_PEOPLE: Final = frozenset({"approved", "rejected", "edited", "answered", "resolution", "voided"})
MOST_ERRORS, MOST_LOOKS = 3, 200
# How long, in seconds, what is due may wait for a lost hint to be made good; how often somebody looks.
PATIENCE_S, LOOK_S = 3 * HOUR_S, 300.0


@dataclass(slots=True)
class Story:
    """What the clients of a case saw, over all its processes."""

    ended: list[Any] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    deaf: list[str] = field(default_factory=list)
    strange: list[str] = field(default_factory=list)
    run: str = ""
    before: str = ""
    replaced: bool = False
    denied: bool = False


class Client:
    """Wants one run done by this process."""

    def __init__(self, process: Process, scenario: Scenario, story: Story) -> None:
        self._process, self._scenario, self._story = process, scenario, story
        self._app, self._world = process.app, process.world
        self._errors = 0

    async def work(self) -> bool:
        """Until the run has ended: True; False where only another process can help."""
        begun = False
        for _ in range(MOST_LOOKS):
            if self._errors >= MOST_ERRORS or not self._process.journal.whole:
                return False
            try:
                if not begun:
                    await self._request(self._start())
                    begun = True
                result = await self._request(self._app.runs.result(self._story.run))
            except FlyballError as bad:
                self._failed(bad)
                begun = False
                await asyncio.sleep(1.0)
                continue
            if isinstance(result, (Completed, Stopped)):
                self._story.ended.append(result)
                return True
            begun = await self._wait(result)
        self._story.strange.append("the run never ended")
        return False

    async def _start(self) -> None:
        scenario, app = self._scenario, self._app
        if scenario.door:
            told = await app.act(scenario.what, scenario.input, by=KIM, call_id=KEY)
            self._story.run = self._acted(told)
            return
        if not scenario.before:
            self._story.run = (await app.start(scenario.what, scenario.input, by=KIM, key=KEY)).id
            return
        for input, key in ((scenario.before, f"{KEY}/1"), (scenario.input, KEY)):
            handle = await app.start(scenario.what, input, by=KIM, key=key, session=SESSION)
            self._story.before, self._story.run = self._story.run, handle.id

    def _acted(self, told: Any) -> str:
        rows = self._world.disk.view(TENANT).rows(RunRow)
        if isinstance(told, Executed) and not rows:
            self._story.strange.append("executed without a run")
        return rows[0].id

    async def _request(self, work: Coroutine[Any, Any, Any]) -> Any:
        """A request of its own: where it is cancelled, that is an error like another."""
        task = asyncio.get_running_loop().create_task(work)
        await asyncio.wait({task})
        if task.cancelled():
            raise FlyballError("cancelled", "the request was cancelled")
        return task.result()

    def _failed(self, bad: FlyballError) -> None:
        self._errors += 1
        self._story.errors.append(f"{bad.code}: {bad.what}")

    # waiting ---------------------------------------------------------------------------------------------------------
    async def _wait(self, result: Waiting) -> bool:
        """Does what people do about it, and waits until the run has gone on. False where it has to be asked for."""
        before, again = self._size(), False
        for pending in (*result.pending, *self._ahead()):
            again = await Person(self._process, self._scenario, self._story).see(pending) or again
        loop, due = asyncio.get_running_loop(), 0.0
        while self._size() == before and not again:
            row = self._app.runs.row(self._story.run)
            nothing = not row.wake_at and not result.pending
            moves = row.state != "waiting" or nothing or 0 < row.wake_at <= self._process.now()
            due = due or (loop.time() if moves else 0.0)
            if moves and loop.time() - due > PATIENCE_S:
                return self._deaf(row)
            left = (row.wake_at - self._process.now()) / MICRO
            await asyncio.sleep(LOOK_S if moves or not row.wake_at else max(LOOK_S, left))
        return True

    def _ahead(self) -> list[Pending]:
        """What the earlier turn waits for."""
        return list(self._app.approvals.list(run=self._story.before)) if self._story.before else []

    def _deaf(self, row: RunRow) -> bool:
        # Who is told that its take was made before cannot know by whom, nor that another owner has died since: somebody
        # has to ask for the run again.
        taken = any(word.endswith("=repeated") for word in self._world.happened) or self._left(row)
        if self._process.journal.whole and not taken:
            self._story.deaf.append(f"the run is {row.state} and has been due for hours, and nobody drives it")
        return False

    def _left(self, row: RunRow) -> bool:
        usurped = [word.endswith("=usurp") for word in self._world.happened]
        return row.state == "running" and True in usurped[:-1]

    def _size(self) -> int:
        stored = self._world.disk.view(TENANT).records(run=self._story.run, limit=1_000_000)
        return sum(s.kind not in BY_PEOPLE for s in stored)


class Person:
    """Decides what waits, as the scenario says; finds out about what nobody knows by asking the remote's own log."""

    def __init__(self, process: Process, scenario: Scenario, story: Story) -> None:
        self._process, self._scenario, self._story = process, scenario, story
        self._world = process.world

    async def see(self, pending: Pending) -> bool:
        """One thing that waits. True where that failed, and has to be looked at again."""
        if pending.kind in ("timer", "turn") or (self._scenario.people == "ignore" and pending.kind == "approval"):
            return False
        fault = self._world.fault(f"p{self._world.number('p')}", pending.kind)
        if fault == "slow":
            await asyncio.sleep(HOUR_S)
        if fault == "elsewhere":
            await self._elsewhere(pending)
            return False
        failed = await self._try(self._process, pending)
        if fault == "twice":
            await self._try(self._process, pending)
        if fault == "rival":
            await self._rival(pending)
        return failed

    async def _try(self, process: Process, pending: Pending) -> bool:
        task = asyncio.get_running_loop().create_task(self._decide(process, pending))
        await asyncio.wait({task})
        bad = FlyballError("cancelled", "they were cancelled") if task.cancelled() else task.exception()
        if bad is not None and not isinstance(bad, FlyballError):
            raise bad
        if bad is not None:
            self._story.errors.append(f"{bad.code}: {bad.what}")
            await asyncio.sleep(1.0)
        return bad is not None

    async def _elsewhere(self, pending: Pending) -> None:
        other = self._world.process(drive=False)

        async def life() -> None:
            async with other.app:
                await self._try(other, pending)

        task = other.spawn(life())
        await asyncio.wait({task, other.ended}, return_when=asyncio.FIRST_COMPLETED)
        await other.bury()

    async def _rival(self, pending: Pending) -> None:
        """Somebody else wants the opposite, a moment too late."""
        if pending.kind != "approval":
            return
        try:
            await self._process.app.approvals.deny(pending, by=MAL)
        except FlyballError as bad:
            self._story.errors.append(f"{bad.code}: {bad.what}")
        else:
            self._story.denied = True

    async def _decide(self, process: Process, pending: Pending) -> None:
        app, people = process.app, self._scenario.people
        if pending.kind == "unknown":
            await self._find_out(process, pending)
        elif pending.kind == "question":
            await app.questions.answer(pending, 7, by=FAY)
        elif people == "deny":
            await app.approvals.deny(pending, by=FAY)
            self._story.denied = True
        elif people == "edit" and not any(r.kind == "edited" for r in records(process, pending.run)):
            await app.approvals.edit(pending, {"cents": 300}, by=MAL)
        else:
            if people == "replace" and not self._story.replaced:
                self._story.replaced = True
                await process.activate(shop.STRICTER)
            for person in (FAY, NOOR):
                await self._approve(process, pending, person)

    async def _approve(self, process: Process, pending: Pending, person: Principal) -> None:
        row = self._world.disk.view(TENANT).row(PendingRow, pending.id)
        if row is None or row.state != "open" or row.over != pending.over:
            return
        try:
            await process.app.approvals.approve(pending, by=person)
        except FlyballError as bad:
            if bad.code != "not_eligible":  # whose answer was lost has signed already
                raise

    async def _find_out(self, process: Process, pending: Pending) -> None:
        await asyncio.sleep(PATIENCE_S)  # whatever was still on its way has arrived by now
        row = self._world.disk.view(TENANT).row(PendingRow, pending.id)
        if row is None or row.state != "open":
            return
        intent = next(r for r in records(process, pending.run) if r.id == row.intent)
        done = self._world.remote.happened(str(intent.facts["key"]))
        self._story.unknown[row.id] = str(intent.facts["action"])
        if done is None:
            await process.app.questions.resolve(pending, "failed", by=FAY)
        else:
            await process.app.questions.resolve(pending, "executed", by=FAY, result=said(done))


def records(process: Process, run: str) -> list[Opened]:
    """The records of a run, opened."""
    return list(process.app.runs.records(run))
