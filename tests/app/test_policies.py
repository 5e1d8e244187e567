"""Policies of an open project: activating is governed and recorded, reaches what waits, voids what rests on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.core.errors import FlyballError
from flyball.core.identity import Principal
from flyball.core.journal import PendingRow
from flyball.core.policy import PolicyError
from flyball.core.result import Blocked, Completed, Stopped, Waiting
from tests.app.shop import ANN, CASES, FAY, KIM, POLICY, Shop, facts, kinds, started

TIGHTER = POLICY + '@id("none") forbid (principal, action == Action::"pay", resource);\n'
UNRELATED = POLICY + '@id("notes") permit (principal in Group::"clerks", action == Action::"note", resource);\n'
LOOSER = POLICY.replace("> 20", "> 2000")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


@pytest.mark.promise("gate-opening-activates-once")
async def test_the_bundle_on_disk_is_activated_once_as_a_leaf(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
    async with shop.open() as app:
        (fact,) = facts(app, "policy_activated")
        assert fact["digest"] == app.policies.in_force()["project"] and fact["by"] == ""


@pytest.mark.promise("gate-files-are-not-watched")
async def test_a_bundle_that_changed_since_needs_activate_and_every_surface_says_so(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
        before = app.policies.in_force()
    shop.write(policy=TIGHTER)
    async with shop.open() as app:
        (notice,) = app.policies.notices()
        assert app.policies.in_force() == before and "flyball policy activate" in notice
        assert isinstance(await started(app, 4), Completed)


async def test_changed_tools_are_a_changed_bundle_and_a_comment_is_none(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
    shop.write(policy=POLICY + "// only a comment\n")
    async with shop.open() as app:
        assert app.policies.notices() == []
    shop.edit("cents: Critical[int])", "cents: Critical[int], why: str = '')")
    async with shop.open() as app:
        assert any("tools changed" in n or "policies on disk changed" in n for n in app.policies.notices())


@pytest.mark.promise("gate-activation-is-checked")
async def test_refused_policies_on_disk_are_a_notice_and_the_last_good_bundle_stays(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
    shop.write(policy=POLICY.replace("cents", "sents"))
    async with shop.open() as app:
        (notice,) = app.policies.notices()
        assert "p.cedar:5" in notice and "stays in force" in notice
        with pytest.raises(PolicyError):
            await app.policies.activate(by=ANN)


async def test_a_policy_tightened_while_a_run_waits_denies_it(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        assert isinstance(asked, Waiting)
        shop.write(policy=TIGHTER)
        await app.policies.activate(by=ANN)
        result = await app.runs.result(asked.run)
        assert isinstance(result, Stopped) and result.reason == "policy_denied" and not shop.paid


@pytest.mark.promise("gate-activation-voids-approvals", "gate-unrelated-change-voids-nothing")
async def test_a_granted_approval_is_void_once_its_policy_changed(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        app.rooms.driver.hold()  # nobody drives: the approval is granted and not used yet
        await app.approvals.approve(asked.pending[0], by=FAY)
        shop.write(policy=LOOSER.replace("> 2000", "> 21"))
        await app.policies.activate(by=ANN)
        (row,) = app.rooms.ports.journal.view("local").rows(PendingRow)
        assert row.state == "void" and facts(app, "voided", asked.run)[0]["why"] == "policy"
        app.rooms.driver.name("local", asked.run)
        again = await app.runs.resume(asked.run)
        assert isinstance(again, Waiting) and again.pending[0].id != asked.pending[0].id
        assert (await app.ledger.verify()).ok


@pytest.mark.promise("gate-unrelated-change-voids-nothing")
async def test_an_unrelated_edit_voids_nothing(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        app.rooms.driver.hold()
        await app.approvals.approve(asked.pending[0], by=FAY)
        shop.write(policy=UNRELATED)
        await app.policies.activate(by=ANN)
        app.rooms.driver.name("local", asked.run)
        assert isinstance(await app.runs.resume(asked.run), Completed) and shop.paid == [60]
        assert "voided" not in kinds(app, asked.run)


@pytest.mark.promise("gate-activation-voids-approvals")
async def test_an_open_ask_survives_an_unrelated_edit_and_is_asked_anew_after_a_related_one(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        shop.write(policy=UNRELATED)
        await app.policies.activate(by=ANN)
        same = await app.runs.result(asked.run)
        shop.write(policy=UNRELATED.replace("> 20", "> 21"))
        await app.policies.activate(by=ANN)
        other = await app.runs.result(asked.run)
        assert same.pending[0].over == asked.pending[0].over != other.pending[0].over


@pytest.mark.promise("gate-loosening-is-said")
async def test_a_loosened_policy_lets_what_waits_go(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        shop.write(policy=LOOSER)
        (done,) = await app.policies.activate(by=ANN)
        assert done.changes.changed == ("big",) and len(done.changes.looser) == 1 and not done.changes.tighter
        assert isinstance(await app.runs.result(asked.run), Completed) and shop.paid == [60]


@pytest.mark.promise("gate-loosening-is-said")
async def test_what_tightens_is_said_before(shop: Shop) -> None:
    async with shop.open() as app:
        await started(app, 4)
        shop.write(policy=TIGHTER)
        (changes,) = app.policies.compare()
        assert changes.added == ("none",) and changes.decided > 1
        assert [c.partition(": ")[2] for c in changes.tighter] == ["allow -> deny"]


@pytest.mark.promise("gate-activation-needs-an-admin")
@pytest.mark.parametrize(
    ("by", "code"),
    [(KIM, "policy_denied"), (Principal("user:root", issuer="os", assurance="os"), "not_eligible"),
     (Principal("user:ann", groups=frozenset({"admin"}), assurance="key"), "auth_failed")],
)  # fmt: skip
async def test_only_an_admin_activates(shop: Shop, by: Principal, code: str) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
        shop.write(policy=TIGHTER)
        with pytest.raises(FlyballError) as refused:
            await app.policies.activate(by=by)
        assert refused.value.code == code and len(facts(app, "policy_activated")) == 1


@pytest.mark.promise("gate-activation-needs-an-admin")
async def test_a_refused_activation_is_a_record_and_the_ledger_verifies(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
        shop.write(policy=TIGHTER)
        with pytest.raises(Blocked):
            await app.policies.activate(by=KIM)
        (fact,) = facts(app, "decision")
        assert (fact["action"], fact["outcome"]) == ("activate", "deny") and (await app.ledger.verify()).ok


@pytest.mark.promise("gate-activation-needs-an-admin")
async def test_an_activation_names_who_and_why_and_moves_the_epoch(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
        before = app.rooms.enforce.epochs("local")["policy"]
        shop.write(policy=TIGHTER)
        (done,) = await app.policies.activate(by=ANN)
        fact = facts(app, "policy_activated")[-1]
        assert fact["by"] == app.rooms.record.person("local", ANN.id) and fact["previous"] == done.changes.previous
        assert fact["policies"] == ["project/flyball.activate"]
        assert app.rooms.enforce.epochs("local")["policy"] == before + 1


@pytest.mark.promise("gate-every-action", "gate-built-in-permits")
async def test_a_forbid_can_keep_even_admins_from_activating(shop: Shop) -> None:
    shop.write(policy=POLICY + '@id("frozen") forbid (principal, action == Action::"activate", resource);\n')
    async with shop.open() as app:
        await app.runs.ready("local")
        shop.write(policy=POLICY)
        with pytest.raises(Blocked) as refused:
            await app.policies.activate(by=ANN)
        assert refused.value.policies == ("project/frozen",)


@pytest.mark.promise("gate-activation-is-checked")
async def test_a_bundle_with_a_failing_case_is_not_activated(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
        shop.write(policy=TIGHTER, cases=CASES)
        with pytest.raises(FlyballError, match="a small one goes: expected allow, got deny"):
            await app.policies.activate(by=ANN)
        assert len(facts(app, "policy_activated")) == 1


@pytest.mark.promise("gate-opening-activates-once")
async def test_a_project_whose_cases_fail_does_not_open_for_anybody(shop: Shop) -> None:
    shop.write(policy=TIGHTER, cases=CASES)
    async with shop.open() as app:
        with pytest.raises(FlyballError) as refused:
            await app.runs.ready("local")
        assert refused.value.code == "policy_cases_failed"


async def test_a_digest_names_the_bundle_and_another_is_refused(shop: Shop) -> None:
    async with shop.open() as app:
        await app.runs.ready("local")
        shop.write(policy=TIGHTER)
        with pytest.raises(FlyballError, match="no bundle on disk is ffff"):
            await app.policies.activate("ffff", by=ANN)
        (change,) = app.policies.compare()
        assert [d.digest for d in await app.policies.activate(change.digest[:8], by=ANN)] == [change.digest]
        assert await app.policies.activate(by=ANN) == []


@pytest.mark.promise("gate-reruns-when-epochs-move")
async def test_a_verdict_reached_before_an_activation_is_not_used_after_it(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        app.rooms.driver.hold()
        await app.approvals.approve(asked.pending[0], by=FAY)
        enforce = app.rooms.enforce
        stale = enforce.epochs("local")
        shop.write(policy=TIGHTER)
        await app.policies.activate(by=ANN)
        enforce._epochs["local"] = dict(stale)  # another process activated: this one still has the old epochs
        app.rooms.driver.name("local", asked.run)
        assert isinstance(await app.runs.resume(asked.run), Stopped) and not shop.paid


async def test_a_record_and_a_run_are_explained_from_the_log(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        await app.approvals.approve(asked.pending[0], by=FAY)
        await app.runs.result(asked.run)
        told = app.policies.explain(asked.run)
        question, paid = (t for t in told if t.action == "pay")
        assert question.outcome == "require_approval" and question.groups == ("finance",)
        assert paid.outcome == "allow" and paid.approvals == ("finance",) and paid.cures == ("finance",)
        text = {p.id: p.text for p in question.policies}["project/big"]
        assert (
            "context.input.cents > 20" in text and app.policies.explain(f"{asked.run}/2")[0].record == question.record
        )
        with pytest.raises(FlyballError, match="there is no decision"):
            app.policies.explain(f"{asked.run}/9")
