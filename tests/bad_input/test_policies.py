"""Policies that are none, and policies that move: the last good bundle decides, nothing runs on an old verdict."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flyball import (
    Blocked,
    Call,
    Completed,
    Executed,
    Flyball,
    FlyballError,
    Principal,
    Run,
    Stopped,
    Waiting,
    flow,
    tool,
)
from flyball.core.credential import enrolled
from flyball.core.journal import KeyRow, PendingRow
from flyball.core.policy import PolicyError, Source
from flyball.core.proposal import Proposal, Ruled
from tests.bad_input.bank import FAY, KIM, PERMIT, POLICY, Books, books, in_memory, memory, on_disk, pay, paying

ADA = Principal("user:ada", groups=frozenset({"admin"}))
FORBID = PERMIT + '@id("closed") forbid (principal, action == Action::"pay", resource);'
MEANWHILE: list[Callable[[], Awaitable[Any]]] = []


@tool(effect="irreversible")
async def watched(call: Call, cents: int) -> str:
    """Pay, while the world moves between the verdict and T1."""
    return await call.get(books).happen("watched", call)  # type: ignore[no-any-return]


@watched.requires
async def meanwhile(call: Call, cents: int) -> str | None:
    if MEANWHILE:
        await MEANWHILE.pop(0)()
    return None


@flow
async def watching(run: Run, cents: int) -> str:
    return await run.call(watched, cents)


@asynccontextmanager
async def bank(folder: Path, kept: Books, policies: str = POLICY) -> AsyncIterator[Flyball]:
    async with in_memory(memory(), folder, kept, policies, sys.modules[__name__]) as app:
        yield app


async def puts(app: Flyball, text: str) -> None:
    """Somebody puts other policies in force."""
    compiled = app.rooms.policies.check(Source(layer="project", name="bank", files={"bank.cedar": text}))
    await app.rooms.policies.activate("local", compiled, ADA)


BROKEN = {
    "a syntax error": ('@id("x") forbid (principal, action resource);', "bank.cedar"),
    "a misspelt annotation": (
        '@id("x") @require_aproval("finance") forbid (principal, action, resource);', "require_approval"
    ),
    "an action that nobody knows": ('@id("x") forbid (principal, action == Action::"pya", resource);', "pya"),
    "an argument that nobody knows": (
        '@id("x") forbid (principal, action == Action::"pay", resource) when { context.input.cent > 1 };', "cents"
    ),
    "an approval without its cure": (
        '@id("x") @require_approval("finance") forbid (principal, action == Action::"pay", resource);', "approvals"
    ),
    "the same id twice": ('@id("all") forbid (principal, action, resource);', "all"),
    "a 1 000-fold nested policy": (
        f'@id("x") forbid (principal, action, resource) when {{ {"(" * 1000}true{")" * 1000} }};', ""
    ),
    "1 000 times not": (f'@id("x") forbid (principal, action, resource) when {{ {"!" * 1000}true }};', ""),
    "no text at all": ("\0\ufffe", ""),
    "5 MB of policies": ('@id("x{n}") permit (principal, action, resource);\n' * 100_000, ""),
}  # fmt: skip


@pytest.mark.promise("gate-activation-is-checked")
@pytest.mark.promise("gate-unknown-annotations-refused", case="a misspelt annotation")
@pytest.mark.parametrize("broken", BROKEN)
async def test_policies_that_are_none_are_refused_and_the_last_good_bundle_stays_in_force(
    tmp_path: Path, broken: str
) -> None:
    text, said = BROKEN[broken]
    async with bank(tmp_path, Books()) as app:
        assert isinstance(await app.act(pay, {"cents": 5}, by=KIM, call_id="1"), Executed)
        before = app.policies.in_force()
        (tmp_path / "policies" / "bank.cedar").write_text(PERMIT + text)
        with pytest.raises(PolicyError) as refused:
            await app.policies.activate(by=ADA)
        assert said in str(refused.value) and len(str(refused.value)) < 5_000
        assert app.policies.in_force() == before
        assert isinstance(await app.act(pay, {"cents": 5}, by=KIM, call_id="2"), Executed)
        asked = await app.run(paying, {"cents": 500}, by=KIM)
        assert isinstance(asked, Waiting) and (await app.ledger.verify()).ok


@pytest.mark.promise("gate-activation-is-checked")
async def test_a_project_whose_policies_on_disk_broke_opens_on_its_last_good_bundle(tmp_path: Path) -> None:
    async with on_disk(tmp_path) as app:
        assert isinstance(await app.act(pay, {"cents": 5}, by=KIM, call_id="1"), Executed)
    async with on_disk(tmp_path, None, "permit (principal, action") as app:
        assert isinstance(await app.act(pay, {"cents": 5}, by=KIM, call_id="2"), Executed)


async def test_a_project_that_never_had_good_policies_runs_nothing(tmp_path: Path) -> None:
    kept = Books()
    async with on_disk(tmp_path, kept, "permit (principal, action") as app:
        with pytest.raises(PolicyError):
            await app.act(pay, {"cents": 5}, by=KIM, call_id="1")
        assert not kept.calls


@pytest.mark.promise("gate-any-error-denies")
async def test_a_policy_that_raises_while_it_is_evaluated_denies_and_never_lets_through(tmp_path: Path) -> None:
    kept = Books()
    text = POLICY + (
        '@id("overflows") forbid (principal, action == Action::"pay", resource)\n'
        "when { context.input.cents * 9223372036854775807 < 0 };"
    )
    async with bank(tmp_path, kept, text) as app:
        told = await app.act(pay, {"cents": 5}, by=KIM, call_id="1")
        assert isinstance(told, Blocked) and told.reason == "policy_denied" and "overflow" in str(told)
        asked = await app.act(pay, {"cents": 500}, by=KIM, call_id="2")
        assert isinstance(asked, Blocked) and not kept.calls  # nobody is asked to lift what is an error
        assert isinstance(await app.act(pay, {"cents": 0}, by=KIM, call_id="3"), Executed)


# policies that move -------------------------------------------------------------------------------------------
@pytest.mark.promise("gate-reruns-when-epochs-move")
async def test_policies_tightened_between_verdict_and_t1_are_asked_again_and_deny(tmp_path: Path) -> None:
    kept = Books()
    async with bank(tmp_path, kept, PERMIT) as app:
        await app.runs.ready("local")
        MEANWHILE.append(lambda: puts(app, FORBID.replace('"pay"', '"watched"')))
        ended = await app.run(watching, 5, by=KIM)
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not kept.calls
        records = app.runs.records(ended.run)
        assert not [r for r in records if r.kind == "intent" and r.facts["action"] == "watched"]
        (decision,) = [r for r in records if r.kind == "decision"]
        assert "project/closed" in decision.facts["policies"] and (await app.ledger.verify()).ok


@pytest.mark.promise("gate-reruns-when-epochs-move")
async def test_policies_that_only_moved_let_it_through_under_the_new_bundle(tmp_path: Path) -> None:
    kept = Books()
    async with bank(tmp_path, kept, PERMIT) as app:
        await app.runs.ready("local")
        before = app.policies.in_force()["project"]
        MEANWHILE.append(lambda: puts(app, PERMIT + '@id("more") permit (principal, action, resource);'))
        done = await app.run(watching, 5, by=KIM)
        (intent,) = [r for r in app.runs.records(done.run, kind="intent") if r.facts["action"] == "watched"]
        assert isinstance(done, Completed) and kept.calls == ["watched"] and intent.facts["bundles"] != [before]


@pytest.mark.promise("gate-reruns-when-epochs-move")
async def test_policies_that_never_stand_still_let_nothing_through(tmp_path: Path) -> None:
    kept = Books()
    async with bank(tmp_path, kept, PERMIT) as app:
        await app.runs.ready("local")
        enforce, rule, numbers = app.rooms.enforce, app.rooms.enforce.rule, count()

        async def moving(proposal: Proposal) -> Ruled:
            ruled = await rule(proposal)
            if proposal.action.name == "watched":
                await puts(app, PERMIT + f'@id("p{next(numbers)}") permit (principal, action, resource);')
            return ruled

        enforce.rule = moving  # type: ignore[method-assign]
        ended = await app.run(watching, 5, by=KIM)
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not kept.calls
        assert "faster than" in ended.detail and (await app.ledger.verify()).ok


@pytest.mark.promise("gate-authority-is-read-live", "gate-reruns-when-epochs-move")
async def test_a_key_revoked_between_verdict_and_t1_ends_the_run(tmp_path: Path) -> None:
    kept, lea = Books(), Principal("user:lea", assurance="key")
    async with bank(tmp_path, kept, PERMIT) as app:
        await app.runs.ready("local")
        public = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        row = KeyRow(id=enrolled(public), person="user:lea", groups=(), public=b64encode(public).decode(), created=1)
        await app.keys.enrol(row)
        MEANWHILE.append(lambda: app.keys.revoke(row.id))
        ended = await app.run(watching, 5, by=lea)
        assert isinstance(ended, Stopped) and ended.reason == "auth_failed" and not kept.calls
        assert (await app.ledger.verify()).ok


@pytest.mark.promise("gate-policy-is-never-pinned")
async def test_a_policy_tightened_while_a_run_waits_denies_it_even_when_it_is_approved(tmp_path: Path) -> None:
    kept = Books()
    async with bank(tmp_path, kept) as app:
        handle = await app.start(paying, {"cents": 500}, by=KIM)
        asked = await handle.result()
        assert isinstance(asked, Waiting)
        await puts(
            app, POLICY.replace("@id", '@id("none") forbid (principal, action == Action::"pay", resource);\n@id', 1)
        )
        ended = await handle.result()
        assert isinstance(ended, Stopped) and ended.reason == "policy_denied" and not kept.calls
        with pytest.raises(FlyballError):
            await app.approvals.approve(asked.pending[0], by=FAY)
        assert (await app.ledger.verify()).ok


@pytest.mark.promise("gate-activation-voids-approvals")
async def test_an_approval_granted_under_a_policy_that_changed_before_it_was_used_is_void(tmp_path: Path) -> None:
    kept = Books()
    async with bank(tmp_path, kept) as app:
        handle = await app.start(paying, {"cents": 500}, by=KIM)
        asked = await handle.result()
        assert isinstance(asked, Waiting)
        app.rooms.driver.hold()  # nobody drives it: what is granted waits to be used
        await app.approvals.approve(asked.pending[0], by=FAY)
        await puts(app, POLICY.replace("> 100", "> 200"))
        rows = app.rooms.ports.journal.view("local").rows(PendingRow)
        assert [row.state for row in rows] == ["void"] and not kept.calls
        again = await app.runs.resume(handle.id)
        assert isinstance(again, Waiting) and again.pending[0].over != asked.pending[0].over
