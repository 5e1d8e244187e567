"""Evidence from the command line: checked here, taken elsewhere, checked there."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.core.proof import parse_proof
from tests.doors.desk import Desk


@pytest.fixture
def ran(desk: Desk) -> str:
    run = desk.json("run", "handle", "3")["run"]
    return str(run)


def test_the_ledger_is_verified_and_says_how(desk: Desk, ran: str) -> None:
    said = desk("ledger", "verify")
    assert said.code == 0 and said.out.startswith("verified: ") and "  ok  approvals" in said.out
    assert desk.json("ledger", "verify")["ok"] is True


@pytest.mark.promise("journal-verified-offline")
def test_an_export_is_verified_elsewhere_with_a_key_from_elsewhere(desk: Desk, ran: str) -> None:
    told = desk.json("ledger", "export", "out")
    assert told["kind"] == "exported" and told["size"] > 0
    Path("vkey").write_text(told["vkey"] + "\n")
    Path("old").write_text(desk.json("ledger", "checkpoint")["checkpoint"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk.folder.parent)
        said = desk("verify", "desk/out", "--vkey", "@desk/vkey", "--older", "desk/old")
    assert said.code == 0 and "note:" not in said.out
    assert desk("verify", "out", "--vkey", told["vkey"]).code == 0
    assert desk("ledger", "export", "out").code == 1  # nothing is written over


def test_an_export_that_was_changed_is_not_verified(desk: Desk, ran: str) -> None:
    desk("ledger", "export", "out")
    entries = next(Path("out/tile/entries").rglob("*.p/*"), None) or next(
        p for p in Path("out/tile/entries").rglob("*") if p.is_file()
    )
    entries.write_bytes(entries.read_bytes().replace(b"looks", b"looks").replace(b"allow", b"ALLOW"))
    said = desk("verify", "out", "--json")
    assert said.code == 5 and said.data["ok"] is False


def test_what_is_no_export_or_cannot_be_read_is_an_error(desk: Desk, ran: str) -> None:
    Path("empty").mkdir()
    assert desk("verify", "empty").code != 0
    desk("ledger", "export", "out")
    assert desk("verify", "out", "--older", "nowhere").code == 2


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--vkey", "garbage"), ("--vkey is no verifier key", "NAME+ID+KEY", "flyball ledger export")),
        (("--vkey", "@out/checkpoint"), ("--vkey is no verifier key", "@FILE")),
        (("--older", "flyball.toml"), ("flyball.toml is no checkpoint", "flyball ledger checkpoint")),
        (("--older", "desk.bin"), ("desk.bin cannot be read", "it is no text")),
    ],
)
def test_what_is_no_key_or_checkpoint_is_a_wrong_use(
    desk: Desk, ran: str, option: tuple[str, str], words: tuple[str, ...]
) -> None:
    desk("ledger", "export", "out")
    Path("desk.bin").write_bytes(b"\xff\xfe\x00")
    said = desk("verify", "out", *option)
    assert said.code == 2 and all(word in said.err for word in words) and "key create" not in said.err


@pytest.mark.promise("journal-disclosure-by-choice")
def test_private_fields_leave_only_where_a_run_is_disclosed(desk: Desk, ran: str) -> None:
    desk("ledger", "export", "closed")
    said = desk("ledger", "export", "open", "--disclose", ran)
    assert said.code == 0 and f"disclosed: {ran}" in said.out
    counts = [desk.json("verify", name)["disclosed"] for name in ("closed", "open")]
    assert counts[0] == 0 < counts[1]
    assert desk("ledger", "export", "more", "--disclose", "r-0").code == 2


def test_a_record_or_a_runs_last_one_is_proved(desk: Desk, ran: str) -> None:
    told = desk.json("ledger", "prove", ran)
    assert told["record"] == f"{ran}//0/run_ended" and parse_proof(told["proof"]).index >= 0
    assert desk("ledger", "prove", told["record"]).out == told["proof"].rstrip("\n") + "\n"
    assert desk("ledger", "prove", f"{ran}/9/9/intent").code == 2


@pytest.mark.promise("journal-signed-at-rest")
def test_a_checkpoint_is_signed_now(desk: Desk, ran: str) -> None:
    said = desk("ledger", "checkpoint")
    assert said.code == 0 and said.out.startswith("desk/t/local\n") and "— desk " in said.out
