"""What a tool requires of the world is a governed read of its own: decided, recorded, charged, replayed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from flyball import (
    Blocked,
    Call,
    Completed,
    Critical,
    FlyballError,
    Limits,
    Principal,
    Run,
    Stopped,
    Tenant,
    Waiting,
    flow,
    resource,
    tool,
)
from flyball.core.policy import Source
from flyball.core.steps import bare
from flyball.runtime.flow.history import History
from flyball.runtime.replay import precondition_differences
from flyball.testing import Crash, Lab

KIM, FAY = Principal("user:kim"), Principal("user:fay", groups=frozenset({"finance", "owner"}))
READS = '@id("reads") permit (principal, action in Action::"read", resource);\n'
SHIPS = '@id("ships") permit (principal, action == Action::"ship", resource);\n'
ASKS = """@id("many-ask") @require_approval("finance") forbid (principal, action == Action::"ship", resource)
when { context.input.n > 9 } unless { context.approvals.contains("finance") };
"""
POLICY = READS + SHIPS + ASKS
READ_ASKS = """@id("look-first") @require_approval("owner")
forbid (principal, action == Action::"ship.requires", resource)
unless { context.approvals.contains("owner") };
"""


class Yard:
    """`says` is what the precondition says, one after the other: a reason, None or an error; then None."""

    def __init__(self, *says: Any) -> None:
        self.says, self.asked, self.shipped = list(says), list[tuple[int, str]](), list[int]()
        self.meanwhile: list[Callable[[], Awaitable[Any]]] = []

    def open(self, n: int, key: str) -> str | None:
        self.asked.append((n, key))
        told = self.says.pop(0) if self.says else None
        if isinstance(told, Exception):
            raise told
        return told


@resource()
async def yard(tenant: Tenant) -> AsyncIterator[Yard]:
    yield Yard()


@tool(effect="irreversible", idempotency="key")
async def ship(call: Call, n: Critical[int]) -> str:
    """Ship it, if the yard is open."""
    call.get(yard).shipped.append(n)
    return f"shipped {n}"


@ship.requires
async def is_open(call: Call, n: int) -> str | None:
    there = call.get(yard)
    if there.meanwhile:
        await there.meanwhile.pop()()
    return there.open(n, call.key)


@flow
async def shipping(run: Run, n: int) -> str:
    return await run.call(ship, n)


def lab(there: Yard, policies: str = POLICY, **settings: Any) -> Lab:
    return Lab(policies=policies, by=KIM, resources=[yard.use(there)], **settings)


def told(bench: Lab) -> list[str]:
    """`path kind` of what decides, in order, with what an outcome or a refusal came to."""
    kinds = ("intent", "decision", "outcome", "asked")
    said = [(r, r.facts.get("status") or (r.facts["reason"] if r.kind == "decision" else "")) for r in bench.records()]
    return [f"{bare(r.path)} {r.kind} {what}".strip() for r, what in said if r.kind in kinds and bare(r.path) != "0"]


async def sound(bench: Lab) -> bool:
    """The ledger verifies, and the run is what its log says: every verdict, and the code over the log."""
    app = await bench._bench.ready()
    replayed = await app.releases.replay(bench.records("k")[0].run)
    return (await bench.verify()).ok and replayed.ok and replayed.folded


def of(bench: Lab, kind: str, path: str) -> Any:
    return next(r for r in bench.records("k") if r.kind == kind and bare(r.path) == path)


# a read of its own ----------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-precondition-is-a-read")
async def test_a_precondition_is_a_read_with_a_step_a_verdict_and_an_outcome_of_its_own() -> None:
    there = Yard()
    async with lab(there) as bench:
        assert isinstance(await bench.run(shipping, 3, key="k"), Completed)
        assert told(bench) == ["1.1 intent", "1.1 outcome executed", "1 intent", "1 outcome executed"]
        read, effect = of(bench, "intent", "1.1"), of(bench, "intent", "1")
        assert (read.facts["action"], read.facts["effect"]) == ("ship.requires", "read")
        assert read.facts["policies"] == ["project/reads"] and (read.private or {})["args"] == {"n": 3}
        assert (read.private or {})["request"]["origins"] == {"n": "request"}
        assert effect.facts["precondition"] == of(bench, "outcome", "1.1").id and await sound(bench)


@pytest.mark.promise("gate-precondition-is-a-read")
async def test_it_is_a_call_of_the_budget_and_no_step_or_effect() -> None:
    async with lab(Yard()) as bench:
        assert isinstance(await bench.run(shipping, 3, key="k"), Completed)
        assert of(bench, "outcome", "1.1").facts["usage"] == {"calls": 1}
        poor = await bench.run(shipping, 3, key="poor", limits=Limits(calls=1))
        assert isinstance(poor, Stopped) and poor.reason == "budget_exhausted"
        none = await bench.run(shipping, 3, key="none", limits=Limits(calls=0))
        assert isinstance(none, Stopped) and none.reason == "budget_exhausted"


@pytest.mark.promise("gate-precondition-is-a-read")
async def test_where_policy_denies_the_read_the_call_is_denied_with_that() -> None:
    there = Yard()
    async with lab(there, SHIPS) as bench:
        ended = await bench.run(shipping, 3, key="k")
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and "ship.requires" in ended.detail
        assert told(bench) == ["1.1 decision policy_denied", "1 decision policy_denied"] and not there.asked
        assert of(bench, "decision", "1").facts["precondition"] == of(bench, "decision", "1.1").id
        assert History(bench.records("k")).denials() == {"1": "ship"}  # what policies see as denied, after a crash too
        assert await sound(bench)


async def test_what_policy_takes_from_the_call_the_read_does_not_see_either() -> None:
    drop = '@id("few") @modify("clamp:/n:5") forbid (principal, action == Action::"ship", resource)\n'
    there = Yard()
    async with lab(there, POLICY + drop + "when { context.input.n > 5 };") as bench:
        assert isinstance(await bench.run(shipping, 8, key="k"), Completed)
        assert [n for n, _ in there.asked] == there.shipped == [5] and await sound(bench)


async def test_arguments_that_a_new_policy_changes_meanwhile_are_asked_about_again() -> None:
    few = '@id("few") @modify("clamp:/n:5") forbid (principal, action == Action::"ship", resource)\n'
    source = Source(layer="project", name="lab", files={"lab.cedar": POLICY + few + "when { context.input.n > 5 };"})
    there = Yard()
    async with lab(there) as bench:

        async def activated() -> None:
            policies = (await bench._bench.ready()).rooms.policies
            await policies.activate("local", policies.check(source), FAY)

        there.meanwhile.append(activated)
        assert isinstance(await bench.run(shipping, 8, key="k"), Completed)
        assert [n for n, _ in there.asked] == [8, 5] and there.shipped == [5] and await sound(bench)


async def test_a_tool_that_policy_denies_is_not_asked_what_it_requires() -> None:
    there = Yard()
    async with lab(there, READS) as bench:
        assert isinstance(await bench.run(shipping, 3, key="k"), Stopped)
        assert not there.asked and told(bench) == ["1 decision policy_denied"]


async def test_it_has_a_key_of_its_own() -> None:
    there = Yard()
    async with lab(there) as bench:
        await bench.run(shipping, 3, key="k")
        key = there.asked[0][1]
        assert key == of(bench, "intent", "1.1").facts["key"] != of(bench, "intent", "1").facts["key"]


# not met --------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-precondition-is-a-read", "api-requires")
@pytest.mark.parametrize("says", ["closed", OSError("no answer"), 7])
async def test_a_reason_a_failure_and_what_is_neither_stop_the_call_before_its_intent(says: Any) -> None:
    there = Yard(says)
    async with lab(there) as bench:
        blocked = await bench.act(ship, {"n": 3}, call_id="1")
        assert isinstance(blocked, Blocked) and blocked.reason == "precondition" and not there.shipped
        decisions = [r for r in bench.records() if r.kind == "decision"]
        assert [r.path for r in decisions] == ["1"] and (await bench.verify()).ok


async def test_a_reason_is_text_from_the_world_and_taints_the_run() -> None:
    @flow
    async def going_on(run: Run, n: int) -> str:
        refused = await run.attempt(ship, n)
        return f"{refused}" + await run.call(ship, n)

    careful = POLICY + '@id("clean") forbid (principal, action == Action::"ship", resource) when {context.run.tainted};'
    async with lab(Yard("they say it is closed"), careful) as bench:
        ended = await bench.run(going_on, 3, key="k")
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied"


# before somebody is asked, and again at execution ---------------------------------------------------------------------
@pytest.mark.promise("gate-precondition-is-a-read")
async def test_nobody_is_asked_to_approve_what_cannot_run() -> None:
    async with lab(Yard("closed")) as bench:
        ended = await bench.run(shipping, 20, key="k")
        assert isinstance(ended, Stopped) and ended.detail == "ship: closed"
        assert told(bench) == ["1.1 intent", "1.1 outcome executed", "1 decision precondition"] and await sound(bench)


@pytest.mark.promise("gate-precondition-is-a-read", "api-requires")
@pytest.mark.parametrize("then", [None, "closed meanwhile"])
async def test_what_was_approved_is_asked_again_immediately_before_its_intent(then: str | None) -> None:
    there = Yard(None, then)
    async with lab(there) as bench:
        waits = await bench.run(shipping, 20, key="k")
        assert isinstance(waits, Waiting) and len(there.asked) == 1
        ended = await bench.approve(waits.pending[0], by=FAY)
        assert isinstance(ended, Completed if then is None else Stopped) and len(there.asked) == 2
        last = ["1 intent", "1 outcome executed"] if then is None else ["1 decision precondition"]
        assert told(bench)[3:] == ["1.2 intent", "1.2 outcome executed", *last] and await sound(bench)


async def test_an_edited_proposal_is_asked_about_as_edited() -> None:
    there = Yard()
    async with lab(there) as bench:
        waits = await bench.run(shipping, 20, key="k")
        assert isinstance(waits, Waiting)
        assert isinstance(await bench.edit(waits.pending[0], {"n": 4}, by=FAY), Completed)
        assert [n for n, _ in there.asked] == [20, 4] and there.shipped == [4] and await sound(bench)


async def test_a_person_who_signs_one_of_two_approvals_does_not_cause_another_read() -> None:
    there = Yard()
    async with lab(there, POLICY.replace('"finance")', '"finance:2")')) as bench:
        waits = await bench.run(shipping, 20, key="k")
        assert isinstance(waits, Waiting)
        assert isinstance(await bench.approve(waits.pending[0], by=FAY), Waiting) and len(there.asked) == 1


# where policy asks about the read itself ------------------------------------------------------------------------------
@pytest.mark.promise("gate-precondition-is-a-read")
async def test_a_read_that_needs_an_approval_waits_for_it_and_goes_on() -> None:
    there = Yard()
    async with lab(there, POLICY + READ_ASKS) as bench:
        waits = await bench.run(shipping, 3, key="k")
        assert isinstance(waits, Waiting) and waits.pending[0].about == "ship.requires"
        assert await sound(bench) and (await bench.replay(bench.history("k"))).ok and not there.asked
        assert isinstance(await bench.approve(waits.pending[0], by=FAY), Completed)
        assert told(bench)[0] == "1.1 asked" and len(there.asked) == 1 and await sound(bench)


async def test_whoever_edits_the_read_does_not_change_what_it_is_asked_about() -> None:
    there = Yard()
    async with lab(there, POLICY + READ_ASKS) as bench:
        waits = await bench.run(shipping, 3, key="k")
        assert isinstance(waits, Waiting)
        again = await bench.edit(waits.pending[0], {"n": 1}, by=FAY)
        assert isinstance(again, Waiting) and again.pending[0].arguments == {"n": 3}


async def test_a_read_that_nobody_lets_refuses_the_call() -> None:
    async with lab(Yard(), POLICY + READ_ASKS) as bench:
        waits = await bench.run(shipping, 3, key="k")
        assert isinstance(waits, Waiting)
        ended = await bench.deny(waits.pending[0], by=FAY)
        assert isinstance(ended, Stopped) and told(bench)[-1] == "1 decision approval_rejected" and await sound(bench)


# crashes --------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-precondition-is-a-read")
@pytest.mark.parametrize(("where", "asked"), [("T1", 1), ("effect", 1), ("T2", 2), ("done", 2)])
async def test_a_read_that_a_crash_cut_short_is_closed_and_made_again(where: str, asked: int) -> None:
    there = Yard()
    async with lab(there) as bench:
        bench.crash_at(where, "ship.requires")
        with pytest.raises(Crash):
            await bench.run(shipping, 3, key="k")
        assert isinstance(await bench.resume("k"), Completed)
        assert len(there.asked) == asked and there.shipped == [3] and await sound(bench)
        statuses = [r.facts["status"] for r in bench.records("k") if r.kind == "outcome" and r.path == "1.1"]
        assert statuses == (["interrupted", "executed"] if where in ("effect", "T2") else ["executed"])


async def test_after_a_crash_at_the_effect_the_log_of_both_is_found() -> None:
    there = Yard(None, "closed meanwhile")
    async with lab(there) as bench:
        bench.crash_at("T1", ship)
        with pytest.raises(Crash):
            await bench.run(shipping, 3, key="k")
        ended = await bench.resume("k")  # what was so before the process died lifts nothing
        assert isinstance(ended, Stopped) and not there.shipped and await sound(bench)
        assert told(bench)[-2:] == ["1.2 outcome executed", "1 decision precondition"]


@pytest.mark.promise("gate-precondition-is-a-read")
async def test_a_replay_finds_an_effect_that_its_read_does_not_bear_out() -> None:
    async with lab(Yard()) as bench:
        await bench.run(shipping, 3, key="k")
        records = bench.records("k")
        assert not list(precondition_differences(records))
        effect, read = of(bench, "intent", "1").id, of(bench, "outcome", "1.1")
        others = [r for r in records if r.id != read.id]
        for forged in ({"private": {"result": "closed"}}, {"index": 999}, {"path": "2.1"}):
            (found,) = precondition_differences([*others, replace(read, **forged)])
            assert found.at == effect and found.log == "met"
        assert next(precondition_differences(others)).now == "no such record before it"


async def test_code_that_proposes_something_else_while_a_read_waits_is_a_difference() -> None:
    @tool(effect="irreversible", name="ship")
    async def other(call: Call, n: Critical[int]) -> str:
        """Without a precondition."""
        return ""

    @flow(name="shipping")
    async def since(run: Run, n: int) -> str:
        return await run.call(other, n)

    async with lab(Yard(), POLICY + READ_ASKS) as bench:
        assert isinstance(await bench.run(shipping, 3, key="k"), Waiting)
        history = bench.history("k")
    async with Lab(policies=POLICY, by=KIM) as now:
        replayed = await now.replay(history, since)
        assert not replayed.ok and "the log holds call ship.requires" in replayed.difference


# names ----------------------------------------------------------------------------------------------------------------
def test_no_tool_takes_the_name_of_a_precondition() -> None:
    with pytest.raises(FlyballError, match="a tool cannot be called"):
        tool(effect="read", name="ship.requires")(is_open)
