"""Trust: what nobody vouched for does not become trusted, and nobody in the chain approves."""

from __future__ import annotations

import pytest

from flyball import Call, Completed, Critical, FlyballError, Principal, Run, Waiting, flow, tool
from flyball.core.approval import people
from tests.runtime.till import FAY, NOOR, POLICY, Drawer, gossip, lab, look, pay

UNSAID = (
    POLICY
    + """
@id("memo-is-mine") @reason("origin")
forbid (principal, action == Action::"pay", resource) when { context.origin.memo == "unknown" };
"""
)


@flow
async def launder(run: Run, text: str) -> str:
    if text == "start":
        run.continue_as(await run.call(gossip))
    told = await run.attempt(pay, 5, text)
    return type(told).__name__


@pytest.mark.promise("gate-an-agent-is-no-request")
async def test_what_a_run_continues_with_is_not_the_principal_s_request() -> None:
    done = await lab(policies=UNSAID).run(launder, "start")
    assert isinstance(done, Completed) and done.value == "Blocked"


@flow
async def spending(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@pytest.mark.promise("gate-approver-is-nobody-in-the-chain")
async def test_whoever_a_service_acts_for_cannot_approve_it() -> None:
    bench = lab()
    bot = Principal("service:web", groups=frozenset({"till"}), on_behalf_of="user:fay")
    asked = await bench.run(spending, 200, by=bot)
    assert isinstance(asked, Waiting)
    with pytest.raises(FlyballError, match=r"not_eligible|waiting for"):
        await bench.approve(asked.pending[0], by=FAY)


@flow
async def looped(run: Run, n: int) -> str:
    ways = []
    for i in range(3):
        await run.call(look, i)
        if i == 1:
            await run.call(pay, 200)
        ways.append("old")
    return ",".join(ways)


@pytest.mark.promise("api-changed-guards")
async def test_a_loop_keeps_to_the_old_way_beyond_the_log() -> None:
    bench = lab()
    asked = await bench.run(looped, 1, key="k")
    assert isinstance(asked, Waiting)

    @flow(name="looped")
    async def newer(run: Run, n: int) -> str:
        ways = []
        for i in range(3):
            ways.append("new" if run.changed("v2") else "old")
            await run.call(look, i)
            if i == 1:
                await run.call(pay, 200)
            if i == 2:
                await run.call(pay, 300)
        return ",".join(ways)

    await bench.restart(newer)
    more = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(more, Waiting)
    done = await bench.approve(more.pending[0], by=FAY)
    assert isinstance(done, Completed) and done.value == "old,old,old"


@flow(ensures=[look])
async def promised(run: Run, n: int) -> str:
    await run.attempt(look, n)
    return await run.call(pay, 200)


@pytest.mark.promise("journal-invalid-result-happened")
async def test_a_quarantined_result_proves_nothing_after_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = lab(Drawer())

    async def wrong(call: object, n: int) -> str:
        return "no number"

    monkeypatch.setattr(look, "function", wrong)
    asked = await bench.run(promised, 1)
    assert isinstance(asked, Waiting)
    ended = await bench.approve(asked.pending[0], by=FAY)
    assert ended.reason == "claim_unproven"


ASKS = (
    POLICY
    + """
@id("mail-asks") @require_approval("finance") @reason("mail")
forbid (principal, action == Action::"mail", resource) unless { context.approvals.contains("finance") };
"""
)


@tool(effect="irreversible")
async def mail(call: Call, to: Critical[list[str]]) -> str:
    """Send a mail."""
    return ",".join(to)


@flow
async def mailing(run: Run, n: int) -> str:
    return await run.call(mail, ["eve@evil.example"])


@pytest.mark.promise("gate-only-edited-leaves-are-trusted")
@pytest.mark.parametrize(
    ("to", "origin"), [(["eve@evil.example", "boss@own.example"], "unknown"), (["boss@own.example"], "approver")]
)
async def test_only_what_an_editor_wrote_becomes_theirs(to: list[str], origin: str) -> None:
    bench = lab(policies=ASKS)
    asked = await bench.run(mailing, 1, key="k")
    assert isinstance(asked, Waiting)
    edited = await bench.edit(asked.pending[0], {"to": to}, by=FAY)
    assert isinstance(edited, Waiting)
    assert isinstance(await bench.approve(edited.pending[0], by=NOOR), Completed)
    intent = next(r for r in bench.records("k") if r.kind == "intent" and r.path == "1")
    assert (intent.private or {})["origins"] == {"to": origin}


@flow
async def inside(run: Run, n: int) -> int:
    await run.call(look, n)
    await run.call(pay, 200)
    return 1


@flow
async def around(run: Run, n: int) -> int:
    return await run.flow(inside, n)


@pytest.mark.promise("journal-divergence-stops")
async def test_steps_that_a_flow_inside_no_longer_takes_are_divergence_too() -> None:
    bench = lab()
    asked = await bench.run(around, 1, key="k")
    assert isinstance(asked, Waiting)

    @flow(name="inside")
    async def shorter(run: Run, n: int) -> int:
        return 2

    @flow(name="around")
    async def again(run: Run, n: int) -> int:
        return await run.flow(shorter, n)

    await bench.restart(shorter, again)
    ended = await bench.approve(asked.pending[0], by=FAY)
    assert not isinstance(ended, Completed)


def test_a_person_whose_name_is_a_digit_is_one_person() -> None:
    assert people("project/user:7") == ("project", "user:7", 1) and people("project/finance:2")[2] == 2
