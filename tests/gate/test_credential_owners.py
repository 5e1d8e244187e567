"""Nobody approves a call who owns a credential that its tool uses."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from flyball import Blocked, Call, Completed, Critical, FlyballError, Pending, Principal, Waiting, tool
from flyball.core.config import Config, Credential, Handle
from flyball.runtime.replay import approval_differences
from flyball.testing import Lab
from tests.runtime.till import key_of

KIM, FAY = Principal("user:kim"), Principal("user:fay", groups=frozenset({"finance"}))
NOOR = Principal("user:noor", groups=frozenset({"finance"}))
POLICY = """@id("all") permit (principal, action, resource);
@id("asks") @require_approval("finance") forbid (principal, action in [Action::"mail", Action::"plain"], resource)
unless { context.approvals.contains("finance") };
"""


@tool(effect="irreversible", credentials=["smtp"])
async def mail(call: Call, to: Critical[str]) -> str:
    """Mail somebody, under somebody's password."""
    return f"mailed {to}"


@tool(effect="irreversible")
async def plain(call: Call, to: Critical[str]) -> str:
    """Without any."""
    return f"told {to}"


def lab(owner: str = "user:fay", policies: str = POLICY, **config: Any) -> Lab:
    known = {"smtp": Credential(owner=owner)} if owner else {}
    bare = msgspec.structs.replace(Config.bare("lab", "/srv", home="/srv"), secrets={"smtp": Handle("env", "SMTP")})
    return Lab(policies=policies, by=KIM, config=msgspec.structs.replace(bare, credentials=known, **config))


async def enrolled(bench: Lab, *people: Principal) -> None:
    app = await bench._bench.ready(mail)
    await app.runs.ready("local")
    for person in people:
        await app.keys.enrol(key_of(person.id, *person.groups))


async def asked(bench: Lab, what: Any = mail) -> Any:
    waits = await bench.act(what, {"to": "ada"}, call_id="1")
    app = await bench._bench.ready()
    (pending,) = app.approvals.list()
    assert pending.run == waits.run
    return pending


@pytest.mark.promise("gate-credential-owners")
async def test_whoever_owns_a_credential_that_the_tool_uses_decides_nothing_and_is_told_why() -> None:
    async with lab() as bench:
        pending = await asked(bench)
        assert pending.owners == ("user:fay",)
        for decide in (bench.approve, bench.deny):
            with pytest.raises(FlyballError, match="owns a credential that this uses"):
                await decide(pending, by=FAY)
        with pytest.raises(FlyballError, match="owns a credential that this uses"):
            await bench.edit(pending, {"to": "bob"}, by=FAY)
        assert isinstance(await bench.approve(pending, by=NOOR), Completed) and (await bench.verify()).ok


@pytest.mark.promise("gate-credential-owners")
async def test_a_tool_that_does_not_use_it_is_theirs_to_approve() -> None:
    async with lab() as bench:
        assert isinstance(await bench.approve(await asked(bench, plain), by=FAY), Completed)


@pytest.mark.promise("gate-credential-owners")
async def test_where_only_its_owner_could_approve_nobody_is_eligible_and_that_is_a_deny() -> None:
    async with lab(people={}) as bench:
        await enrolled(bench, FAY)
        told = await bench.act(mail, {"to": "ada"}, call_id="1")
        assert isinstance(told, Blocked) and "nobody can approve" in told.what
        await enrolled(bench, NOOR)
        assert isinstance(await bench.act(mail, {"to": "ada"}, call_id="2"), Pending)


@pytest.mark.promise("gate-credential-owners")
async def test_who_can_is_told_without_the_owner() -> None:
    async with lab() as bench:
        await enrolled(bench, FAY, NOOR)
        with pytest.raises(FlyballError) as refused:
            await bench.approve(await asked(bench), by=FAY)
        assert refused.value.fix == "1 can: noor"


@pytest.mark.promise("gate-credential-owners")
async def test_the_log_names_the_owner_by_pseudonym_and_a_replay_finds_their_approval() -> None:
    async with lab() as bench:
        pending = await asked(bench)
        await bench.approve(pending, by=NOOR)
        records = bench.records()
        (question,) = (r for r in records if r.kind == "asked")
        (given,) = (r for r in records if r.kind == "approved")
        app = await bench._bench.ready()
        assert question.facts["owners"] == [app.rooms.record.person("local", "user:fay")]
        assert not list(approval_differences(records)) and (await app.releases.replay(pending.run)).ok
        forged = msgspec.structs.replace(given, facts={**given.facts, "by": question.facts["owners"][0]})
        (found,) = approval_differences([question, forged])
        assert found.at == given.id


@pytest.mark.promise("gate-credential-owners")
async def test_an_approval_of_somebody_who_owns_it_by_now_lifts_nothing() -> None:
    async with lab(owner="user:noor") as bench:
        pending = await asked(bench)
        bench._bench.config = msgspec.structs.replace(
            bench._bench.config, credentials={"smtp": Credential(owner="user:fay")}
        )
        await bench.restart()
        waits = await bench.approve(pending, by=FAY)  # as it was shown
        assert isinstance(waits, Waiting) and waits.pending[0].owners == ("user:fay",)
        assert isinstance(await bench.approve(waits.pending[0], by=NOOR), Completed)
