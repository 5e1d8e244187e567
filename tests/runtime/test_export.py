from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from flyball.adapters.signer_memory import MemorySigner
from flyball.core.errors import FlyballError
from flyball.core.merkle import Frontier
from flyball.core.note import parse_vkey, verify
from flyball.runtime.export import Disclosure, prove, write_export
from tests.verify.ledger import BUNDLE, ORIGIN, POLICY, TENANT, Ledger, story


def code(action: Callable[[], object]) -> str:
    with pytest.raises(FlyballError) as refused:
        action()
    return refused.value.code


def view(log: Ledger) -> Any:
    return cast("Any", log)


def test_an_export_has_the_files_of_a_tiled_log(tmp_path: Path) -> None:
    log = story()
    target = log.export(tmp_path / "deep" / "evidence", disclosures=[log.disclosure("r-1/2/1/intent", "args")])
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert {path for path in found if "releases" not in path} == {
        "checkpoint", "vkey", "manifest.json", "tile/entries/000.p/15", "tile/0/000.p/15", "checkpoints/7",
        f"policies/{BUNDLE}.json", "disclosures/1.json",
    }  # fmt: skip
    assert (target / f"policies/{BUNDLE}.json").read_bytes() == POLICY
    signed = verify((target / "checkpoint").read_bytes(), [parse_vkey((target / "vkey").read_text().strip())])
    assert signed.signatures


def test_a_manifest_lists_every_other_file(tmp_path: Path) -> None:
    target = story().export(tmp_path / "x")
    manifest = json.loads((target / "manifest.json").read_bytes())
    found = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == found - {"manifest.json"}
    assert (manifest["origin"], manifest["tenant"], manifest["size"]) == (ORIGIN, TENANT, 15)


def test_an_export_ends_at_its_checkpoint(tmp_path: Path) -> None:
    log = story()
    target = log.export(tmp_path / "x", note=log.sign(6))
    assert (target / "tile/entries/000.p/6").exists()
    assert not (target / "checkpoints").exists()


def test_an_empty_folder_is_filled_and_a_full_one_kept(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    target = story().export(tmp_path / "x")
    before = sorted(target.rglob("*"))
    assert code(lambda: story().export(target)) == "export_exists"
    assert sorted(target.rglob("*")) == before
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    assert code(lambda: story().export(tmp_path / "x")) == "export_exists"


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    broken = story()
    note = broken.sign()
    broken.records = lambda **_: []  # type: ignore[method-assign]
    assert code(lambda: broken.export(tmp_path / "x", note=note)) == "tree_damaged"
    assert list(tmp_path.iterdir()) == []


def test_a_record_that_is_not_in_its_place_is_damage(tmp_path: Path) -> None:
    broken = story()
    note, records = broken.sign(), broken.records
    broken.records = lambda **more: records(**more)[1:]  # type: ignore[method-assign]
    assert code(lambda: broken.export(tmp_path / "x", note=note)) == "tree_damaged"
    assert code(lambda: prove(view(broken), 9, note)) == "tree_damaged"


def test_a_missing_node_is_damage(tmp_path: Path) -> None:
    broken = story()
    note = broken.sign()
    nothing: dict[tuple[int, int], bytes] = {}
    broken.node = lambda level, index: nothing[level, index]  # type: ignore[method-assign]
    assert code(lambda: broken.export(tmp_path / "x", note=note)) == "tree_damaged"


def test_a_journal_shorter_than_its_checkpoint_is_named(tmp_path: Path) -> None:
    log = story()
    note = log.sign()
    log.leaves.pop()
    assert code(lambda: log.export(tmp_path / "x", note=note)) == "checkpoint_ahead"
    assert code(lambda: prove(view(log), 0, note)) == "checkpoint_ahead"


def test_a_checkpoint_by_another_key_is_refused(tmp_path: Path) -> None:
    note = MemorySigner("desk", b"o" * 32).sign("x", ORIGIN, Frontier(), lambda start, end: [])
    assert code(lambda: story().export(tmp_path / "x", note=note)) == "unknown_signers"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code(lambda: story().export(tmp_path / "file" / "x")) == "export_unwritable"


def test_records_that_make_no_sense_are_still_exported(tmp_path: Path) -> None:
    log = story()
    strange: list[dict[str, Any]] = [{}, {"bundles": [5, "../../x"]}, {"bundles": 5}, {"digest": 5}, {"parts": []}]
    for facts in strange:
        for kind in ("intent", "policy_activated", "release_loaded"):
            log.leaves.append(json.dumps({"kind": kind, "facts": facts}).encode())
    log.leaves.append(b'{"kind":"intent"}')
    assert (log.export(tmp_path / "x") / "checkpoint").exists()


def test_a_proof_needs_a_checkpoint_that_covers_its_record() -> None:
    log = story()
    assert code(lambda: prove(view(log), 9, log.sign(9))) == "no_proof"


def test_what_is_disclosed_is_what_the_caller_gives(tmp_path: Path) -> None:
    given = Disclosure("r-1/2/1/intent", "args", bytes(32), b"\xff\x00")
    target = story().export(tmp_path / "x", disclosures=[given])
    told = json.loads((target / "disclosures/1.json").read_bytes())
    assert told == {"record": "r-1/2/1/intent", "field": "args", "salt": "00" * 32, "data": "/wA="}


def test_the_checkpoint_is_returned(tmp_path: Path) -> None:
    log = story()
    vkey = log.signer.verifier_key()
    head = write_export(tmp_path / "x", lambda: view(log), tenant=TENANT, note=log.sign(), vkey=vkey)
    assert (head.origin, head.size) == (ORIGIN, 15)
