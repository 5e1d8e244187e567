"""What doctor finds, and says what to do about."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.doors.desk import SCRIPTED, TOML, Desk, desk_in


def findings(desk: Desk, **given: str) -> dict[str, list[str]]:
    """Details by `level name`."""
    found: dict[str, list[str]] = {}
    for one in desk.json("doctor", **given)["findings"]:
        found.setdefault(f"{one['level']} {one['name']}", []).append(one["detail"])
    return found


def test_before_anything_ran_nothing_is_wrong_and_isolation_is_told(desk: Desk) -> None:
    said = desk("doctor")
    assert said.code == 0 and "is not there yet" in said.out and not desk.journal.exists()
    assert "level 0" in said.out and "can reach the project's configuration" in said.out


def test_a_project_in_use_is_told_with_its_signer_keys_and_policies(desk: Desk) -> None:
    desk.people(fay="finance")
    desk("run", "looks", "1")
    found = findings(desk, who="fay")
    assert "sound" in found["ok journal"][0] and "records signed" in found["ok signer"][0]
    assert found["ok keys"] == ["fay (finance)"] and "project: desk" in found["ok policy"][0]
    assert found["ok acting key"] == ["user:fay, finance"] and "no process owns" in found["ok owner"][0]


def test_the_starter_policy_and_scripted_models_are_warnings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    toml = TOML.replace('policies = "policies"\n', "") + SCRIPTED + '[journal]\nsynchronous = "NORMAL"\n'
    desk = desk_in(tmp_path / "desk", capsys, monkeypatch, toml)
    desk("run", "looks", "1")
    found = findings(desk)
    assert "flyball/starter" in found["warn policy"][0] and "no model answers" in found["warn model"][0]
    assert "nobody can approve" in found["warn keys"][0] and any("power cut" in d for d in found["warn journal"])


def test_a_database_that_was_rolled_back_is_wrong(desk: Desk) -> None:
    desk("run", "looks", "1")
    old = desk.journal.read_bytes()
    desk("run", "looks", "1")
    for tail in ("-wal", "-shm"):
        desk.journal.with_name(f"desk.db{tail}").unlink(missing_ok=True)
    desk.journal.write_bytes(old)
    said = desk("doctor")
    assert said.code == 1 and "rolled back, restored" in said.out and "restore the newest one" in said.out
    assert desk("run", "looks", "1").code == 5


def test_a_database_that_was_deleted_is_wrong_and_is_not_begun_anew(desk: Desk) -> None:
    desk("run", "looks", "1")
    for file in desk.journal.parent.glob("desk.*"):
        file.unlink()
    assert "it was deleted or moved" in findings(desk)["bad signer"][0]
    said = desk("run", "looks", "1")
    assert said.code == 5 and "was signed for the log" in said.err and "[signer] file" in said.err
    Path("flyball.toml").write_text(TOML + '[signer]\nfile = "home/new.signer"\n')
    assert desk("run", "looks", "1").code == 0
    assert not [name for name in findings(desk) if name.startswith("bad")]


def test_a_log_that_takes_the_place_of_the_signed_one_is_wrong(desk: Desk) -> None:
    desk("run", "looks", "1")
    with sqlite3.connect(desk.journal) as database:
        database.execute("UPDATE log SET id = ?", ("00" * 16,))
    assert "was signed for the log" in findings(desk)["bad signer"][0]
    assert desk("run", "looks", "1").code == 5


def test_a_damaged_journal_is_wrong_and_not_a_crash(desk: Desk) -> None:
    desk("run", "looks", "1")
    desk.journal.write_bytes(b"nothing like a database" * 300)
    said = desk("doctor")
    assert said.code == 1 and "is not a Flyball journal" in said.out


@pytest.mark.parametrize(("key", "words"), [("nobody", "is not in the directory"), ("missing", "is not there")])
def test_an_acting_key_that_does_not_work_is_wrong(desk: Desk, key: str, words: str) -> None:
    desk.people(fay="finance")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk.folder.parent)
        desk("key", "create", "nobody")
    assert words in findings(desk, who=key)["bad acting key"][0]


def test_a_revoked_acting_key_is_wrong(desk: Desk) -> None:
    desk.people(fay="finance")
    desk("key", "revoke", "fay")
    assert "was revoked" in findings(desk, who="fay")["bad acting key"][0]


def test_a_signer_beside_the_journal_is_worth_knowing(desk: Desk) -> None:
    Path("flyball.toml").write_text(TOML + '[signer]\nfile = "desk.signer"\n')
    desk("run", "looks", "1")
    assert "lies beside" in findings(desk)["warn signer"][0]


def test_a_missing_signer_is_wrong(desk: Desk) -> None:
    desk("run", "looks", "1")
    for file in (desk.folder / "home").rglob("*.signer"):
        file.unlink()
    assert findings(desk)["bad signer"]
