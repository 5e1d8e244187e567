"""Rooms under concurrency: what was cut short between the log and memory, and what two do at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest

from flyball import Completed, FlyballError, Limits, Principal, Run, Stopped, Tenant, Waiting, flow, resource
from flyball.app.flyball import Flyball
from flyball.core.call import Secret
from flyball.core.journal import Append, PendingRow
from flyball.core.outcome import Ended, outcome_event
from flyball.core.policy import Source
from flyball.core.proposal import Place
from flyball.runtime.broker.reach import Resources
from tests.runtime.till import FAY, KIM, POLICY, Drawer, gossip, key_of, lab, look, pay

STRICT = POLICY.replace("cents > 100000", "cents > 1")
BY_KEY = Principal("user:kim", groups=frozenset({"till"}), issuer="key", assurance="key")


@flow
async def spending(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@flow
async def trying(run: Run, cents: int) -> str:
    first = await run.attempt(pay, cents)
    second = await run.attempt(pay, cents + 1)
    return f"{type(first).__name__} {type(second).__name__}"


class Delayed:
    """A journal whose next append of some kind of record is durable long before it is answered."""

    def __init__(self, inner: Any, kind: str) -> None:
        self._inner, self._kind = inner, kind
        self.durable = asyncio.Event()

    async def append(self, append: Any) -> Any:
        answer = await self._inner.append(append)
        if self._kind and any(e.kind == self._kind for e in append.entries):
            self._kind = ""
            self.durable.set()
            await asyncio.sleep(3600)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class Queued(Delayed):
    """A journal whose writer takes up an append a moment after it was made, as a real one does."""

    async def append(self, append: Any) -> Any:
        await asyncio.sleep(0.01)
        return await self._inner.append(append)


async def cut_short(app: Flyball, kind: str, work: Any) -> None:
    record = app.rooms.record
    record.journal = delayed = Delayed(record.journal, kind)
    task = asyncio.create_task(work)
    await asyncio.wait_for(delayed.durable.wait(), 5)
    task.cancel()
    await asyncio.wait({task})
    record.journal = delayed._inner


def compiled(app: Flyball, text: str) -> Any:
    return app.rooms.policies.check(Source(layer="project", name="lab", files={"lab.cedar": text}))


@pytest.mark.promise("gate-policy-is-never-pinned")
async def test_a_forbid_holds_although_whoever_activated_it_was_cancelled() -> None:
    bench = lab()
    assert isinstance(await bench.run(spending, 5, key="a"), Completed)
    app = await bench._bench.ready(spending)
    policies = app.rooms.policies
    await cut_short(app, "policy_activated", policies.activate("local", compiled(app, STRICT), None))
    ended = await app.run(spending, 6, by=KIM)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied"


@pytest.mark.promise("gate-one-activation-wins")
async def test_of_two_bundles_activated_at_once_one_is_told_that_it_lost() -> None:
    bench = lab()
    await bench.run(spending, 5)
    app = await bench._bench.ready(spending)
    policies, app.rooms.record.journal = app.rooms.policies, Queued(app.rooms.record.journal, "")
    other = POLICY.replace("cents > 100000", "cents > 2")
    both = [policies.activate("local", compiled(app, text), None) for text in (STRICT, other)]
    told = await asyncio.gather(*both, return_exceptions=True)
    assert sum(isinstance(t, FlyballError) for t in told) == 1 and told.count(True) == 1


@pytest.mark.promise("gate-activation-voids-approvals")
async def test_the_second_approval_of_a_step_can_be_voided_by_a_policy_as_the_first_was() -> None:
    bench = lab()
    asked = await bench.run(spending, 200, key="k")
    assert isinstance(asked, Waiting)
    app = await bench._bench.ready(spending)
    app.rooms.driver.hold()  # a command: nothing is driven
    view = app.rooms.ports.journal.view
    row = view("local").row(PendingRow, asked.pending[0].id)
    assert row is not None
    for number, cents in ((1, 90), (2, 80)):
        id = f"{row.run}/{row.path}#{number}"
        held = msgspec.structs.replace(row, id=id, state="granted", version=2, policies=("project/much-asks-finance",))
        await app.rooms.record.append(Append(id=f"t{number}", tenant="local", put=(held,)))
        text = POLICY.replace("cents > 100 ", f"cents > {cents} ")
        assert await app.rooms.policies.activate("local", compiled(app, text), None)


@pytest.mark.promise("gate-untrusted-text-taints")
async def test_what_tainted_a_run_counts_although_the_memory_of_it_is_emptied_meanwhile() -> None:
    bench = lab()
    await bench.run(spending, 5, key="k")
    app = await bench._bench.ready(spending)
    enforce, seen = app.rooms.enforce, []
    real, inputs = enforce._resolve, enforce._inputs

    async def resolve(p: Any) -> Any:
        enforce.refresh("local")  # another run's conflict, while an entity is loaded
        return await real(p)

    def noted(p: Any, trouble: str) -> Any:
        found = inputs(p, trouble)
        seen.append((p.place.path, found.facts.tainted))
        return found

    enforce._resolve, enforce._inputs = resolve, noted  # type: ignore[method-assign]

    @flow
    async def side_by_side(run: Run, n: int) -> str:
        await run.call(gossip)
        return await run.call(pay, n)

    app.rooms.project.flows["side_by_side"] = side_by_side
    rule = enforce.rule

    async def unaware(p: Any) -> Any:  # as a proposal made before its sibling read something
        return await rule(msgspec.structs.replace(p, place=msgspec.structs.replace(p.place, tainted=False)))

    enforce.rule = unaware  # type: ignore[method-assign]
    ended = await app.run(side_by_side, 5, by=KIM)
    assert isinstance(ended, Completed) and seen[-1] == ("2", True)


@pytest.mark.promise("api-same-key-same-run")
async def test_a_run_whose_starter_was_cancelled_goes_on_when_it_is_started_again() -> None:
    bench = lab()
    await bench.run(spending, 5)
    app = await bench._bench.ready(spending)
    await cut_short(app, "run_started", app.start(spending, 7, by=KIM, key="again"))
    done = await asyncio.wait_for(app.run(spending, 7, by=KIM, key="again"), 5)
    assert isinstance(done, Completed)


@pytest.mark.promise("journal-first-outcome-wins")
async def test_a_result_that_comes_after_another_driver_closed_the_step_is_kept_as_late() -> None:
    bench = lab()
    till_at = asyncio.Event()
    bench_run = asyncio.create_task(_slow(bench, till_at))
    await asyncio.wait_for(till_at.wait(), 5)
    app = await bench._bench.ready(spending)
    run = app.runs.list()[-1].id
    place = Place(tenant="local", run=run, path="1", fence=None, release="", subjects=(), subject="")
    event = outcome_event(place, 1, Ended(status="unknown"), final=True)
    entry = app.rooms.record.seal("local", event)
    await app.rooms.record.append(Append(id=entry.id, tenant="local", entries=(entry,), urgent=True))
    GO.set()
    await asyncio.wait({bench_run})
    assert [r.kind for r in app.runs.records(run) if r.path.startswith("1~")] == ["late"]
    assert isinstance(bench_run.result(), Completed)  # nobody knew what became of it; now the run does
    assert [r.kind for r in app.runs.records(run)].count("intent") == 2


GO = asyncio.Event()


async def _slow(bench: Any, begun: asyncio.Event) -> Any:
    app = await bench._bench.ready(spending)
    perform = app.rooms.stations.broker.perform

    async def slow(p: Any, arguments: Any) -> Any:
        ended = await perform(p, arguments)
        if p.action.name == "pay":
            begun.set()
            await GO.wait()
        return ended

    app.rooms.stations.broker.perform = slow
    return await app.run(spending, 5, by=KIM)


@pytest.mark.promise("journal-continue-as")
async def test_continuing_does_not_wind_back_the_time_a_run_has_used() -> None:
    bench = lab()

    @flow
    async def laps(run: Run, n: int) -> str:
        app.rooms.ports.clock.move(app.rooms.ports.clock.now() + 20_000_000)  # a slow lap
        await run.call(look, n)
        run.continue_as(n + 1)

    app = await bench._bench.ready(laps)
    ended = await asyncio.wait_for(app.run(laps, 1, by=KIM, limits=Limits(seconds=60)), 10)
    assert isinstance(ended, Stopped) and ended.reason == "max_seconds"


@pytest.mark.promise("gate-authority-is-read-live")
async def test_a_revoked_person_ends_the_run_whatever_the_flow_catches() -> None:
    bench = lab()

    @flow
    async def stubborn(run: Run, n: int) -> str:
        await run.call(look, n)
        await app.keys.revoke(key_of("user:kim").id)
        return type(await run.attempt(pay, n)).__name__

    app = await bench._bench.ready(stubborn)
    await app.runs.ready("local")
    await app.keys.enrol(key_of("user:kim", "till"))
    ended = await app.run(stubborn, 5, by=BY_KEY)
    assert isinstance(ended, Stopped) and ended.reason == "auth_failed"


@pytest.mark.promise("gate-authority-is-read-live")
async def test_a_run_loses_the_groups_that_its_person_s_key_lost() -> None:
    grouped = POLICY.replace('@id("acts") permit (principal,', '@id("acts") permit (principal in Group::"till",')
    bench = lab(policies=grouped)
    app = await bench._bench.ready(trying)
    await app.runs.ready("local")
    await app.keys.enrol(key_of("user:kim", "other"))
    done = await app.run(trying, 5, by=BY_KEY)
    assert isinstance(done, Completed) and done.value == "Blocked Blocked"


@pytest.mark.promise("api-resources-are-values")
async def test_what_all_tenants_share_is_not_opened_with_one_tenant_s_secrets() -> None:
    seen: list[str] = []

    @resource()
    async def shared(tenant: Tenant) -> AsyncIterator[str]:
        seen.append(tenant.id)
        yield "open"

    resources = Resources(lambda name: Tenant(name, {}, lambda s: Secret(s, name)))
    async with AsyncExitStack() as stack:
        await resources.ready([shared], "acme", stack)
        await resources.ready([shared], "globex", stack)
    await resources.close()
    assert seen == [""]


@pytest.mark.promise("journal-inbox-moves-no-fence")
async def test_the_end_of_a_run_is_recorded_although_somebody_decides_at_that_moment() -> None:
    bench = lab()
    asked = await bench.run(spending, 200, key="k")
    assert isinstance(asked, Waiting)
    app = await bench._bench.ready(spending)
    inner = app.rooms.record.journal

    class Racing(Delayed):
        async def append(self, append: Any) -> Any:
            if any(e.kind == "run_ended" for e in append.entries) and not self.durable.is_set():
                self.durable.set()
                await app.approvals.deny(asked.pending[0], by=FAY)
            return await self._inner.append(append)

    app.rooms.record.journal = Racing(inner, "")
    await app.runs.stop(asked.run, "enough", by=KIM)
    assert app.runs.row(asked.run).state == "ended"


@pytest.mark.promise("gate-unknown-keeps-its-reservation")
async def test_what_a_person_found_executed_is_charged_as_it_was_reserved() -> None:
    till = Drawer()
    till.faults["pay"] = [TimeoutError()] * 3
    bench = lab(till)
    asked = await bench.run(spending, 5, key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    await bench.resolve(asked.pending[0], "executed", by=KIM, result="paid 5")
    app = await bench._bench.ready(spending)
    node = next(b for b in app.budgets.list() if b.id.startswith("run/"))
    assert node.reserved.usd == 0 and node.spent.usd == 300_000 and node.spent.effects == 3
