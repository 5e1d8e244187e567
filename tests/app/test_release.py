"""Release: what its digest is made of, and what becomes of runs that wait when it changes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from flyball.app import release
from flyball.app.moving import kept_notices
from flyball.app.release import commit_of, compute, release_of
from flyball.core.commitment import pseudonym
from flyball.core.config import Release as Rule
from flyball.core.errors import FlyballError
from flyball.core.model import ModelConfig
from flyball.core.result import Completed, Stopped, Waiting
from tests.app.shop import CODE, FAY, KIM, POLICY, Shop, facts, kinds, started

AGENT = (
    CODE
    + """
from flyball.core.agent import agent
clerk = agent("clerk", instructions="Be kind.", tools=[look])
"""
)
WORDS = ("    return await run.call(pay", "    # said otherwise\n    return await run.call(pay")
OTHER = ("run.call(pay, cents=doubled)", 'run.call(note, text="x")')


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "shop")


async def waiting(shop: Shop) -> Waiting:
    async with shop.open() as app:
        asked = await started(app, 30)
        assert isinstance(asked, Waiting)
        return asked


# what it is made of ---------------------------------------------------------------------------------------------------
EDITS = {
    "code/shop_flows": WORDS,
    "tool/pay": ("cents: Critical[int]", "cents: int"),
    "agent/clerk": ("tools=[look]", "tools=[look, pay]"),
    "prompt/clerk": ("Be kind.", "Be strict."),
    "flow/handle": ("-> str:\n    doubled", "-> str | int:\n    doubled"),
}


@pytest.mark.promise("api-release-parts")
@pytest.mark.parametrize("part", EDITS)
def test_each_part_of_the_project_is_in_the_digest(tmp_path: Path, part: str) -> None:
    shop = Shop(tmp_path / "shop", code=AGENT)
    before = compute(shop.project, {})
    shop.edit(*EDITS[part])
    after = compute(shop.project, {})
    assert before.names[part] != after.names[part] and before.digest != after.digest


@pytest.mark.promise("api-release-parts")
@pytest.mark.parametrize(
    ("change", "counts"),
    [({"model": "other"}, True), ({"max_tokens": 9}, True), ({"base_url": "http://elsewhere"}, False),
     ({"key": "env:OTHER"}, False), ({"price": "other"}, False)],
)  # fmt: skip
def test_a_model_counts_and_where_it_is_reached_does_not(shop: Shop, change: dict[str, object], counts: bool) -> None:
    project = shop.project
    one, two = ModelConfig(name="m", model="x"), ModelConfig(name="m", **{"model": "x", **change})  # type: ignore[arg-type]
    assert (compute(project, {"m": one}).digest != compute(project, {"m": two}).digest) is counts


def test_the_script_that_a_model_plays_counts(shop: Shop) -> None:
    script = shop.folder / "demo.toml"
    model = {"m": ModelConfig(name="m", adapter="scripted", script=str(script))}
    digests = set()
    for text in ("a", "b"):
        script.write_text(text)
        digests.add(compute(shop.project, model).digest)
    assert len(digests) == 2


def test_a_module_that_the_named_ones_import_is_in_it_and_a_foreign_one_is_not(shop: Shop) -> None:
    (shop.folder / "prices").mkdir()
    for name, text in (
        ("prices/__init__.py", "from .table import X\n"),
        ("prices/table.py", "X = 1\n"),
        ("alone.py", ""),
    ):
        (shop.folder / name).write_text(text)
    shop.edit("PAID = []", "import json\nPAID = []\nif PAID:\n    from prices import X")
    names = compute(shop.project, {}).names
    assert {"code/shop_flows", "code/prices", "code/prices.table"} == {n for n in names if n.startswith("code/")}


def test_a_broken_import_is_in_it_by_its_bytes(shop: Shop) -> None:
    (shop.folder / "broken.py").write_text("def (")
    shop.edit("PAID = []", "PAID = []\nif PAID:\n    import broken")
    assert "code/broken" in compute(shop.project, {}).names


@pytest.mark.promise("api-release-parts")
async def test_policies_are_not_in_it(shop: Shop) -> None:
    before = compute(shop.project, {}).digest
    shop.write(policy=POLICY + "// more\n")
    assert compute(shop.project, {}).digest == before


def test_it_is_the_same_each_time_and_quick(shop: Shop) -> None:
    project = shop.project
    first = compute(project, {}).digest
    began = time.perf_counter()
    assert compute(project, {}).digest == first
    assert time.perf_counter() - began < 0.25  # 10 ms on the machine it was written on


async def test_it_is_computed_once_for_a_project(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop.open() as app:
        first = release_of(app.rooms)
        monkeypatch.setattr(release, "compute", None)
        assert release_of(app.rooms) is first


@pytest.mark.promise("api-release-commit")
def test_the_commit_and_a_dirty_tree_are_facts(tmp_path: Path) -> None:
    def git(*args: str) -> None:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *who, *args], cwd=tmp_path, check=True, capture_output=True)

    assert commit_of(str(tmp_path / "nowhere")) == {}
    git("init")
    assert commit_of(str(tmp_path)) == {}
    (tmp_path / "a.py").write_text("1")
    git("add", "."), git("commit", "-m", "one")
    clean = commit_of(str(tmp_path))
    (tmp_path / "a.py").write_text("2")
    assert len(clean["commit"]) == 40 and not clean["dirty"] and commit_of(str(tmp_path)) == clean | {"dirty": True}


@pytest.mark.promise("api-release-commit")
async def test_a_release_is_a_leaf_once(shop: Shop) -> None:
    for _ in range(2):
        async with shop.open() as app:
            await app.runs.ready("local")
            (fact,) = facts(app, "release_loaded")
            assert fact["digest"] == app.releases.current() and (await app.ledger.verify()).ok


# what becomes of runs that wait ---------------------------------------------------------------------------------------
@pytest.mark.promise("gate-unrelated-change-voids-nothing", "api-move-if-equal")
async def test_a_waiting_run_moves_where_replay_is_equal_and_its_approval_stands(shop: Shop) -> None:
    asked = await waiting(shop)
    shop.edit(*WORDS)
    async with shop.open() as app:
        (moved,) = facts(app, "run_moved", asked.run)
        assert moved["to"] == app.releases.current() == app.runs.row(asked.run).release != moved["from"]
        await app.approvals.approve(asked.pending[0], by=FAY)
        assert isinstance(await app.runs.result(asked.run), Completed) and shop.paid == [60]
        assert (await app.releases.replay(asked.run)).ok and (await app.ledger.verify()).ok
    async with shop.open() as app:
        assert len(facts(app, "run_moved", asked.run)) == 1


@pytest.mark.promise("api-move-if-equal")
async def test_a_run_that_would_do_otherwise_is_kept_and_says_what_differs(shop: Shop) -> None:
    asked = await waiting(shop)
    shop.edit(*OTHER)
    async with shop.open() as app:
        (notice,) = kept_notices(app.rooms, "local")
        assert app.runs.row(asked.run).review and f"flyball resume {asked.run} --check" in notice
        (difference,) = (await app.releases.check(asked.run)).differences
        words = "step 2: the log holds call pay, the code now does call note (shop_flows.py:"
        assert words in str(difference) and "run_moved" not in kinds(app, asked.run)


@pytest.mark.promise("api-move-if-equal")
async def test_a_kept_run_is_not_driven_whatever_arrives(shop: Shop) -> None:
    asked = await waiting(shop)
    shop.edit(*OTHER)
    async with shop.open() as app:
        await app.approvals.approve(asked.pending[0], by=FAY)
        assert isinstance(await app.runs.resume(asked.run), Waiting) and not shop.paid
        with pytest.raises(FlyballError) as refused:
            await app.releases.move(asked.run, by=KIM)
        assert refused.value.code == "replay_diverged" and "run.changed" in refused.value.fix


async def test_a_kept_run_goes_on_once_the_code_is_back(shop: Shop) -> None:
    asked = await waiting(shop)
    shop.edit(*OTHER)
    async with shop.open() as app:
        await app.approvals.approve(asked.pending[0], by=FAY)
    shop.edit(OTHER[1], OTHER[0])
    async with shop.open() as app:
        assert isinstance(await app.runs.result(asked.run), Completed) and shop.paid == [60]
        assert not app.runs.row(asked.run).review and not kept_notices(app.rooms, "local")


async def test_a_kept_run_can_be_stopped(shop: Shop) -> None:
    asked = await waiting(shop)
    shop.edit(*OTHER)
    async with shop.open() as app:
        await app.runs.stop(asked.run, "no more", by=KIM)
        assert isinstance(await app.runs.result(asked.run), Stopped)


async def test_a_guarded_change_moves(shop: Shop) -> None:
    asked = await waiting(shop)
    shop.edit(
        "    return await", '    if run.changed("note"):\n        await run.call(note, text="x")\n    return await'
    )
    async with shop.open() as app:
        assert len(facts(app, "run_moved", asked.run)) == 1
        await app.approvals.approve(asked.pending[0], by=FAY)
        assert isinstance(await app.runs.result(asked.run), Completed)
        assert isinstance(await started(app, 3, "new"), Completed)


async def test_a_new_prompt_does_not_strand_what_has_used_the_old_one(tmp_path: Path) -> None:
    shop = Shop(tmp_path / "shop", code=AGENT)
    asked = await waiting(shop)
    shop.edit("Be kind.", "Be strict.")
    async with shop.open() as app:
        assert not app.runs.row(asked.run).review


@pytest.mark.promise("api-pin-and-ask")
@pytest.mark.parametrize("rule", ["pin", "ask"])
async def test_pin_and_ask_keep_every_run_until_somebody_moves_it(shop: Shop, rule: str) -> None:
    asked = await waiting(shop)
    shop.edit(*WORDS)
    async with shop.open(release=Rule(waiting=rule)) as app:  # type: ignore[arg-type]
        assert app.runs.row(asked.run).review and len(kept_notices(app.rooms, "local")) == 1
        await app.approvals.approve(asked.pending[0], by=FAY)
        assert not shop.paid and (await app.releases.move(asked.run, by=KIM)).equal
        assert isinstance(await app.runs.result(asked.run), Completed)
        assert facts(app, "run_moved", asked.run)[0]["by"] == app.rooms.record.person("local", KIM.id)


async def test_a_run_whose_approval_came_is_moved_before_it_is_driven(shop: Shop) -> None:
    async with shop.open() as app:
        asked = await started(app, 30)
        app.rooms.driver.hold()
        await app.approvals.approve(asked.pending[0], by=FAY)
    shop.edit(*WORDS)
    async with shop.open() as app:
        assert isinstance(await app.runs.result(asked.run), Completed)
        told = kinds(app, asked.run)
        assert told.index("run_moved") < told.index("run_ended")


async def test_an_erased_run_is_not_kept(shop: Shop) -> None:
    asked = await waiting(shop)
    keyring = shop.ports.keyring
    keyring.erase("local", pseudonym(keyring.pseudonym("local"), KIM.id))  # type: ignore[attr-defined]
    shop.edit(*OTHER)
    async with shop.open() as app:
        assert not app.runs.row(asked.run).review
