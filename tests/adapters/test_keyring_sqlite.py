from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from flyball.adapters.keyring_sqlite import SqliteKeyring, _make, open_keyring
from flyball.core.errors import FlyballError
from flyball.testing.conformance.keyring import CHECKS, KIM, LEE, Opens

ROOT = bytes(range(32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "keys.db"


def made(file: Path, *subjects: str) -> Path:
    ring = open_keyring(file, ROOT, create=True)
    for subject in subjects:
        ring.subject("acme", subject)
    ring.close()
    return file


def sql(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file)
    with connection:
        connection.execute(statement)
    connection.close()


def code(action: Callable[[], object]) -> str:
    with pytest.raises(FlyballError) as refused:
        action()
    return refused.value.code


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_is_a_keyring(check: Callable[[Opens], None], file: Path) -> None:
    check(lambda: open_keyring(file, ROOT, create=True))


def test_the_file_is_its_owners_alone(file: Path) -> None:
    assert made(file).stat().st_mode & 0o777 == 0o600
    assert [p.name for p in file.parent.iterdir()] == ["keys.db"]


def test_a_file_that_others_can_read_is_refused(file: Path) -> None:
    made(file).chmod(0o640)
    assert code(lambda: open_keyring(file, ROOT)) == "keyring_exposed"


@pytest.mark.promise("journal-keys-stand-apart")
def test_no_key_stands_in_the_file_unwrapped(file: Path) -> None:
    ring = open_keyring(file, ROOT, create=True)
    keys = [ring.subject("acme", KIM), ring.pseudonym("acme"), ROOT]
    raw = file.read_bytes()
    ring.close()
    assert not any(key in raw for key in keys)


def test_a_missing_keyring_is_not_made_unasked(file: Path) -> None:
    assert code(lambda: open_keyring(file, ROOT)) == "keyring_missing"
    assert not file.exists()


@pytest.mark.promise("journal-keys-stand-apart")
def test_a_wrong_root_key_is_noticed_at_once(file: Path) -> None:
    made(file)
    assert code(lambda: open_keyring(file, bytes(32))) == "wrong_root_key"
    assert code(lambda: open_keyring(file, bytes(32), create=True)) == "wrong_root_key"


def test_a_root_key_has_32_bytes(file: Path) -> None:
    assert code(lambda: open_keyring(file, b"short", create=True)) == "bad_root_key"


def test_a_newer_keyring_is_not_guessed_at(file: Path) -> None:
    sql(made(file), "PRAGMA user_version = 2")
    assert code(lambda: open_keyring(file, ROOT)) == "keyring_newer"


@pytest.mark.parametrize("content", [b"", b"no database at all, just text" * 40])
def test_another_file_is_no_keyring(file: Path, content: bytes) -> None:
    made(file).write_bytes(content)
    assert code(lambda: open_keyring(file, ROOT)) == "keyring_corrupt"


def test_another_database_is_no_keyring(file: Path) -> None:
    file.parent.mkdir()
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    sql(file, "CREATE TABLE other (x)")
    assert code(lambda: open_keyring(file, ROOT, create=True)) == "keyring_corrupt"


def test_a_keyring_made_but_never_filled_is_filled(file: Path) -> None:
    file.parent.mkdir()
    os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
    open_keyring(file, ROOT, create=True).close()
    open_keyring(file, ROOT).close()


def test_a_lost_first_record_is_damage(file: Path) -> None:
    sql(made(file), "DELETE FROM seal")
    assert code(lambda: open_keyring(file, ROOT)) == "keyring_corrupt"


@pytest.mark.parametrize("change", ["pseudonym = '" + "0" * 32 + "'", "wrapped = 'text'", "wrapped = x'00'"])
def test_a_key_moved_or_damaged_does_not_open(file: Path, change: str) -> None:
    sql(made(file, KIM), f"UPDATE subject SET {change}")
    ring = open_keyring(file, ROOT)
    assert code(lambda: ring.subject("acme", "0" * 32 if "pseudonym" in change else KIM)) == "keyring_corrupt"


def test_an_erased_subject_gets_no_new_key(file: Path) -> None:
    sql(made(file, KIM, LEE), f"UPDATE subject SET wrapped = NULL, erased = 1 WHERE pseudonym = '{KIM}'")
    ring = open_keyring(file, ROOT)
    with pytest.raises(LookupError):
        ring.subject("acme", KIM)
    assert ring.subject("acme", LEE)


def test_a_key_is_gone_only_where_it_is_marked(file: Path) -> None:
    made(file, KIM)
    with pytest.raises(sqlite3.IntegrityError):
        sql(file, "UPDATE subject SET wrapped = NULL")


def test_two_openings_agree_on_a_new_key(file: Path) -> None:
    one, two = open_keyring(file, ROOT, create=True), open_keyring(file, ROOT)
    assert one.subject("acme", KIM) == two.subject("acme", KIM)
    assert one.pseudonym("other") == two.pseudonym("other")


def test_a_key_that_cannot_be_kept_is_not_handed_out(file: Path) -> None:
    ring = open_keyring(made(file), ROOT)
    blocker = sqlite3.connect(file, isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    ring._connection.execute("PRAGMA busy_timeout = 0")
    assert code(lambda: ring.subject("acme", KIM)) == "keyring_unwritable"
    blocker.close()


def test_a_closed_keyring_says_so(file: Path) -> None:
    ring = open_keyring(file, ROOT, create=True)
    ring.subject("acme", KIM)
    ring.close()
    assert code(lambda: ring.subject("acme", KIM)) == "keyring_closed"


def test_a_folder_is_no_keyring(tmp_path: Path) -> None:
    assert code(lambda: open_keyring(tmp_path, ROOT, create=True)) == "keyring_exposed"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code(lambda: open_keyring(tmp_path / "file" / "keys.db", ROOT, create=True)) == "keyring_unwritable"
    assert code(lambda: open_keyring(tmp_path / "file" / "x" / "keys.db", ROOT, create=True)) == "keyring_unwritable"


def test_a_file_that_cannot_be_made_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(OSError(30, "Read-only file system")))
    assert code(lambda: open_keyring(file, ROOT, create=True)) == "keyring_unwritable"


def test_a_file_that_another_process_made_first_is_used(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(file, KIM)
    monkeypatch.setattr(os, "open", lambda *_: (_ for _ in ()).throw(FileExistsError()))
    _make(file)
    open_keyring(file, ROOT).close()


def test_a_locked_file_is_not_called_damaged(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = sqlite3.connect(made(file), isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, **{**k, "timeout": 0}))
    assert code(lambda: open_keyring(file, ROOT)) == "keyring_unwritable"
    blocker.close()


def test_a_file_damaged_while_it_is_open_is_named(file: Path) -> None:
    ring = open_keyring(made(file), ROOT)
    content = file.read_bytes()
    file.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    assert code(lambda: ring.subject("acme", KIM)) == "keyring_corrupt"


@pytest.mark.promise("journal-keys-stand-apart")
def test_what_is_deleted_is_overwritten(file: Path) -> None:
    ring: SqliteKeyring = open_keyring(file, ROOT, create=True)
    assert ring._connection.execute("PRAGMA secure_delete").fetchone() == (1,)
    assert ring._connection.execute("PRAGMA synchronous").fetchone() == (3,)
