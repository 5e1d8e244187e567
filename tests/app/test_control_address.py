"""Where the owner is reached: the socket beside the database, its permissions, what a dead owner leaves."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from flyball.app.control.address import MOST_PATH, bind, find, peer


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "desk.db"


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    folder = tmp_path / ("d" * 60) / ("e" * 60)
    folder.mkdir(parents=True)
    return folder / "desk.db"


def connected(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.connect(str(path))
    return made


def test_the_socket_is_beside_the_database_and_of_mode_0600(database: Path) -> None:
    bound = bind(database)
    with bound.socket:
        assert bound.path == database.with_name("desk.db.sock") == find(database)
        assert stat.S_IMODE(bound.path.stat().st_mode) == 0o600
        connected(bound.path).close()
        bound.release()
    assert find(database) is None


def test_the_other_end_is_told_by_the_kernel(database: Path) -> None:
    bound = bind(database)
    with bound.socket, connected(bound.path) as client:
        bound.socket.setblocking(True)
        server, _ = bound.socket.accept()
        with server:
            assert peer(server) == peer(client) == os.geteuid()


def test_what_a_dead_owner_left_is_replaced(database: Path) -> None:
    bind(database).socket.close()
    assert find(database) is not None
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(database.with_name("desk.db.sock")))
    bound = bind(database)
    with bound.socket:
        connected(bound.path).close()


def test_a_path_that_is_too_long_is_replaced_by_a_short_one_in_a_folder_of_its_own(deep: Path) -> None:
    bound = bind(deep)
    with bound.socket:
        assert bound.path == find(deep) and len(os.fsencode(bound.path)) <= MOST_PATH
        assert stat.S_IMODE(bound.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(deep.with_name("desk.db.sock.at").stat().st_mode) == 0o600
        connected(bound.path).close()
        bound.release()
    assert find(deep) is None and not bound.path.parent.exists()


def test_a_short_path_that_a_dead_owner_left_is_cleared_away(deep: Path) -> None:
    first = bind(deep)
    first.socket.close()
    second = bind(deep)
    with second.socket:
        assert not first.path.parent.exists() and second.path == find(deep)
        second.release()


def test_where_the_folder_for_short_paths_is_long_too_another_one_is_taken(
    deep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(deep.parent))
    bound = bind(deep)
    with bound.socket:
        assert len(os.fsencode(bound.path)) <= MOST_PATH
        bound.release()


def test_a_note_that_others_can_write_leads_nowhere(deep: Path) -> None:
    bound = bind(deep)
    with bound.socket:
        bound.note.chmod(0o622)
        assert find(deep) is None
        bound.note.chmod(0o600)
        bound.release()


def test_what_is_no_socket_is_neither_used_nor_removed(database: Path) -> None:
    other = database.with_name("desk.db.sock")
    other.write_text("mine")
    assert find(database) is None
    with pytest.raises(OSError, match="in use"):
        bind(database)
    assert other.read_text() == "mine"


def test_a_note_never_removes_what_it_does_not_own(deep: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("x")
    note = deep.with_name("desk.db.sock.at")
    note.write_bytes(os.fsencode(precious))
    note.chmod(0o600)
    bound = bind(deep)
    with bound.socket:
        assert precious.exists()
        bound.release()
