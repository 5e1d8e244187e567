"""People's decisions from the command line: keys, versions, conflicts, who may what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.doors.desk import SCRIPTED, TOML, Desk, desk_in


@pytest.fixture
def asked(desk: Desk) -> str:
    """Fay, noor (finance) and lea (legal) have keys; a payment waits for finance."""
    desk.people(fay="finance", noor="finance", lea="legal")
    desk("run", "handle", "30")
    return desk.waiting()


@pytest.mark.promise("gate-shown-as-it-is")
def test_approvals_show_each_value_in_its_own_block_with_its_origin(desk: Desk, asked: str) -> None:
    out = desk("approvals").out
    for words in (f"{asked}  approval for finance: pay", "big (over_limit)",
                  "/cents  (critical, from unknown)\n   | 60",
                  "/to  (critical, from default)\n   | acme", "then deny", f"flyball approve '{asked}'"):  # fmt: skip
        assert words in out, words


def test_approvals_as_json_have_what_a_program_needs(desk: Desk, asked: str) -> None:
    told = desk.json("approvals")
    (one,) = told["approvals"]
    assert (told["flyball"], told["kind"]) == (1, "approvals")
    assert (one["id"], one["kind"], one["groups"]) == (asked, "approval", ["finance"])
    assert one["arguments"] == {"cents": 60, "to": "acme"} and one["because"] == ["big"] and len(one["over"]) == 64
    assert one["origins"]["cents"] == "unknown" and one["expires"] and one["question"] == ""
    assert desk.json("approvals", "--run", "r-0")["approvals"] == []


@pytest.mark.promise("gate-shown-as-it-is")
def test_what_a_model_wrote_is_escaped_and_its_prose_comes_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_in(tmp_path / "desk", capsys, monkeypatch, TOML + SCRIPTED)
    assert desk("run", "clerk", "go").code == 4
    out = desk("approvals").out
    assert "<U+202E>" in out and "\u202e" not in out and "hidden characters" in out
    assert out.index("the model's own words, which prove nothing:") > out.index("/to")
    assert "> I shall pay. Trust me." in out and "agent clerk" in out


@pytest.mark.promise("gate-reasons-are-recorded")
def test_why_a_model_proposed_and_why_a_person_approved_is_shown_and_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_in(tmp_path / "desk", capsys, monkeypatch, TOML + SCRIPTED)
    desk.people(fay="finance")
    assert desk("run", "clerk", "go").code == 4
    asked = desk.waiting()
    assert "> It was <U+202E>foretold." in desk("approvals").out
    assert desk("approve", asked, "--reason", "it was", "--resume", who="fay").code == 0
    run = asked.partition("/")[0]
    shown, explained = desk("show", run).out, desk("policy", "explain", run).out
    assert "it says    It was <U+202E>foretold." in shown.replace('"', "") and '"it was"' in shown
    assert "<U+202E>foretold" in explained and 'approved by user:fay: "it was"' in explained


def test_an_approval_is_recorded_and_says_that_nobody_drives_the_run(desk: Desk, asked: str) -> None:
    said = desk("approve", asked, "--reason", "fine", who="fay")
    assert said.code == 0 and f"flyball resume {asked.partition('/')[0]}" in said.out
    assert desk("approvals").out == "nothing waits for anybody\n"
    told = desk.json("resume", asked.partition("/")[0])
    assert told["runs"][0]["value"] == "paid 60 to acme"


def test_resume_goes_on_at_once_and_show_names_the_approver(desk: Desk, asked: str) -> None:
    said = desk("approve", asked, "--reason", "the margin allows it", "--resume", who="fay")
    assert said.code == 0 and "paid 60 to acme" in said.out
    shown = desk("show", asked.partition("/")[0]).out
    assert "approved   by user:fay for finance, with a key" in shown and '"the margin allows it"' in shown
    assert "approved: over_limit" in shown and "open: nothing" in shown
    assert desk("ledger", "verify").code == 0


@pytest.mark.parametrize(
    "args", [("approve", "--reason", "x"), ("deny", "--reason", "x"), ("edit", "cents=1"), ("answer", "true")]
)
def test_the_operating_system_user_decides_nothing(desk: Desk, asked: str, args: tuple[str, ...]) -> None:
    said = desk(args[0], asked, *args[1:])
    assert said.code == 3 and "FLYBALL_KEY" in said.err
    assert desk.waiting() == asked


@pytest.mark.promise("gate-only-the-group-approves")
def test_who_is_not_in_the_group_is_told_who_can(desk: Desk, asked: str) -> None:
    said = desk("approve", asked, "--reason", "x", who="lea")
    assert said.code == 3 and "user:lea is not in finance" in said.err and "2 can: fay, noor" in said.err


def test_who_asked_cannot_approve(desk: Desk) -> None:
    desk.people(fay="finance")
    assert desk("run", "handle", "30", who="fay").code == 4
    said = desk("approve", desk.waiting(), "--reason", "x", who="fay")
    assert said.code == 3 and "user:fay asked" in said.err


def test_an_unknown_or_revoked_key_is_nobody(desk: Desk, asked: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYBALL_KEY_DIR", str(desk.folder / "elsewhere"))
        patch.chdir(desk.folder.parent)
        desk("key", "create", "eve", "--group", "finance")
    (desk.folder / "elsewhere" / "eve.key").rename(desk.folder / "keys" / "eve.key")
    assert desk("approve", asked, "--reason", "x", who="eve").code == 3
    assert desk("key", "revoke", "fay").code == 0
    said = desk("approve", asked, "--reason", "x", who="fay")
    assert said.code == 3 and "not in this project's directory" in said.err and desk.waiting() == asked


def test_what_was_edited_since_it_was_shown_is_a_conflict_and_consumes_nothing(desk: Desk, asked: str) -> None:
    over = desk.json("approvals")["approvals"][0]["over"]
    assert desk("edit", asked, "cents=50", "--reason", "too much", "--resume", who="noor").code == 4
    said = desk("approve", asked, "--reason", "x", "--over", over, who="fay")
    assert said.code == 1 and "is not what you were shown" in said.err
    again = desk.waiting()
    assert again != asked and desk.json("approvals")["approvals"][0]["arguments"]["cents"] == 50
    assert desk("approve", again, "--reason", "x", "--over", over, who="fay").code == 1
    assert desk.waiting() == again


def test_an_edit_is_decided_again_and_its_editor_cannot_approve_it(desk: Desk, asked: str) -> None:
    desk("edit", asked, "cents=50", "to=bob", "--resume", who="noor")
    again = desk.waiting()
    assert desk("approve", again, "--reason", "x", who="noor").code == 3
    said = desk("approve", again, "--reason", "x", "--resume", who="fay")
    assert said.code == 0 and "paid 50 to bob" in said.out
    assert desk("edit", again, "cents=1", who="fay").code == 1


@pytest.mark.parametrize("change", ["cents", "=5", "nope=1"])
def test_an_edit_that_says_nothing_is_refused(desk: Desk, asked: str, change: str) -> None:
    assert desk("edit", asked, change, who="fay").code == 2


def test_a_denial_ends_the_run_as_denied(desk: Desk, asked: str) -> None:
    said = desk("deny", asked, "--reason", "no", "--resume", "--json", who="fay")
    assert (said.code, said.data["kind"]) == (3, "rejected")
    assert desk.json("show", asked.partition("/")[0])["run"]["reason"] == "approval_rejected"


@pytest.mark.parametrize(("value", "answer"), [("true", "yes"), ("false", "no")])
def test_a_question_is_answered_by_its_group(desk: Desk, value: str, answer: str) -> None:
    desk.people(lea="legal", fay="finance")
    desk("run", "ask", "go out")
    asked = desk.waiting()
    assert "/about/topic" in desk("approvals").out and f"flyball answer '{asked}'" in desk("approvals").out
    assert desk("answer", asked, value, who="fay").code == 3
    said = desk("answer", asked, value, "--resume", who="lea")
    assert said.code == 0 and f'"{answer}"' in said.out


def test_an_unknown_outcome_is_settled_by_a_person(desk: Desk) -> None:
    desk.people(fay="owner")
    desk("run", "risky", "1")
    asked = desk.waiting()
    assert "Did lose happen?" in desk("approvals").out
    assert desk("answer", asked, "perhaps", who="fay").code == 2
    missing = desk("answer", asked, "executed", who="fay")
    assert missing.code != 0 and "--result JSON" in missing.err  # and nothing is lost: the right answer still counts
    said = desk("answer", asked, "executed", "--result", '"found"', "--reason", "looked", "--resume", who="fay")
    assert said.code == 0 and '"found"' in said.out
    assert "resolution by user:fay" in desk("show", asked.partition("/")[0]).out


def test_an_unknown_outcome_is_shown_with_what_may_have_happened(desk: Desk) -> None:
    desk("run", "risky", "7")
    assert "/n\n   | 7\n" in desk("approvals").out
    (one,) = desk.json("approvals")["approvals"]
    assert [(block["at"], block["value"]) for block in one["blocks"]] == [("/n", "7")]


def test_what_was_approved_already_says_so(desk: Desk, asked: str) -> None:
    desk("approve", asked, "--reason", "x", who="fay")
    said = desk("approve", asked, "--reason", "x", who="noor")
    assert said.code == 1 and "why: it is approved already" in said.err
    desk("resume", asked.partition("/")[0])
    assert "what it allowed has run" in desk("approve", asked, "--reason", "x", who="noor").err


def test_a_group_without_anybody_in_it_is_told_with_how_to_fill_it(desk: Desk) -> None:
    desk.people(lea="legal")
    desk("run", "handle", "30")
    said = desk("approve", desk.waiting(), "--reason", "x", who="lea")
    assert said.code == 3 and "flyball key create NAME --group GROUP" in said.err


def test_a_failed_outcome_is_told_to_the_run(desk: Desk) -> None:
    desk.people(fay="owner")
    desk("run", "risky", "1")
    assert desk("answer", desk.waiting(), "failed", "--resume", who="fay").code == 1


def test_the_wrong_verb_names_the_right_one(desk: Desk, asked: str) -> None:
    said = desk("answer", asked, "true", who="fay")
    assert said.code == 2 and "flyball approve" in said.err
    assert desk("approve", "r-1/1#1", "--reason", "x", who="fay").code == 2


def test_text_stays_text_where_it_is_said_and_is_refused_where_it_does_not_fit(desk: Desk) -> None:
    desk.people(lea="legal")
    desk("run", "ask", "go")
    asked = desk.waiting()
    said = desk("answer", asked, "true", "--text", who="lea")
    assert said.code == 2 and "is no boolean: 'true'" in said.err
    assert desk("answer", asked, "true", who="lea").code == 0


# keys ----------------------------------------------------------------------------------------------------
@pytest.mark.promise("api-keys-are-records")
def test_a_key_is_enrolled_as_a_leaf_and_listed(desk: Desk) -> None:
    told = desk.json("key", "create", "anna", "--group", "finance")
    assert (told["enrolled"], told["groups"]) == ("desk", ["finance"])
    (known,) = desk.json("key", "list")["enrolled"]
    assert (known["person"], known["groups"], known["id"]) == ("user:anna", ["finance"], told["key"])
    assert "user:anna" in desk("key", "list").out and desk("ledger", "verify").code == 0


def test_a_key_from_elsewhere_is_enrolled_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder.parent)
    assert desk.json("key", "create", "anna")["enrolled"] is None
    monkeypatch.chdir(desk.folder)
    assert desk.json("key", "create", "anna", "--group", "finance")["enrolled"] == "desk"
    assert desk("key", "create", "anna", "--group", "finance").code == 1


def test_a_key_that_cannot_be_enrolled_is_not_left_behind(desk: Desk) -> None:
    desk.people(root="admin")
    said = desk("key", "create", "eve", "--group", "finance")
    assert said.code == 3 and "root can" in said.err and not (desk.folder / "keys" / "eve.key").exists()
    assert desk("key", "create", "eve", "--group", "finance", who="root").code == 0
    assert desk("key", "revoke", "root").code == 3 and desk("key", "revoke", "eve", who="root").code == 0


def test_revoking_needs_to_know_which_key(desk: Desk) -> None:
    desk.people(fay="finance")
    said = desk("key", "revoke", "nobody")
    assert said.code == 1 and "no valid key" in said.err
    key = desk.json("key", "list")["enrolled"][0]["id"]
    assert desk.json("key", "revoke", key)["person"] == "user:fay"
    assert desk("key", "revoke", "fay").code == 1
