"""Both indexes of memories keep the promises of the suite that is shipped; the one in SQLite keeps its files clean."""

from __future__ import annotations

import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from msgspec.structs import replace

from flyball.adapters.memory_sqlite.index import SqliteMemory
from flyball.adapters.memory_twin import MemoryTwin
from flyball.core.errors import FlyballError
from flyball.core.memory_index import Cursor, Drop
from flyball.testing.conformance.memory import CHECKS, KIM, LEE, READ, found, row, sought


@pytest.mark.promise("gate-memory-per-tenant")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_index_in_sqlite_promises(check: Any, tmp_path: Path) -> None:
    await check(lambda: SqliteMemory(tmp_path / "desk.memory"))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_index_in_memory_promises(check: Any) -> None:
    kept = MemoryTwin()
    await check(lambda: kept)


def holding(folder: Path, text: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


@pytest.mark.promise("gate-memory-per-tenant")
async def test_each_tenant_has_a_file_for_its_owners_eyes_alone(tmp_path: Path) -> None:
    index = SqliteMemory(tmp_path / "m")
    for tenant in ("acme", "other"):
        await index.apply(tenant, [row("m-1", "tea")], READ)
    files = list((tmp_path / "m").iterdir())
    assert len(list((tmp_path / "m").glob("*.db"))) == 2 and not any("acme" in path.name for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == 0o700
    await index.close()


@pytest.mark.parametrize("how", ["dropped", "expired", "replaced", "afresh"])
async def test_what_is_gone_leaves_no_word_in_any_file(tmp_path: Path, how: str) -> None:
    index = SqliteMemory(tmp_path)
    others = [row(f"m-{n}", f"green tea number {n} " * 9, expires=500) for n in range(99)]
    await index.apply("acme", [*others, row("m-x", "xylophonist zanzibar")], READ)
    assert holding(tmp_path, "zanzibar")
    changes: dict[str, Any] = {"dropped": [Drop("m-x")], "replaced": [row("m-x", "tea")]}
    now = 100 if how == "expired" else 0
    await index.apply("acme", changes.get(how, []), READ, now=now, afresh=how == "afresh")
    assert not holding(tmp_path, "zanzibar") and not holding(tmp_path, "xylophonist")
    await index.close()


async def test_a_file_that_is_none_is_made_again(tmp_path: Path) -> None:
    index = SqliteMemory(tmp_path)
    await index.apply("acme", [row("m-1", "tea")], READ)
    await index.close()
    [file] = tmp_path.glob("*.db")
    file.write_bytes(b"no database at all, and long enough to be looked at " * 99)
    again = SqliteMemory(tmp_path)
    assert (await again.held("acme", KIM, 0)).cursor == Cursor() and await found(again, sought("tea")) == []
    await again.close()


async def test_a_file_that_another_process_has_locked_is_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = SqliteMemory(tmp_path)
    await first.apply("acme", [row("m-1", "tea")], READ)
    [file] = tmp_path.glob("*.db")
    there, other = file.stat().st_ino, sqlite3.connect(file, isolation_level=None)
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **rest: connect(*args, **{**rest, "timeout": 0}))
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        await SqliteMemory(tmp_path).held("acme", KIM, 0)
    assert file.stat().st_ino == there
    other.close()
    await first.close()


async def test_a_file_of_another_format_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = SqliteMemory(tmp_path)
    await index.apply("acme", [row("m-1", "tea")], READ)
    await index.close()
    monkeypatch.setattr("flyball.adapters.memory_sqlite.index.FORMAT", 2)
    again = SqliteMemory(tmp_path)
    assert (await again.held("acme", KIM, 0)).cursor == Cursor()
    await again.close()


async def test_changes_are_made_all_or_none(tmp_path: Path) -> None:
    index = SqliteMemory(tmp_path)
    await index.apply("acme", [row("m-1", "tea")], READ)
    with pytest.raises(Exception, match="int"):
        await index.apply("acme", [row("m-2", "gin"), row("m-3", "rum", created=2**80)], Cursor(index=9))
    assert await found(index, sought("gin")) == [] and (await index.held("acme", KIM, 0)).cursor == READ
    await index.close()


def loadable() -> bool:
    """Has this Python sqlite-vec, and can it load it?"""
    try:
        SqliteMemory(Path())  # never opened
        SqliteMemory(Path(), vectors=True)
    except FlyballError:
        return False
    return True


vectors = pytest.mark.skipif(not loadable(), reason="needs flyball[vectors], and a Python that loads extensions")


@vectors
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_index_with_vectors_promises(check: Any, tmp_path: Path) -> None:
    await check(lambda: SqliteMemory(tmp_path / "desk.memory", vectors=True))


@vectors
async def test_vectors_are_compared_as_the_twin_compares_them(tmp_path: Path) -> None:
    index, twin = SqliteMemory(tmp_path, vectors=True), MemoryTwin()
    put = [replace(row(f"m-{n}", "x"), vector=(1.0, n / 10, -n / 7)) for n in range(9)]
    others = [replace(row("m-l", "x", owner=LEE), vector=(1.0, 0.0, 0.0)), row("m-w", "tea")]
    asked = replace(sought("tea"), vector=(0.5, 0.25, 0.0), limit=20)
    told = []
    for one in (index, twin):
        await one.apply("acme", [*put, *others], READ)
        told.append({f.row.id: f.cosine for f in await one.search("acme", asked)})
    assert told[0].keys() == told[1].keys() == {*(r.id for r in put), "m-w"} and told[0]["m-w"] is None
    assert all(told[0][r.id] == pytest.approx(told[1][r.id], abs=1e-6) for r in put)
    await index.close()


def test_vectors_without_their_extra_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with mock.patch.dict(sys.modules, {"sqlite_vec": None}), pytest.raises(FlyballError) as refused:
        SqliteMemory(tmp_path, vectors=True)
    assert refused.value.code == "vectors_extra" and "flyball[vectors]" in refused.value.fix
