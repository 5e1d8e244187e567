"""Approvals in a run: what is asked, by whom it may be granted, and what makes it worthless."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from flyball import Blocked, Completed, FlyballError, Principal, Run, Stopped, Waiting, flow
from flyball.testing import Crash
from tests.runtime.till import FAY, NOOR, POLICY, Drawer, lab, pay

TWO = POLICY.replace('"finance")', '"finance:2")')


@flow
async def buying(run: Run, cents: int) -> str:
    return await run.call(pay, cents, memo="for the lamp")


@flow
async def insisting(run: Run, cents: int) -> list[str]:
    told = [await run.attempt(pay, cents, memo=f"try {n}") for n in range(3)]
    return [t.reason if isinstance(t, Blocked) else "paid" for t in told]


@flow
async def reacting(run: Run, cents: int) -> str:
    told = await run.attempt(pay, cents)
    return told.reason if isinstance(told, Blocked) else "paid"


async def asked_by(bench: Any, cents: int = 200, what: Any = buying) -> Waiting:
    asked = await bench.run(what, cents, key="k")
    assert isinstance(asked, Waiting)
    return asked


@pytest.mark.promise("gate-edit-is-a-new-proposal")
async def test_an_edit_is_decided_again_and_runs_as_edited() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    again = await bench.edit(asked.pending[0], {"cents": 150}, by=FAY)
    assert isinstance(again, Waiting) and again.pending[0].arguments["cents"] == 150
    assert again.pending[0].over != asked.pending[0].over and again.pending[0].origins["cents"] == "approver"
    assert isinstance(await bench.approve(again.pending[0], by=NOOR), Completed)
    assert list(till.paid.values()) == [150] and (await bench.verify()).ok


@pytest.mark.promise("gate-edit-is-a-new-proposal")
async def test_an_edit_that_needs_nobody_any_more_runs() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    assert isinstance(await bench.edit(asked.pending[0], {"cents": 50}, by=FAY), Completed)
    assert list(till.paid.values()) == [50] and (await bench.verify()).ok


@pytest.mark.promise("gate-approver-is-nobody-in-the-chain")
async def test_whoever_edited_cannot_approve() -> None:
    bench = lab()
    asked = await asked_by(bench)
    again = await bench.edit(asked.pending[0], {"cents": 150}, by=FAY)
    assert isinstance(again, Waiting)
    with pytest.raises(FlyballError, match="edited this proposal"):
        await bench.approve(again.pending[0], by=FAY)


@pytest.mark.promise("gate-approve-the-version-shown")
async def test_what_was_edited_meanwhile_is_a_conflict_and_consumes_nothing() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    again = await bench.edit(asked.pending[0], {"cents": 999}, by=FAY)
    with pytest.raises(FlyballError, match="not what you were shown"):
        await bench.approve(asked.pending[0], by=NOOR)
    assert not till.paid and isinstance(again, Waiting)
    assert isinstance(await bench.approve(again.pending[0], by=NOOR), Completed)


@pytest.mark.promise("gate-plain-refusals-first", "gate-edit-is-a-new-proposal")
async def test_an_edit_to_what_policy_forbids_is_denied() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    ended = await bench.edit(asked.pending[0], {"cents": 200_000}, by=FAY)
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not till.paid


@pytest.mark.promise("gate-approver-is-nobody-in-the-chain")
async def test_who_asked_cannot_approve() -> None:
    bench = lab()
    asked = await bench.run(buying, 200, by=Principal("user:fay", groups=frozenset({"finance"})))
    assert isinstance(asked, Waiting)
    with pytest.raises(FlyballError, match="asked, so user:fay cannot approve"):
        await bench.approve(asked.pending[0], by=FAY)


@pytest.mark.promise("gate-only-the-group-approves")
async def test_who_is_not_in_the_group_cannot_approve() -> None:
    bench = lab()
    asked = await asked_by(bench)
    with pytest.raises(FlyballError, match="is not in finance"):
        await bench.approve(asked.pending[0], by=Principal("user:eve"))


@pytest.mark.promise("gate-distinct-cures-distinct-people")
async def test_one_person_counts_once() -> None:
    till = Drawer()
    bench = lab(till, TWO)
    asked = await asked_by(bench)
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Waiting)
    with pytest.raises(FlyballError, match="counts once"):
        await bench.approve(asked.pending[0], by=FAY)
    assert not till.paid and isinstance(await bench.approve(asked.pending[0], by=NOOR), Completed)
    assert (await bench.verify()).ok


async def test_a_rejection_stops_the_run() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    ended = await bench.deny(asked.pending[0], by=FAY, reason="no lamp")
    assert isinstance(ended, Stopped) and ended.reason == "approval_rejected" and not till.paid
    assert (await bench.verify()).ok


@pytest.mark.promise("gate-rejected-is-not-asked-again")
async def test_what_was_rejected_is_not_asked_about_again() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench, 200, insisting)
    done = await bench.deny(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and not till.paid
    assert done.value[0] == "approval_rejected" and "paid" not in done.value
    assert sum(r.kind == "asked" for r in bench.records("k")) == 1


@pytest.mark.promise("gate-expiry-never-allows")
async def test_what_nobody_approved_in_time_expires() -> None:
    till = Drawer()
    bench = lab(till)
    await asked_by(bench, 200, reacting)
    await bench.advance(timedelta(hours=49))
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "approval_expired" and not till.paid
    assert (await bench.verify()).ok


@pytest.mark.promise("journal-clock-jumps-ask")
@pytest.mark.parametrize("granted", [False, True])
async def test_what_expired_only_because_the_clock_was_set_is_asked_again(granted: bool) -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench, 200, reacting)
    if granted:
        bench.crash_at("T1", pay)
        with pytest.raises(Crash):
            await bench.approve(asked.pending[0], by=FAY)
    bench.clock.set_forward(49 * 3_600_000_000)
    again = await bench.resume("k")
    assert isinstance(again, Waiting) and again.pending[0].id != asked.pending[0].id and not till.paid
    assert isinstance(await bench.approve(again.pending[0], by=FAY), Completed) and len(till.paid) == 1
    assert [(r.facts["by"]) for r in bench.records() if r.kind == "clock_set"] == [49 * 3_600_000_000]
    assert (await bench.verify()).ok


async def test_an_approval_asked_for_after_the_clock_was_set_expires_in_its_time() -> None:
    bench = lab(Drawer())
    bench.clock.set_forward(49 * 3_600_000_000)
    await asked_by(bench, 200, reacting)
    await bench.advance(timedelta(hours=49))
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "approval_expired"


@pytest.mark.promise("gate-expiry-never-allows")
async def test_what_expired_cannot_be_approved() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    await bench.advance(timedelta(hours=49))
    ended = await bench.resume("k")
    assert isinstance(ended, Stopped) and ended.reason == "approval_expired"
    with pytest.raises(FlyballError):
        await bench.approve(asked.pending[0], by=FAY)
    assert not till.paid


@pytest.mark.promise("gate-policy-is-never-pinned")
async def test_a_policy_tightened_while_a_run_waits_denies_it() -> None:
    till = Drawer()
    bench = lab(till)
    await asked_by(bench)
    await bench.activate(POLICY.replace("> 100000", "> 150"))
    ended = await bench.resume("k")
    assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not till.paid
    assert (await bench.verify()).ok


@pytest.mark.promise("gate-approvals-need-a-fresh-allow")
async def test_a_policy_that_asks_for_more_asks_again() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    await bench.activate(TWO)
    again = await bench.resume("k")
    assert isinstance(again, Waiting) and again.pending[0].groups == ("finance:2",)
    with pytest.raises(FlyballError, match="not what you were shown"):
        await bench.approve(asked.pending[0], by=FAY)
    assert not till.paid


@pytest.mark.promise("gate-policy-is-never-pinned")
async def test_a_policy_loosened_while_a_run_waits_lets_it_go() -> None:
    till = Drawer()
    bench = lab(till)
    await asked_by(bench)
    await bench.activate(POLICY.replace("> 100 }", "> 500 }"))
    assert isinstance(await bench.resume("k"), Completed) and list(till.paid.values()) == [200]
    assert (await bench.verify()).ok


@pytest.mark.promise("gate-unrelated-change-voids-nothing")
async def test_an_unrelated_change_of_policy_keeps_what_was_asked() -> None:
    bench = lab()
    asked = await asked_by(bench)
    await bench.activate(POLICY + '@id("extra") forbid (principal, action, resource) when { context.egress };')
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)


@pytest.mark.promise("gate-approval-covers-all-attempts")
async def test_an_approval_covers_every_attempt_of_its_one_intent() -> None:
    till = Drawer()
    till.faults["pay"] = [RuntimeError("reset"), RuntimeError("reset")]
    bench = lab(till)
    asked = await asked_by(bench)
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)
    assert till.calls == ["pay"] * 3 and len(till.paid) == 1 and (await bench.verify()).ok


@pytest.mark.promise("gate-approval-used-once")
async def test_an_approval_is_used_once() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await asked_by(bench)
    await bench.approve(asked.pending[0], by=FAY)
    with pytest.raises(FlyballError):
        await bench.approve(asked.pending[0], by=NOOR)
    assert len(till.paid) == 1
