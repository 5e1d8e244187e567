"""A run that goes on with a fresh history keeps what decisions need, and never reads its earlier generations again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from flyball import Call, Completed, Limits, Run, Stopped, Trusted, Waiting, agent, flow, tool
from flyball.core.journal import RunRow
from flyball.runtime.flow.snapshot import handed_on, taken
from flyball.runtime.flow.turn import Turn
from flyball.runtime.record import Recorder
from flyball.testing import Say, propose
from tests.runtime.till import READS, gossip, lab, look, pay, ring, scripted

POLICY = (
    READS
    + """
@id("known") permit (principal, action == Action::"pay", resource)
when { context.origin.cents == "price.cents" };
@id("ring") permit (principal, action == Action::"ring", resource) unless { context.run.tainted };
"""
)


@dataclass(frozen=True)
class Price:
    cents: Trusted[int]


@tool(effect="read")
async def price(call: Call) -> Price:
    """What the price list says."""
    return Price(77)


@flow
async def looks_up_then_pays(run: Run, cents: int) -> str:
    if cents == 0:
        found = await run.call(price)
        run.continue_as(found.cents)
    return await run.call(pay, cents)


@flow
async def pays_what_it_was_not_handed(run: Run, n: int) -> str:
    if n == 0:
        await run.call(price)
        run.continue_as(1)
    return await run.call(pay, 77)


@flow(ensures=[pay])
async def pays_then_goes_on(run: Run, n: int) -> str:
    if n > 0:
        await run.call(pay, n)
        run.continue_as(0)
    return "done"


@flow
async def reads_then_rings(run: Run, n: int) -> str:
    if n > 0:
        await run.call(gossip)
        run.continue_as(0)
    return await run.call(ring, 1)


@flow
async def looping(run: Run, n: int) -> int:
    for _ in range(3):
        await run.call(look, n)
    if n > 0:
        run.continue_as(n - 1)
    return n


@pytest.mark.promise("journal-continue-keeps-what-counts")
async def test_what_was_done_before_still_counts_for_what_was_promised() -> None:
    done = await lab().run(pays_then_goes_on, 5)
    assert isinstance(done, Completed) and done.value == "done"


@pytest.mark.promise("journal-continue-keeps-what-counts")
async def test_what_was_read_before_still_taints() -> None:
    ended = await lab(policies=POLICY).run(reads_then_rings, 1)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied"


@pytest.mark.promise("journal-continue-keeps-what-counts")
async def test_a_denial_of_an_earlier_generation_still_counts() -> None:
    @flow
    async def insists(run: Run, n: int) -> str:
        await run.attempt(pay, 100_001 + n)
        run.continue_as(n + 1)

    ended = await lab().run(insists, 0)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and "20 proposals" in ended.detail


@pytest.mark.promise("journal-continue-keeps-what-counts")
async def test_what_is_handed_on_keeps_its_origin() -> None:
    done = await lab(policies=POLICY).run(looks_up_then_pays, 0)
    assert isinstance(done, Completed) and done.value == "paid 77"


@pytest.mark.promise("journal-continue-keeps-what-counts")
async def test_what_is_not_handed_on_is_of_unknown_origin() -> None:
    ended = await lab(policies=POLICY).run(pays_what_it_was_not_handed, 0)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied"


async def test_each_generation_says_what_the_next_must_know() -> None:
    bench = lab()
    assert isinstance(await bench.run(looping, 9, key="k"), Completed)
    continued = [r for r in bench.records("k") if r.kind == "run_continued"]
    assert [r.facts["generation"] for r in continued] == list(range(2, 11))
    assert all(taken(r).did == ("look",) and not taken(r).denied and not taken(r).tainted for r in continued)


@pytest.mark.promise("journal-continue-keeps-what-counts", "journal-snapshots")
async def test_no_earlier_generation_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, real = [], Recorder.open

    def counted(self: Recorder, *args: object) -> object:
        opened.append(args)
        return real(self, *args)  # type: ignore[arg-type]

    async def reads(generations: int) -> int:
        opened.clear()
        assert isinstance(await lab().run(looping, generations), Completed)
        return len(opened)

    monkeypatch.setattr(Recorder, "open", counted)
    assert await reads(20) - await reads(10) <= 10 * 3


def test_of_known_values_only_those_handed_on_stay_known() -> None:
    known = {"s:a@b.example": "find.contact", "n:77": "price", "s:mine": "request"}
    assert handed_on(known, {"to": "A@B.example", "words": ["mine"]}) == {"s:a@b.example": "find.contact"}


def test_there_is_no_snapshot_before_a_run_went_on() -> None:
    assert taken(None).did == ()


clerk = agent("clerk", instructions="Do what is asked.", tools=[look, gossip, pay, price], limits=Limits(steps=100))


@flow
async def asks_after_its_agent(run: Run, wish: str) -> int:
    await run.agent(clerk, wish)
    return await run.ask("How many?", int, to="finance", within=timedelta(days=1), default=-1)


async def parked(*does: Any) -> tuple[Any, Turn, RunRow]:
    """A run whose agent did this and has finished, and what drives it."""
    bench = scripted(clerk=[*does, Say("done")])
    waits = await bench.run(asks_after_its_agent, "do it", key="k")
    assert isinstance(waits, Waiting), waits
    app = await bench._bench.ready(asks_after_its_agent)
    return bench, app.rooms.driver._turn, app.rooms.ports.journal.row("local", RunRow, waits.run)  # type: ignore[return-value]


@pytest.mark.promise("journal-snapshots", "journal-finished-agents-replay")
async def test_what_a_finished_agent_did_is_not_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, real = [], Recorder.open

    def counted(self: Recorder, *args: object) -> object:
        opened.append(args)
        return real(self, *args)  # type: ignore[arg-type]

    async def reads(looks: int) -> int:
        _, turn, row = await parked(*[propose(look, n) for n in range(looks)])
        opened.clear()
        turn.activation("local", row)
        return len(opened)

    monkeypatch.setattr(Recorder, "open", counted)
    assert await reads(2) == await reads(12)


@pytest.mark.promise("journal-snapshots")
async def test_a_run_knows_of_its_finished_agent_what_it_would_know_had_it_read_everything() -> None:
    _, turn, row = await parked(propose(look, 1), propose(pay, 100_001), propose(gossip), propose(price))
    known = []
    for turn._deep in (True, False):
        at = turn.activation("local", row)
        known.append((at.did, at.denied, at.rejected, at.tainted, at.origins, at.steps, at.open_starts()))
    assert known[0] == known[1] and known[0][0] == {"look", "gossip", "price"} and known[0][3]
    assert "price.cents" in known[1][4].known.values() and list(known[1][1].values()) == ["pay"]


@pytest.mark.promise("journal-snapshots")
async def test_what_a_finished_agent_did_is_folded_again_where_somebody_replays_it() -> None:
    bench, _, _ = await parked(propose(look, 1), propose(price))
    assert isinstance(await bench.resume("k"), Waiting)
    assert (await bench.replay(bench.history("k"))).ok


@tool(effect="irreversible")
async def lock(call: Call, n: int) -> str:
    """Lock the till, which must be shut."""
    return f"locked {n}"


@lock.requires
async def shut(call: Call, n: int) -> str | None:
    return None


@flow
async def asks_after_locking(run: Run, n: int) -> int:
    await run.call(lock, n)
    return await run.ask("How many?", int, to="finance", within=timedelta(days=1), default=-1)


async def test_what_a_tool_required_is_opened_with_it() -> None:
    bench = lab()
    waits = await bench.run(asks_after_locking, 1)
    app = await bench._bench.ready(asks_after_locking)
    row = app.rooms.ports.journal.row("local", RunRow, waits.run)
    assert row is not None
    records = app.rooms.driver._turn.activation("local", row).history.past("1.1").records
    assert [r.kind for r in records] == ["intent", "outcome"] and all(r.private for r in records)
