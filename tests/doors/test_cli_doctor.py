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


@pytest.mark.promise("gate-isolation-is-told")
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


@pytest.mark.promise("journal-rollback-is-noticed")
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


@pytest.mark.promise("journal-rollback-is-noticed")
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


@pytest.mark.promise("journal-rollback-is-noticed")
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


def test_a_group_without_an_admin_is_worth_knowing(desk: Desk) -> None:
    desk.people(fay="finance")
    assert "nobody is in the group admin" in findings(desk)["warn keys"][0]
    desk.people(ada="admin")
    assert "warn keys" not in findings(desk)


def test_a_misspelt_module_is_wrong_and_named(desk: Desk) -> None:
    Path("flyball.toml").write_text(TOML.replace("paydesk", "paydesc"))
    said = desk("doctor")
    assert said.code == 1 and "bad  modules: module paydesc cannot be imported" in said.out
    assert "Did you mean paydesk?" in said.out


def test_a_module_that_is_no_python_is_told_with_its_line(desk: Desk) -> None:
    Path("paydesk.py").write_text("import flyball\ndef f(:\n")
    assert "paydesk.py:2" in findings(desk)["bad modules"][0]
    said = desk("run", "handle", "1")
    assert said.code == 1 and "error: paydesk.py:2: module paydesk failed while it was imported" in said.err
    assert "Correct it there." in said.err and "flyball failed" not in said.err


def test_a_project_without_any_value_is_told_where_to_name_modules(desk: Desk) -> None:
    Path("flyball.toml").write_text(TOML.replace('["paydesk"]', "[]").replace('policies = "policies"\n', ""))
    assert findings(desk)["warn modules"] == ["there is no tool, agent or flow"]


def test_a_script_that_is_not_there_is_wrong(desk: Desk) -> None:
    Path("flyball.toml").write_text(TOML + SCRIPTED)
    Path("script.toml").unlink()
    assert "script.toml cannot be read" in findings(desk)["bad model"][0]


def test_a_model_without_a_price_or_key_is_wrong(desk: Desk) -> None:
    model = '[models.default]\nadapter = "openai"\nmodel = "nobody-knows-it"\nkey = "env:NOT_THERE"\n'
    Path("flyball.toml").write_text(TOML + model)
    told = " ".join(findings(desk)["bad model"])
    assert "nobody-knows-it has no price" in told and "NOT_THERE" in told


def test_an_agent_whose_model_is_not_configured_is_told(desk: Desk) -> None:
    assert findings(desk)["warn model"] == ["clerk: there is no model 'default', no model is configured"]


def test_policies_on_disk_that_are_refused_or_not_in_force_are_told(desk: Desk) -> None:
    desk("run", "looks", "1")
    file = Path("policies/desk.cedar")
    file.write_text(file.read_text() + '@id("more") permit (principal, action == Action::"pay", resource);\n')
    assert "are not those in force" in findings(desk)["warn policy"][0]
    file.write_text(file.read_text().replace('Action::"pay"', 'Action::"pya"'))
    assert "there is no action pya" in findings(desk)["bad policy"][0]


def test_a_secret_that_is_not_set_is_told(desk: Desk) -> None:
    Path("flyball.toml").write_text(TOML + '[secrets]\nshop = "env:NOT_THERE"\n[tenants.a.secrets]\nb = "file:gone"\n')
    told = findings(desk)["warn secret"]
    assert told[0] == "[secrets] shop: the environment has no NOT_THERE" and "[tenants.a.secrets] b: " in told[1]
