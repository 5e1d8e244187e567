from __future__ import annotations

import json
import multiprocessing
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flyball.adapters.signer_file import open_signer
from flyball.core.errors import FlyballError
from flyball.testing.conformance.signer import CHECKS, LOG, Opens, grown, sign


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "desk.signer"


def made(file: Path, size: int = 5) -> Path:
    sign(open_signer(file, "desk", create=True), size)
    return file


def code(action: Callable[[], object]) -> str:
    with pytest.raises(FlyballError) as refused:
        action()
    return refused.value.code


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


@pytest.mark.promise("journal-signer-remembers", case="an_origin_has_one_log")
@pytest.mark.promise("journal-signer-remembers", case="it_refuses_a_changed_history")
@pytest.mark.promise("journal-signer-remembers", case="it_refuses_a_shorter_log")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_a_signer(check: Callable[[Opens], None], file: Path) -> None:
    check(lambda: open_signer(file, "conformance", create=True))


@pytest.mark.promise("journal-keys-and-state-are-one-file")
def test_the_file_is_its_owners_alone(file: Path) -> None:
    made(file)
    assert {p.name: p.stat().st_mode & 0o777 for p in file.parent.iterdir()} == {
        "desk.signer": 0o600,
        "desk.signer.lock": 0o600,
    }


@pytest.mark.promise("journal-state-before-signature")
def test_the_state_is_durable_before_the_signature_is_released(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    sync = os.fsync

    def noted(descriptor: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr("flyball.adapters.signer_file.sign_checkpoint", lambda *_: done.append("signature"))
    made(file)
    assert done[-3:] == ["file", "folder", "signature"]


@pytest.mark.promise("journal-state-before-signature")
def test_a_state_that_cannot_be_kept_releases_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = open_signer(made(file), "desk")
    monkeypatch.setattr(os, "fsync", lambda fd: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    assert code(lambda: sign(signer, 9)) == "signer_unwritable"
    monkeypatch.undo()
    assert open_signer(file, "desk").last(LOG) == grown(5)


def test_the_same_head_is_signed_again_without_a_write(file: Path) -> None:
    signer = open_signer(file, "desk", create=True)
    first, before = sign(signer, 5), file.stat().st_ino
    assert sign(signer, 5) == first
    assert file.stat().st_ino == before


def test_a_leftover_of_a_crash_is_overwritten(file: Path) -> None:
    made(file).with_name("desk.signer.new").write_text("half a st")
    sign(open_signer(file, "desk"), 9)
    assert open_signer(file, "desk").last(LOG) == grown(9)


def test_a_missing_signer_is_not_made_unasked(file: Path) -> None:
    assert code(lambda: open_signer(file, "desk")) == "signer_missing"
    assert not file.exists()


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    made(file).chmod(0o604)
    assert code(lambda: open_signer(file, "desk")) == "signer_exposed"


def test_a_folder_is_no_signer(tmp_path: Path) -> None:
    assert code(lambda: open_signer(tmp_path, "desk", create=True)) == "signer_exposed"


def test_another_logs_signer_is_refused(file: Path) -> None:
    made(file)
    assert code(lambda: open_signer(file, "other", create=True)) == "signer_other_name"


@pytest.mark.parametrize("content", ["", "{}", "[1]", "no json", '{"v":0,"name":"desk","private":"","logs":{}}'])
def test_a_damaged_file_is_named(file: Path, content: str) -> None:
    made(file).write_text(content)
    assert code(lambda: open_signer(file, "desk")) == "signer_corrupt"


def test_bytes_that_are_no_text_are_damage(file: Path) -> None:
    made(file).write_bytes(b'{"v":1,"name":"\xff"}')
    assert code(lambda: open_signer(file, "desk")) == "signer_corrupt"


def test_a_newer_file_is_not_guessed_at(file: Path) -> None:
    rewrite(made(file), v=2, more=True)
    assert code(lambda: open_signer(file, "desk")) == "signer_newer"


@pytest.mark.parametrize("private", ["", "zz", "00", "AB" * 32])
def test_a_damaged_key_is_never_shown(file: Path, private: str) -> None:
    rewrite(made(file), private=private)
    assert code(lambda: open_signer(file, "desk")) == "signer_corrupt"


@pytest.mark.parametrize(
    "change", [{"size": 4}, {"size": 7}, {"root": "00" * 32}, {"hashes": ["zz", "zz"]}, {"hashes": ["00", "00"]}]
)
def test_a_damaged_state_signs_nothing(file: Path, change: dict[str, Any]) -> None:
    logs = json.loads(made(file).read_text())["logs"]
    rewrite(file, logs={LOG: {**logs[LOG], **change}})
    assert code(lambda: sign(open_signer(file, "desk"), 9)) == "signer_corrupt"


def test_no_letter_of_what_was_signed_may_be_changed(file: Path) -> None:
    logs = json.loads(made(file).read_text())["logs"]
    rewrite(file, logs={LOG: {**logs[LOG], "hashes": [one.upper() for one in logs[LOG]["hashes"]]}})
    assert code(lambda: sign(open_signer(file, "desk"), 9)) == "signer_corrupt"


@pytest.mark.promise("journal-keys-and-state-are-one-file")
def test_a_key_exchanged_under_it_is_noticed(file: Path) -> None:
    signer = open_signer(made(file), "desk")
    rewrite(file, private="11" * 32)
    assert code(lambda: sign(signer, 9)) == "signer_corrupt"


def test_a_name_that_is_none_makes_no_file(file: Path) -> None:
    assert code(lambda: open_signer(file, "two words", create=True)) == "bad_key"
    assert not file.exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code(lambda: open_signer(tmp_path / "file" / "x", "desk", create=True)) == "signer_unwritable"
    assert code(lambda: open_signer(tmp_path / "file" / "x", "desk")) == "signer_unwritable"


def test_a_lost_lock_folder_is_named(file: Path) -> None:
    signer = open_signer(made(file), "desk")
    for path in file.parent.iterdir():
        path.unlink()
    file.parent.rmdir()
    assert code(lambda: sign(signer, 9)) == "signer_unwritable"


def _sign_many(path: str, sizes: list[int]) -> None:
    for size in sizes:
        try:
            sign(open_signer(Path(path), "desk"), size)
        except FlyballError as refused:
            if refused.code != "signer_ahead":
                raise


def test_two_processes_leave_one_history(file: Path) -> None:
    made(file, 1)
    spawn = multiprocessing.get_context("spawn")
    both = [spawn.Process(target=_sign_many, args=(str(file), list(range(at, 40, 2)))) for at in (2, 3)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    assert open_signer(file, "desk").last(LOG) == grown(39)
