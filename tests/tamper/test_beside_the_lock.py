"""Writers that ask nobody: rows put into every table, a write-ahead log cut and flipped, keys flipped."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from tests.tamper.database import ROWS
from tests.tamper.world import Fast, World, entered, said, say

# A sealed value that no payload names is read by nobody.
HARMLESS = {"body"}


@pytest.fixture(scope="module")
def fast(world: World) -> Fast:
    return Fast(world)


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def insert(world: World, table: str) -> None:
    """Puts a second row like the first one into a table, under another key."""
    changed = {"record": {"place": "max(place) + 1"}, "node": {"position": "position + 9999"}, "log": {"number": "9"}}
    other = {"used": {"id": "id || '0'"}, "body": {"mac": "mac || '0'", "number": "9999"}}
    with closing(sqlite3.connect(world.database)) as connection, connection:
        told = changed.get(table) or other.get(table) or {"id": "id || '0'", "number": "9999"}
        told |= {"tenant": "tenant || '0'"} if table == "log" else {}
        names = columns(connection, table)
        if table in ROWS:
            row = ROWS[table].row(connection.execute(f"SELECT data FROM {table}").fetchone()[0])
            data = msgspec.msgpack.encode(msgspec.structs.replace(row, id=row.id + "0"))
            told["data"] = f"x'{data.hex()}'"
        picked = ", ".join(told.get(name, name) for name in names)
        connection.execute(f"INSERT INTO {table} SELECT {picked} FROM {table} LIMIT 1")


def tables(world: World) -> list[str]:
    with closing(sqlite3.connect(world.database)) as connection:
        found = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return sorted(t for t in found if connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0])


def test_a_row_put_into_any_table_is_noticed(world: World, fast: Fast, tmp_path: Path) -> None:
    passed = set()
    for table in tables(world):
        copy = world.copy(tmp_path / "copy")
        insert(copy, table)
        if fast.verdict(copy).how == "silent":
            passed.add(table)
    assert passed == HARMLESS


def test_a_record_written_past_the_owner_is_refused_at_opening(world: World, fast: Fast, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    insert(copy, "record")
    assert fast.verdict(copy).what == "journal_corrupt"


@pytest.fixture(scope="module")
def unfinished(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """A project copied while its last run stands in the write-ahead log only."""
    live = world.copy(tmp_path_factory.mktemp("wal") / "live")
    with closing(sqlite3.connect(live.database)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM log").fetchone()
        with entered(live.folder):
            say("run", "handle", "3", "--key", "last")
        return live.copy(live.folder.parent / "kept")


def spoiled(raw: bytes) -> Iterator[bytes]:
    chance = random.Random(7)
    for part in range(8):
        yield raw[: len(raw) * part // 8]
    for at in chance.sample(range(32, len(raw)), 8):
        yield raw[:at] + bytes([raw[at] ^ 0x10]) + raw[at + 1 :]


def test_what_a_torn_write_ahead_log_loses_is_known_to_the_signer(
    unfinished: World, fast: Fast, tmp_path: Path
) -> None:
    name = "state/desk.db-wal"
    raw, whole = (unfinished.folder / name).read_bytes(), fast.verdict(unfinished.copy(tmp_path / "whole"))
    assert whole.how == "silent" and len(raw) > 10_000
    for content in spoiled(raw):
        copy = unfinished.copy(tmp_path / "copy")
        (copy.folder / name).write_bytes(content)
        found = fast.verdict(copy)
        assert found.what in ("signer_ahead", "journal_corrupt") or found.told == whole.told


def test_a_flipped_bit_in_any_subjects_key_is_noticed(world: World, fast: Fast, tmp_path: Path) -> None:
    with closing(sqlite3.connect(world.keyring)) as connection:
        keys = connection.execute("SELECT rowid, wrapped FROM subject").fetchall()
    for number, wrapped in keys:
        copy = world.copy(tmp_path / "copy")
        flipped = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
        with closing(sqlite3.connect(copy.keyring)) as connection, connection:
            connection.execute("UPDATE subject SET wrapped = ? WHERE rowid = ?", (flipped, number))
        assert fast.verdict(copy).how != "silent"


def test_only_the_approvers_that_are_named_count(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    with entered(copy.folder):
        known = said("verify", "export", "--vkey", copy.facts["vkey"], "--approver", copy.facts["approver"])
        other = said("verify", "export", "--vkey", copy.facts["vkey"], "--approver", "0" * 32)
    assert known["ok"] is True and other["ok"] is False
    assert [check["name"] for check in other["checks"] if not check["ok"]] == ["approvals"]
