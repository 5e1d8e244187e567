"""A run that goes on with a fresh history keeps what decisions need, and never reads its earlier generations again."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from flyball import Call, Completed, Run, Stopped, Trusted, flow, tool
from flyball.runtime.flow.snapshot import handed_on, taken
from flyball.runtime.record import Recorder
from tests.runtime.till import READS, gossip, lab, look, pay, ring

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


@pytest.mark.promise("journal-continue-keeps-what-counts")
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
