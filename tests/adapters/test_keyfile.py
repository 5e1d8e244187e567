"""Key files: who can read them, that they are never replaced, and what `FLYBALL_KEY` may be."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from flyball.adapters import keyfile
from flyball.core.credential import SigningKey, format_key
from flyball.core.errors import FlyballError

KIM = SigningKey(name="kim", seed=b"k" * 32)


def code(directory: Path, name: str = "anna") -> str:
    with pytest.raises(FlyballError) as caught:
        keyfile.create_key(name, directory)
    return caught.value.code


def test_a_new_key_is_a_file_that_its_owner_alone_can_read(tmp_path: Path) -> None:
    key, path = keyfile.create_key("anna", tmp_path / "keys")
    assert path == tmp_path / "keys" / "anna.key" and keyfile.read_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_mode_does_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _, path = keyfile.create_key("anna", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_keys_are_never_the_same(tmp_path: Path) -> None:
    assert keyfile.create_key("anna", tmp_path)[0].id != keyfile.create_key("kim", tmp_path)[0].id


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    key, path = keyfile.create_key("anna", tmp_path)
    assert code(tmp_path) == "key_exists" and keyfile.read_key(path) == key


def test_a_link_in_the_place_of_a_key_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "anna.key").symlink_to(tmp_path / "target")
    assert code(tmp_path) == "key_exists" and not (tmp_path / "target").exists()


def test_a_name_that_leaves_the_directory_makes_no_file(tmp_path: Path) -> None:
    assert code(tmp_path / "keys", "../anna") == "bad_key" and not (tmp_path / "keys").exists()


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code(tmp_path / "file" / "keys") == "key_unwritable"


def test_a_key_that_could_not_be_written_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert code(tmp_path) == "key_unwritable" and not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    _, path = keyfile.create_key("anna", tmp_path)
    path.chmod(mode)
    with pytest.raises(FlyballError) as caught:
        keyfile.read_key(path)
    assert caught.value.code == "key_exposed" and caught.value.fix == f"chmod 600 {path}"


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FlyballError, match="is not there"):
        keyfile.read_key(tmp_path / "none.key")
    with pytest.raises(FlyballError, match="cannot be read"):
        keyfile.read_key(tmp_path)


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "anna.key"
    path.write_bytes(b"\xff" * 10_000)
    path.chmod(0o600)
    with pytest.raises(FlyballError, match="this is no key"):
        keyfile.read_key(path)


def test_the_acting_key_is_a_path_or_the_line_itself(tmp_path: Path) -> None:
    key, path = keyfile.create_key("anna", tmp_path)
    assert keyfile.acting_key({"FLYBALL_KEY": str(path)}) == key
    assert keyfile.acting_key({"FLYBALL_KEY": "~/anna.key", "HOME": str(tmp_path)}) == key
    assert keyfile.acting_key({"FLYBALL_KEY": format_key(KIM)}) == KIM
    assert keyfile.acting_key({}) is None and keyfile.acting_key({"FLYBALL_KEY": " "}) is None


def test_keys_are_kept_where_the_environment_says() -> None:
    assert keyfile.key_directory({"FLYBALL_KEY_DIR": "/keys"}) == Path("/keys")
    assert keyfile.key_directory({"FLYBALL_KEY_DIR": "~/k", "HOME": "/home/kim"}) == Path("/home/kim/k")
    assert keyfile.key_directory({"HOME": "/home/kim"}) == Path("/home/kim/.config/flyball/keys")
    assert keyfile.key_directory({}) == Path.home() / ".config" / "flyball" / "keys"


def test_key_files_are_listed_by_name(tmp_path: Path) -> None:
    paths = [keyfile.create_key(name, tmp_path)[1] for name in ("kim", "anna")]
    (tmp_path / "notes.txt").write_text("")
    assert keyfile.list_keys(tmp_path) == tuple(sorted(paths))
    assert keyfile.list_keys(tmp_path / "none") == ()
