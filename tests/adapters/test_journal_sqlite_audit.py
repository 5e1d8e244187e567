"""What a journal's file says twice, compared: nothing is wrong with one that only the journal wrote."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from flyball.adapters.journal_sqlite import audit, view
from flyball.adapters.journal_sqlite.audit import flaws
from flyball.adapters.journal_sqlite.journal import open_reader
from flyball.core.journal import Append, BlobRow, KeyRow
from flyball.testing.conformance.journal import append, entry, run_row
from tests.adapters.journal_appends import numbered, open_journal

A, B = entry("r", "1"), entry("r", "2")
KEY = KeyRow(id="k", person="user:fay", groups=(), public="", created=1)


@pytest.mark.parametrize(
    "honest",
    [
        append(A.id, A),
        append(f"{A.id}@1", A),
        append("own", A),
        append(A.id, A, B),
        append(f"{A.id}@1", A, B),
        append("own", A, B),
        append("rows alone", put=(run_row(epoch=1),)),
    ],
)
async def test_an_honest_journal_has_no_flaws(tmp_path: Path, honest: Append) -> None:
    journal = open_journal(tmp_path / "journal.db")
    await journal.append(append("first", entry("s", "0"), entry("s", "1")))
    await journal.append(honest)
    found = journal.flaws()
    await journal.close()
    assert found == []


async def made(path: Path) -> None:
    journal = open_journal(path)
    rows = (run_row(epoch=1), KEY, BlobRow(id="b", content=b"x"))
    await journal.append(append("first", entry("r", "0", bodies=(("mac", b"sealed"),)), put=rows))
    for number in range(1, 9):
        await journal.append(numbered(number))
    last = entry("r", "9", time=5)
    await journal.append(append(last.id, last))
    await journal.append(append("elsewhere", entry("r", "1"), tenant="other"))
    await journal.close()


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "journal.db"
    asyncio.run(made(path))
    return path


@pytest.fixture
def copy(journal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(audit, "PORTION", 3)
    copy = tmp_path / "journal.db"
    copy.write_bytes(journal.read_bytes())
    return copy


def found(path: Path, *statements: str) -> list[str]:
    """What is found after these statements."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)
    reader = open_reader(path)
    try:
        return reader.flaws()
    finally:
        reader.close()


def places(number: int) -> int:
    return number << 40


MISPLACED, UNFOUND = "a record stands at a place of another log", "a record is not found by its id"
UNRECORDED, MISANSWERED = "an id is used up by no record", "an append is answered with what is not in the log"
MISTIMED, MISCOUNTED = "the latest time is not that of the records", "the tree has not the nodes of its size"
COLUMNS = "columns are not what is held"
NAMELESS = msgspec.msgpack.encode(BlobRow(id="", content=b"x")).hex()


@pytest.mark.parametrize(
    ("statement", "flaw"),
    [
        (f"UPDATE record SET place = {places(3)} + 9 WHERE place = {places(1)} + 9", f"{MISPLACED}: {places(3) + 9}"),
        ("UPDATE record SET log = 2 WHERE path = '4'", f"{MISPLACED}: {places(1) + 4}"),
        ("UPDATE record SET path = '7x' WHERE path = '7'", f"{UNFOUND}: {places(1) + 7}"),
        ("UPDATE record SET time = 'noon' WHERE path = '7'", f"{UNFOUND}: {places(1) + 7}"),
        ("DELETE FROM used WHERE what = 0 AND id LIKE '%/5/%'", f"{UNFOUND}: {places(1) + 5}"),
        ("UPDATE used SET first = 6 WHERE what = 0 AND id LIKE '%/5/%'", f"{UNFOUND}: {places(1) + 5}"),
        ("UPDATE used SET size = 1 WHERE named IS NULL AND id LIKE 'r/5/%'", f"{UNFOUND}: {places(1) + 5}"),
        ("UPDATE used SET size = 2 WHERE named = ''", f"{UNFOUND}: {places(1) + 9}"),
        ("INSERT INTO used VALUES (1, 'r/x/1/intent', 0, 3, 0, NULL)", f"{UNRECORDED}: r/x/1/intent"),
        ("INSERT INTO used VALUES (1, 'r/x/1/intent', 0, 99, 0, NULL)", f"{UNRECORDED}: r/x/1/intent"),
        ("INSERT INTO used VALUES (1, 'x', 1, 0, 99, NULL)", f"{MISANSWERED}: x"),
        ("INSERT INTO used VALUES (1, 'x', 1, 5, 4, NULL)", f"{MISANSWERED}: x"),
        ("INSERT INTO used VALUES (1, 'x', 1, -1, 4, NULL)", f"{MISANSWERED}: x"),
        ("INSERT INTO used VALUES (1, 'x', 1, 1, 4, 'y')", f"{MISANSWERED}: x"),
        ("INSERT INTO used VALUES (1, 'x', 2, 1, 4, NULL)", f"{MISANSWERED}: x"),
        ("UPDATE log SET latest = 6 WHERE number = 1", f"{MISTIMED}: acme"),
        ("UPDATE log SET latest = 0 WHERE number = 2", f"{MISTIMED}: other"),
        ("DELETE FROM node WHERE level = 3", f"{MISCOUNTED}: acme"),
        ("DELETE FROM node WHERE level = 1 AND position = 4", f"{MISCOUNTED}: acme"),
        ("UPDATE node SET position = 9 WHERE level = 1 AND position = 2", f"{MISCOUNTED}: acme"),
        ("INSERT INTO node VALUES (1, 1, 5, x'00')", f"{MISCOUNTED}: acme"),
        ("INSERT INTO node VALUES (1, 1, 1.5, x'00')", f"{MISCOUNTED}: acme"),
        ("INSERT INTO node VALUES (1, 0, 0, x'00')", f"{MISCOUNTED}: acme"),
        ("INSERT INTO node VALUES (1, 'x', 0, x'00')", f"{MISCOUNTED}: acme"),
        ("UPDATE run SET state = 'ended'", f"{COLUMNS}: run r"), ("UPDATE run SET id = 'q'", f"{COLUMNS}: run q"),
        ("UPDATE key SET person = 'user:eve'", f"{COLUMNS}: key k"), ("UPDATE blob SET id = ''", f"{COLUMNS}: blob "),
        (f"UPDATE blob SET id = '', data = x'{NAMELESS}'", f"{COLUMNS}: blob "),
        ("UPDATE run SET data = x'00'", "run r: a row of run cannot be read"),
    ],
)  # fmt: skip
def test_what_is_said_twice_is_the_same_everywhere(copy: Path, statement: str, flaw: str) -> None:
    assert flaw in found(copy, statement)


@pytest.mark.parametrize("table", ["record", "used", "node", "body", "run", "key", "blob"])
def test_every_row_is_of_a_log_that_is_there(copy: Path, table: str) -> None:
    told = found(copy, f"UPDATE OR IGNORE {table} SET log = 7")
    assert told.count(f"the table {table} has rows of no log") == 1


def test_nothing_is_wrong_with_what_is_spoiled_here(copy: Path) -> None:
    assert found(copy) == []


def test_a_flaw_that_is_everywhere_is_told_a_few_times(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "MOST", 2)
    assert found(copy, "DELETE FROM used") == [f"{UNFOUND}: {places(1)}", f"{UNFOUND}: {places(1) + 1}"]


@pytest.mark.promise("journal-verified-while-it-grows")
def test_a_large_file_is_read_by_snapshots_of_one_portion(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Each question takes a tick, and a view lives for one: nothing can be asked twice of the same snapshot.
    ticks = count()
    monkeypatch.setattr(view, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    monkeypatch.setattr("flyball.adapters.journal_sqlite.journal.VIEW_SECONDS", 1.0)
    reader = open_reader(copy)
    reader._readers._seconds = 1.0
    assert reader.flaws() == []
    reader.close()


@pytest.mark.promise("journal-verified-while-it-grows")
async def test_what_is_appended_between_two_portions_is_no_flaw(copy: Path) -> None:
    owner, numbers = open_journal(copy), count(20)
    loop, reader = asyncio.get_running_loop(), open_reader(copy)

    def ask(sql: str, values: Sequence[object]) -> list[Any]:
        number = next(numbers)
        tenant = ("acme", "other", "new")[number % 3]
        more = append(f"a{number}", entry("r", f"{number}", time=number), tenant=tenant)
        asyncio.run_coroutine_threadsafe(owner.append(more), loop).result(10)
        return reader._ask(sql, values)

    assert await asyncio.to_thread(flaws, ask) == []
    reader.close()
    await owner.close()
