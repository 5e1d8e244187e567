"""The tamper matrix in a short form: every case, every forgery, a sample of the tables' rows and the files' bytes.

`make matrix` does all of it: every edit of every row, and every byte of the export and of the keys' files.
"""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from tests.tamper.bytewise import flipped, flips
from tests.tamper.cases import CASES, Case
from tests.tamper.database import edits
from tests.tamper.forgery import FORGERIES, Forgery, Log
from tests.tamper.page import written
from tests.tamper.sweep import STATED, silent
from tests.tamper.world import Fast, World, entered, said

SEED = 7


@pytest.fixture(scope="module")
def fast(world: World) -> Fast:
    return Fast(world)


def test_what_nobody_touched_is_verified(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    assert [copy.offline(outside=True).how, copy.online().how] == ["silent", "silent"]
    report = Log(world).write(tmp_path / "again")
    assert World(report.parent).offline_at(report, world).how == "silent"


@pytest.mark.promise("journal-beside-the-leaves", "journal-out-of-reach-is-stated")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_tampering_is_caught_or_out_of_reach_as_said(case: Case, world: World, tmp_path: Path) -> None:
    verdict = case.verdict(world.copy(tmp_path / "copy"))
    if case.caught:
        assert case.caught in verdict.what.split(","), verdict
    else:
        assert verdict.how == "silent" and case.why


@pytest.mark.promise("journal-out-of-reach-is-stated")
def test_a_kept_checkpoint_shows_what_is_out_of_reach_alone(world: World, tmp_path: Path) -> None:
    older, restored = world.copy(tmp_path / "older"), world.copy(tmp_path / "restored")
    next(case for case in CASES if case.name == "an older export is handed out").spoil(older)
    assert older.offline(outside=True).what == "older checkpoints"
    restored.restore("state", "keys")
    with entered(restored.folder):
        said("run", "handle", "5")
        said("ledger", "export", "after")
    assert restored.offline_at(restored.folder / "after", world, outside=True).what == "older checkpoints"


@pytest.mark.promise("journal-rewriting-is-caught")
@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_a_history_signed_by_a_thief_of_the_logs_key_is_caught(forgery: Forgery, world: World, tmp_path: Path) -> None:
    alone = forgery.verdict(world, tmp_path / "alone")
    assert forgery.caught in alone.what.split(",") and (alone.how == "silent") is (not forgery.caught)
    if forgery.approver:
        assert forgery.verdict(world, tmp_path / "known", approver=True).what == "approvals"
    outside = forgery.verdict(world, tmp_path / "outside", outside=True)
    assert "older checkpoints" in outside.what or forgery.caught


@pytest.mark.promise("journal-beside-the-leaves")
def test_a_sample_of_edited_rows_is_noticed(world: World, fast: Fast, tmp_path: Path) -> None:
    every = list(edits(world.database, SEED))
    places = sorted({edit.where for edit in every})
    chance = random.Random(SEED)
    sample = [chance.choice([e for e in every if e.where == where]) for where in chance.sample(places, 30)]
    assert [edit for edit in sample if silent(edit, world, fast, tmp_path / "copy")] == []


@pytest.mark.promise("journal-out-of-reach-is-stated")
def test_what_is_stated_to_be_no_evidence_is_there(world: World) -> None:
    places = {edit.where for edit in edits(world.database, SEED)}
    assert [pattern for pattern in STATED if not any(fnmatchcase(where, pattern) for where in places)] == []


def test_a_sample_of_flipped_bytes_is_noticed(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    sample = random.Random(SEED).sample(flips(copy.export), 120)
    assert [flip for flip in sample if flipped(flip, copy.offline).how == "silent"] == []


def test_two_owners_do_not_meet(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    with entered(copy.folder), Fast(copy).owned(copy):
        assert said("ledger", "verify")["code"] in ("journal_owned", "owner_gone", "owner_busy")


@pytest.mark.promise("journal-out-of-reach-is-stated")
def test_the_page_tells_the_matrix_as_it_is() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "reference" / "tamper-matrix.md"
    assert page.read_text("utf-8") == written()
