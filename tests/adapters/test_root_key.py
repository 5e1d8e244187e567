from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from flyball.adapters.root_key import root_key
from flyball.core.errors import FlyballError

KEY = bytes(range(32))


def code(action: Callable[[], object]) -> str:
    with pytest.raises(FlyballError) as refused:
        action()
    return refused.value.code


@pytest.mark.parametrize("written", [KEY.hex(), KEY.hex().upper(), base64.b64encode(KEY).decode(), KEY.hex() + "\n"])
def test_a_key_in_the_environment_is_hex_or_base64(written: str) -> None:
    assert root_key("env:ROOT", False, environ={"ROOT": written}) == KEY


@pytest.mark.parametrize("written", ["", "abc", "z" * 64, "é" * 64, base64.b64encode(KEY[:31]).decode()])
def test_a_key_that_is_not_32_bytes_is_refused_unquoted(written: str) -> None:
    with pytest.raises(FlyballError) as refused:
        root_key("env:ROOT", False, environ={"ROOT": written})
    assert refused.value.code == "bad_root_key"
    assert not written or written not in str(refused.value)


@pytest.mark.parametrize("source", ["", "env:", "file:", "ROOT", "vault:x"])
def test_a_source_is_env_or_file(source: str) -> None:
    assert code(lambda: root_key(source, True)) == "root_key_source"


def test_an_absent_variable_is_named() -> None:
    assert code(lambda: root_key("env:ROOT", True, environ={})) == "root_key_missing"


def test_a_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "root.key"
    key = root_key(f"file:{path}", True)
    assert path.stat().st_mode & 0o777 == 0o600
    assert root_key(f"file:{path}", True) == root_key(f"file:{path}", False) == key
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_file_is_not_made_unasked(tmp_path: Path) -> None:
    assert code(lambda: root_key(f"file:{tmp_path / 'root.key'}", False)) == "root_key_missing"


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    path.write_text(KEY.hex())
    path.chmod(0o644)
    assert code(lambda: root_key(f"file:{path}", True)) == "root_key_exposed"


def test_a_key_of_another_process_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "root.key"

    def slow(count: int) -> bytes:
        path.write_text(KEY.hex())
        path.chmod(0o600)
        return bytes(count)

    assert root_key(f"file:{path}", True, entropy=slow) == KEY


def test_a_folder_and_an_unwritable_place_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert code(lambda: root_key(f"file:{tmp_path / 'file' / 'root.key'}", True)) == "root_key_unwritable"
    assert code(lambda: root_key(f"file:{tmp_path}", True)) in {"root_key_exposed", "root_key_unwritable"}
