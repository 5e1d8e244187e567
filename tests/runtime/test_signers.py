"""Who signs what: policy is asked for everybody, nobody takes the place that only they leave to another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flyball import Completed, Principal, Run, Waiting, flow
from flyball.app.may import May
from flyball.core.journal import PendingRow
from flyball.testing import Lab
from tests.runtime.till import FAY, READS, key_of, lab, pay

BOTH = Principal("user:bo", groups=frozenset({"finance", "sales"}))


def asks(*cures: str) -> str:
    forbids = "\n".join(
        f'@id("a{n}") @require_approval("{cure}") @reason("r") forbid (principal, action == Action::"pay", resource)'
        f' unless {{ context.approvals.contains("{cure}") }};'
        for n, cure in enumerate(cures)
    )
    return f'{READS}\n@id("acts") permit (principal, action in Action::"irreversible", resource);\n{forbids}\n'


NOT_SO = '@id("not") @reason("not") forbid (principal, action == Action::"approve", resource) when {{ {} }};'


@flow
async def spending(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@flow
async def sleepy(run: Run, n: int) -> None:
    await run.sleep(timedelta(hours=n))


async def enrolled(bench: Lab, *people: Principal) -> None:
    app = await bench._bench.ready(pay)
    await app.runs.ready("local")
    for who in people:
        await app.keys.enrol(key_of(who.id, *sorted(who.groups)))


@pytest.mark.promise("gate-policy-asks-of-signers")
async def test_policy_is_asked_of_whom_a_cure_names_too() -> None:
    named = PendingRow(id="r/1#1", run="r", path="1", kind="approval", state="open", groups=("project/user:fay",))
    free, by_name, by_group = (
        lab(),
        *(
            lab(policies=READS + NOT_SO.format(when))
            for when in ('principal == User::"fay"', 'resource.group == Group::"user:fay"')
        ),
    )
    for bench, refused in ((free, False), (by_name, True), (by_group, True)):
        app = await bench._bench.ready(pay)
        await app.runs.ready("local")
        assert bool(await May(app.rooms.enforce)(FAY, named)) == refused


@pytest.mark.promise("gate-every-action", "gate-policy-asks-of-signers")
async def test_each_group_of_a_person_is_asked_about_and_only_what_policy_lets_is_signed() -> None:
    bench = lab(policies=asks("finance", "sales") + NOT_SO.format('resource.group == Group::"finance"'))
    asked = await bench.run(spending, 5)
    assert isinstance(asked, Waiting)
    still = await bench.approve(asked.pending[0], by=BOTH)
    assert isinstance(still, Waiting)
    (signed,) = [r for r in bench.records(asked.run) if r.kind == "approved"]
    assert signed.facts["cure"] == "project/sales"


@pytest.mark.promise("gate-distinct-cures-distinct-people")
async def test_a_person_in_two_groups_leaves_the_place_that_another_can_fill() -> None:
    bench = lab(policies=asks("finance", "sales"))
    await enrolled(bench, FAY, BOTH)
    asked = await bench.run(spending, 5)
    assert isinstance(asked, Waiting)
    still = await bench.approve(asked.pending[0], by=BOTH)
    assert isinstance(still, Waiting)
    assert isinstance(await bench.approve(still.pending[0], by=FAY), Completed)


async def test_a_run_that_sleeps_says_until_when() -> None:
    bench = lab()
    waits = await bench.run(sleepy, 5)
    assert isinstance(waits, Waiting)
    (timer,) = waits.pending
    assert (timer.kind, timer.about, timer.run) == ("timer", "sleep", waits.run)
    assert timer.expires == datetime.fromtimestamp(bench.clock.now() / 1e6, UTC) + timedelta(hours=5)
