from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flyball.adapters.signer_memory import MemorySigner
from flyball.core.canonical import encode
from flyball.core.errors import FlyballError
from flyball.core.kinds import KINDS
from flyball.core.merkle import Frontier
from flyball.core.record import Event
from flyball.core.tiles import bundle_bytes, parse_bundle
from flyball.verify.directory import verify_directory
from flyball.verify.report import Report
from tests.verify.ledger import ORIGIN, Ledger, asking, lifted, outcome, story

ENTRIES = "tile/entries/000.p/15"
VKEY = story().signer.verifier_key()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    log = story()
    told = [log.disclosure("r-1/2/1/intent", "args"), log.disclosure("r-1/2#1/1/asked", "shown")]
    return log.export(tmp_path_factory.mktemp("exports") / "good", disclosures=told)


@pytest.fixture
def export(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copy"))


def failed(report: Report) -> set[str]:
    return {check.name for check in report.checks if not check.ok}


def resigned(log: Ledger, tmp_path: Path) -> Report:
    """The report on a ledger that somebody with database and log key has written."""
    return verify_directory(log.export(tmp_path / "forged"), vkey=VKEY)


@pytest.mark.promise("journal-verified-offline")
def test_a_good_export_is_verified(good: Path) -> None:
    log = story()
    report = verify_directory(good, vkey=VKEY, older=[log.sign(3), log.sign(15)])
    assert report.ok, report.summary
    assert (report.origin, report.size, report.key, report.disclosed) == (ORIGIN, 15, VKEY, 2)
    assert report.open_intents == ("r-2/1/1/intent",)
    assert report.boundaries == ()


def test_a_key_from_the_export_is_said_to_be_one(good: Path) -> None:
    report = verify_directory(good)
    assert report.ok
    assert any("taken from the export" in note for note in report.boundaries)


def test_a_log_of_several_tiles_is_verified(tmp_path: Path) -> None:
    log = story()
    for number in range(2, 260):
        log.add(Event(kind="timer", run="r-2", path=str(number), facts={"until": 1}))
    assert verify_directory(log.export(tmp_path / "x"), vkey=VKEY, older=[log.sign(256), log.sign(257)]).ok


# whoever holds the files, and no key -------------------------------------------------------------------------------
def tampered(export: Path, change: Callable[[list[bytes]], Any]) -> set[str]:
    """Changes the entries, and the manifest with them: only what is signed stands in the way."""
    entries = list(parse_bundle((export / ENTRIES).read_bytes(), 15))
    change(entries)
    (export / ENTRIES).write_bytes(bundle_bytes(entries))
    return failed(verify_directory(export, vkey=VKEY))


@pytest.mark.promise("journal-tampering-is-caught")
def test_an_edited_record_is_caught(export: Path) -> None:
    assert "entries" in tampered(export, lambda e: e.__setitem__(5, e[5].replace(b"crm_read", b"crm_rEad")))


def test_a_deleted_record_is_caught(export: Path) -> None:
    assert "entries" in tampered(export, lambda e: e.pop(5))


@pytest.mark.promise("journal-tampering-is-caught")
def test_an_inserted_record_is_caught(export: Path) -> None:
    assert "entries" in tampered(export, lambda e: e.insert(5, e[5]))


@pytest.mark.promise("journal-tampering-is-caught")
def test_reordered_records_are_caught(export: Path) -> None:
    assert {"entries", "outcomes"} <= tampered(export, lambda e: e.insert(5, e.pop(6)))


@pytest.mark.promise("journal-tampering-is-caught")
def test_a_cut_tail_is_caught(export: Path) -> None:
    assert "entries" in tampered(export, lambda e: e.pop())


def test_edited_shown_arguments_are_caught(export: Path) -> None:
    def edit(entries: list[bytes]) -> None:
        told = json.loads(entries[7])
        assert told["kind"] == "asked"
        told["commit"]["shown"] = "00" * 32
        entries[7] = encode(told)

    assert {"entries", "disclosures"} <= tampered(export, edit)


def test_a_swapped_disclosure_is_caught(export: Path) -> None:
    one, two = (json.loads((export / f"disclosures/{n}.json").read_bytes()) for n in (1, 2))
    (export / "disclosures/1.json").write_bytes(encode({**one, "data": two["data"], "salt": two["salt"]}))
    assert "disclosures" in failed(verify_directory(export, vkey=VKEY))


def test_a_log_cut_back_to_an_older_checkpoint_needs_a_newer_one_to_be_caught(tmp_path: Path) -> None:
    log = story()
    cut = log.export(tmp_path / "cut", note=log.sign(7))
    assert verify_directory(cut, vkey=VKEY).ok
    report = verify_directory(cut, vkey=VKEY, older=[log.sign(15)])
    assert failed(report) == {"older checkpoints"}
    assert "the log was cut" in report.summary


def test_another_key_is_not_the_logs_key(export: Path) -> None:
    other = MemorySigner("desk", b"o" * 32).verifier_key()
    assert {"key", "checkpoint"} <= failed(verify_directory(export, vkey=other))


def test_a_checkpoint_of_another_log_is_caught(export: Path) -> None:
    note = MemorySigner("desk", bytes(range(32))).sign("x", "desk/t/other", Frontier(), lambda a, b: [])
    (export / "checkpoint").write_text(note)
    assert {"checkpoint", "opening", "older checkpoints", "tiles"} <= failed(verify_directory(export, vkey=VKEY))


def test_a_huge_claimed_size_ends_at_once(export: Path) -> None:
    manifest = json.loads((export / "manifest.json").read_bytes())
    (export / "manifest.json").write_bytes(encode({**manifest, "size": 2**53 - 1}))
    (export / "checkpoint").unlink()
    assert {"checkpoint", "entries"} <= failed(verify_directory(export, vkey=VKEY))


def test_an_older_checkpoint_under_a_wrong_name_is_caught(export: Path) -> None:
    (export / "checkpoints/7").rename(export / "checkpoints/8")
    assert {"older checkpoints", "files"} <= failed(verify_directory(export, vkey=VKEY))


@pytest.mark.parametrize(
    "changes", [{"v": 2}, {"v": True}, {"more": 1}, {"size": "15"}, {"files": []}, {"origin": 5}, {"tenant": "other"}]
)
def test_a_manifest_of_another_shape_is_a_finding(export: Path, changes: dict[str, Any]) -> None:
    manifest = json.loads((export / "manifest.json").read_bytes())
    (export / "manifest.json").write_bytes(encode({**manifest, **changes}))
    assert failed(verify_directory(export, vkey=VKEY)) & {"manifest", "records", "files"}


def test_only_a_path_that_is_no_export_is_an_error(tmp_path: Path, good: Path) -> None:
    with pytest.raises(FlyballError) as refused:
        verify_directory(tmp_path)
    assert refused.value.code == "not_an_export"
    with pytest.raises(FlyballError) as refused:
        verify_directory(good, vkey="no key")
    assert refused.value.code == "bad_key"


# whoever holds database and log key --------------------------------------------------------------------------------
@pytest.mark.promise("journal-rewriting-is-caught")
def test_a_rewritten_history_contradicts_a_checkpoint_seen_before(tmp_path: Path) -> None:
    log, seen = story(), story().sign(9)
    log.change(5, action="other")
    report = verify_directory(log.export(tmp_path / "x"), vkey=VKEY, older=[seen])
    assert "older checkpoints" in failed(report)
    assert "two histories" in report.summary


@pytest.mark.promise("journal-rewriting-is-caught")
def test_a_forged_approval_is_caught(tmp_path: Path) -> None:
    log = story()
    log.change(log.index("/approved"), sig="A" * 86 + "==")
    log.rows_ = [row for row in log.rows_ if not hasattr(row, "note")]
    report = resigned(log, tmp_path)
    assert failed(report) == {"approvals"}
    assert "does not hold" in report.summary


@pytest.mark.promise("journal-rewriting-is-caught")
def test_a_reused_approval_is_caught(tmp_path: Path) -> None:
    log, asked = Ledger(), asking(Ledger(), "2")
    base = story()
    log.leaves, log.rows_, log.time = base.leaves[:11], base.rows_[:2], base.time
    log.add(lifted(asked, "3"))
    log.add(outcome("3"))
    report = resigned(log, tmp_path)
    assert failed(report) == {"approvals"}
    assert "path is not what was asked" in report.summary


@pytest.mark.promise("journal-approval-commitments-repeat")
def test_edited_arguments_under_an_approval_are_caught(tmp_path: Path) -> None:
    log = story()
    log.change(log.index("2/1/intent"), args="00" * 32)
    log.rows_ = [row for row in log.rows_ if not hasattr(row, "note")]
    assert failed(resigned(log, tmp_path)) == {"approvals"}


def test_an_intent_after_a_denial_is_caught(tmp_path: Path) -> None:
    log = story()
    log.leaves[13:] = []
    del log.leaves[12]
    denied = asking(log, "3")
    plain = msgspec.structs.replace(
        lifted(denied, "3"), facts={**lifted(denied, "3").facts, "approval": None}, attempt=1
    )
    log.add(plain)
    assert failed(resigned(log, tmp_path)) == {"denials"}


def test_a_missing_bundle_is_caught(tmp_path: Path) -> None:
    log = story()
    log.rows_ = []
    assert failed(resigned(log, tmp_path)) == {"policies"}


def test_a_record_that_is_no_leaf_is_a_finding(tmp_path: Path) -> None:
    log = story()
    log.leaves.append(b"not a leaf")
    assert failed(resigned(log, tmp_path)) == {"records"}


# anything ------------------------------------------------------------------------------------------------------------
SLOW = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


def files_of(export: Path) -> list[Path]:
    return sorted(path for path in export.rglob("*") if path.is_file())


@pytest.mark.promise("journal-tampering-is-caught")
@SLOW
@given(st.data())
def test_no_flipped_byte_passes_silently(good: Path, data: st.DataObject) -> None:
    victim = data.draw(st.sampled_from(files_of(good)))
    before = victim.read_bytes()
    at = data.draw(st.integers(0, len(before) - 1))
    flipped = bytes([before[at] ^ data.draw(st.integers(1, 255))])
    victim.write_bytes(before[:at] + flipped + before[at + 1 :])
    try:
        assert not verify_directory(good).ok
        assert not verify_directory(good, vkey=VKEY).ok
    finally:
        victim.write_bytes(before)


@pytest.mark.promise("journal-tampering-is-caught")
def test_no_deleted_file_passes_silently(good: Path) -> None:
    for victim in files_of(good):
        before = victim.read_bytes()
        victim.unlink()
        assert not verify_directory(good, vkey=VKEY).ok, victim
        victim.write_bytes(before)
    assert verify_directory(good, vkey=VKEY).ok


@SLOW
@given(st.data(), st.binary(max_size=200))
def test_no_replaced_file_breaks_the_verifier(good: Path, data: st.DataObject, content: bytes) -> None:
    victim = data.draw(st.sampled_from(files_of(good)))
    before = victim.read_bytes()
    victim.write_bytes(content)
    try:
        assert not verify_directory(good, vkey=VKEY).ok
    finally:
        victim.write_bytes(before)


hostile = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**53 - 1) | st.text(max_size=5) | st.just("r-1/2#1"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["cures", "run", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = (
    "outcome", "status", "bundles", "approval", "pending", "over", "covers", "by", "cure", "assurance", "key", "sig",
    "public", "groups", "parts", "digest", "intent", "kind", "origin", "log",
)  # fmt: skip
facts = st.dictionaries(st.sampled_from(NAMES), hostile, max_size=6)
records = st.builds(
    Event,
    kind=st.sampled_from(sorted(KINDS)), run=st.sampled_from(["r-1", "r-9", "-"]), attempt=st.integers(0, 3),
    facts=facts, path=st.sampled_from(["", "1", "2", "2.1", "2#1", "2~1", "..", "@2.1", "9" * 30, "é"]),
)  # fmt: skip


@SLOW
@given(st.lists(records, min_size=1, max_size=6))
def test_no_signed_record_breaks_the_verifier(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> None:
    log = story()
    for event in events:
        log.add(event)
    report = verify_directory(log.export(tmp_path_factory.mktemp("hostile") / "x"), vkey=VKEY)
    assert next(check for check in report.checks if check.name == "entries").ok
    assert report.summary
