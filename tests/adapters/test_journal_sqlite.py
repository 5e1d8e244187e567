"""What only the SQLite journal has to promise: group commit and its failures, views with deadlines, the file's size."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from flyball.adapters.journal_sqlite import writer
from flyball.adapters.journal_sqlite.queries import TABLES
from flyball.adapters.journal_sqlite.view import Readers
from flyball.core.errors import FlyballError
from flyball.core.journal import Appended, BlobRow, EpochRow, Indeterminate, KeyRow, PendingRow, Refused, Row, RunRow
from flyball.core.merkle import Frontier
from flyball.testing.conformance.journal import append, entry, run_row
from tests.adapters.journal_appends import numbered, open_journal, sqlite_error, watched_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


# group commit ---------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-group-commit")
async def test_appends_that_wait_together_share_a_commit(path: Path) -> None:
    commits: list[str] = []
    journal = watched_journal(path, lambda sql: commits.append(sql) if sql == "COMMIT" else None)
    await asyncio.gather(*(journal.append(numbered(n)) for n in range(200)))
    await journal.close()
    assert len(commits) < 20


async def test_a_row_that_changes_often_in_a_batch_is_written_once(path: Path) -> None:
    journal = open_journal(path)
    await journal.append(append("s", put=(run_row(epoch=1),)))
    await asyncio.gather(*(journal.append(append(f"w{n}", wakes=("r",))) for n in range(100)))
    row = journal.view("acme").row(RunRow, "r")
    await journal.close()
    assert row is not None and row.inbox == 100


async def test_a_row_that_is_not_in_memory_is_read_from_the_file(path: Path) -> None:
    journal = open_journal(path)
    await journal.append(append("s", put=(run_row(),)))
    await journal.close()
    again = open_journal(path)
    found = [again.row(tenant, RunRow, id) for tenant, id in (("acme", "r"), ("acme", "q"), ("other", "r"))]
    await again.close()
    assert found == [run_row(), None, None]


@pytest.mark.promise("journal-bad-append-hurts-only-itself")
async def test_an_sql_error_is_answered_by_trying_each_append_alone(path: Path) -> None:
    gate, failures = threading.Event(), [sqlite_error(sqlite3.SQLITE_CONSTRAINT)]

    def fail_once(sql: str) -> None:
        if sql == "BEGIN IMMEDIATE":
            gate.wait(10)
        if "INTO record" in sql and failures:
            raise failures.pop()

    journal = watched_journal(path, fail_once)
    tasks = [asyncio.ensure_future(journal.append(numbered(n))) for n in range(8)]
    await asyncio.sleep(0.05)
    gate.set()
    answers = await asyncio.gather(*tasks)
    size = journal.view("acme").tree()[1].size
    await journal.close()
    assert sum(isinstance(answer, Appended) for answer in answers) == size >= 7


@pytest.mark.promise("journal-full-disk-refuses")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (sqlite3.SQLITE_FULL, "disk_full"),
        (sqlite3.SQLITE_READONLY, "read_only"),
        (sqlite3.SQLITE_BUSY, "read_only"),
        (sqlite3.SQLITE_TOOBIG, "too_large"),
    ],
)
async def test_what_the_file_cannot_take_is_refused_with_its_reason(path: Path, code: int, reason: str) -> None:
    errors = [sqlite_error(code)]

    def fail(sql: str) -> None:
        if "INTO record" in sql and errors:
            raise errors.pop()

    journal = watched_journal(path, fail)
    refused, later = await journal.append(numbered(1)), await journal.append(numbered(2))
    await journal.close()
    assert isinstance(refused, Refused) and refused.reason == reason
    assert isinstance(later, Appended) and later.first == 0


@pytest.mark.promise("journal-indeterminate-stops")
async def test_an_input_output_error_stops_the_journal(path: Path) -> None:
    def fail(sql: str) -> None:
        if "INTO record" in sql:
            raise sqlite_error(sqlite3.SQLITE_IOERR)

    journal = watched_journal(path, fail)
    answers = [await journal.append(numbered(n)) for n in range(2)]
    await journal.close()
    assert [answer.reason for answer in answers if isinstance(answer, Refused)] == ["closed", "closed"]


@pytest.mark.promise("journal-four-answers", "journal-indeterminate-stops")
async def test_a_commit_that_reports_an_error_is_indeterminate_until_it_is_looked_up(path: Path) -> None:
    def fail(sql: str) -> None:
        if sql == "COMMIT":
            raise sqlite_error(sqlite3.SQLITE_IOERR)

    journal = watched_journal(path, fail)
    doubtful, later = await journal.append(numbered(1)), await journal.append(numbered(2))
    await journal.close()
    assert isinstance(doubtful, Indeterminate)
    assert isinstance(later, Refused) and later.reason == "closed" and "again" in later.detail
    again = open_journal(path)
    assert await again.append(numbered(1)) == Appended(first=0, size=1)
    await again.close()


@pytest.mark.promise("journal-full-disk-refuses")
async def test_a_commit_on_a_full_disk_is_refused_because_nothing_is_there(path: Path) -> None:
    errors = [sqlite_error(sqlite3.SQLITE_FULL)]

    def fail(sql: str) -> None:
        if sql == "COMMIT" and errors:
            raise errors.pop()

    journal = watched_journal(path, fail)
    refused, again = await journal.append(numbered(1)), await journal.append(numbered(1))
    await journal.close()
    assert isinstance(refused, Refused) and refused.reason == "disk_full"
    assert again == Appended(first=0, size=1)


@pytest.mark.promise("journal-full-disk-refuses")
async def test_a_file_that_may_not_grow_refuses_and_goes_on_when_it_may(path: Path) -> None:
    connections: list[sqlite3.Connection] = []
    journal = watched_journal(path, lambda sql: None)
    connections.append(journal._writer._connection)
    pages = connections[0].execute("PRAGMA page_count").fetchone()[0]
    connections[0].execute(f"PRAGMA max_page_count = {pages + 4}")
    large = append("big", put=(BlobRow(id="b", content=bytes(100_000)),))
    answers = await asyncio.gather(journal.append(numbered(1)), journal.append(large), journal.append(numbered(2)))
    connections[0].execute("PRAGMA max_page_count = 100000")
    after = await journal.append(large)
    await journal.close()
    assert isinstance(answers[1], Refused) and answers[1].reason == "disk_full"
    assert isinstance(answers[0], Appended) and isinstance(answers[2], Appended) and isinstance(after, Appended)


@pytest.mark.promise("journal-disk-reserve")
async def test_what_is_left_on_the_disk_is_kept_for_outcomes(path: Path) -> None:
    journal = open_journal(path, disk_reserve=1 << 60)
    intent, outcome = await journal.append(numbered(1)), await journal.append(numbered(2, urgent=True))
    await journal.close()
    assert isinstance(intent, Refused) and intent.reason == "disk_full"
    assert isinstance(outcome, Appended)


@pytest.mark.promise("journal-indeterminate-stops")
async def test_whatever_goes_wrong_in_the_writer_is_answered(path: Path) -> None:
    def fail(sql: str) -> None:
        if "INTO record" in sql:
            raise MemoryError

    journal = watched_journal(path, fail)
    answers = [await asyncio.wait_for(journal.append(numbered(n)), 10) for n in range(2)]
    await journal.close()
    assert isinstance(answers[0], Indeterminate)
    assert isinstance(answers[1], Refused) and answers[1].reason == "closed"


# relaxed --------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-reads-skip-only-the-fsync")
async def test_a_relaxed_append_is_answered_before_its_commit_and_others_are_not(path: Path) -> None:
    gate = threading.Event()

    def hold_up(sql: str) -> None:
        if sql == "COMMIT":
            gate.wait(10)

    journal = watched_journal(path, hold_up)
    plain = asyncio.ensure_future(journal.append(numbered(1)))
    await asyncio.sleep(0.05)
    relaxed = asyncio.ensure_future(journal.append(numbered(2, relaxed=True)))
    await asyncio.sleep(0.05)
    assert not plain.done() and not relaxed.done()
    gate.set()
    assert isinstance(await plain, Appended) and isinstance(await relaxed, Appended)
    assert isinstance(await journal.append(numbered(3)), Appended)  # so that nothing is under way
    gate.clear()
    early = await asyncio.wait_for(journal.append(numbered(4, relaxed=True)), 5)
    seen_early = journal.view("acme").tree()[1].size
    gate.set()
    await journal.close()
    assert isinstance(early, Appended) and (early.first, seen_early) == (3, 3)


@pytest.mark.promise("journal-reads-skip-only-the-fsync")
async def test_a_relaxed_append_that_turns_out_not_to_be_possible_stops_the_journal(path: Path) -> None:
    failing = [True]

    def fail(sql: str) -> None:
        if sql == "COMMIT" and failing:
            raise sqlite_error(sqlite3.SQLITE_FULL)

    journal = watched_journal(path, fail)
    early = await journal.append(numbered(1, relaxed=True))
    later = await journal.append(numbered(2))
    failing.clear()
    await journal.close()
    assert isinstance(early, Appended)
    assert isinstance(later, Refused) and later.reason == "closed" and "accepted" in later.detail


# views ----------------------------------------------------------------------------------------------------------------
@pytest.mark.promise("journal-readers-have-deadlines")
async def test_a_view_ends_at_its_deadline(path: Path) -> None:
    journal = open_journal(path, view_seconds=0.02)
    await journal.append(numbered(1))
    view = journal.view("acme")
    await asyncio.sleep(0.05)
    with pytest.raises(FlyballError, match="take a new view") as caught:
        view.records()
    await journal.close()
    assert caught.value.code == "view_expired"


@pytest.mark.promise("journal-readers-have-deadlines")
def test_a_query_that_passes_the_deadline_is_interrupted() -> None:
    readers = Readers(lambda: sqlite3.connect(":memory:", isolation_level=None), seconds=0.05)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"
    started = time.monotonic()
    with pytest.raises(FlyballError) as caught:
        readers.lend().all(endless, ())
    readers.close()
    assert caught.value.code == "view_expired" and time.monotonic() - started < 5


async def test_views_give_their_connections_back(path: Path) -> None:
    journal = open_journal(path)
    with journal.view("acme") as view:
        assert view.records() == []
    for _ in range(50):
        journal.view("acme").records()
    held = [journal.view("acme") for _ in range(6)]
    await journal.close()
    with pytest.raises(FlyballError) as caught:
        held[0].records()
    assert caught.value.code == "view_expired"
    with pytest.raises(FlyballError) as closed:
        journal.view("acme")
    assert closed.value.code == "journal_closed"


@pytest.mark.promise("journal-readers-have-deadlines")
async def test_a_long_view_does_not_keep_the_log_of_writes_from_shrinking(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "WAL_BYTES", 100_000)
    monkeypatch.setattr(writer, "BATCHES_BETWEEN_LOOKS", 1)
    journal = open_journal(path, view_seconds=1.0)
    wal, forgotten = path.with_name("journal.db-wal"), journal.view("acme")
    for number in range(50):
        await journal.append(numbered(number))
    grown = os.stat(wal).st_size
    await asyncio.sleep(1.0)
    for number in range(50, 52):  # the second is answered after the first was looked after
        await journal.append(numbered(number))
    shrunk = os.stat(wal).st_size
    await journal.close()
    assert grown > 200_000 > shrunk
    assert forgotten.tree() == ("", Frontier())


@pytest.mark.promise("journal-not-across-fork")
async def test_a_child_process_may_not_use_its_parents_journal(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = open_journal(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        for use in (lambda: journal.view("acme"), journal.tenants):
            with pytest.raises(FlyballError) as caught:
                use()
            assert caught.value.code == "journal_forked"
        with pytest.raises(FlyballError):
            await journal.append(numbered(1))
    await journal.close()


async def test_what_another_program_changed_is_not_overwritten_from_memory(path: Path) -> None:
    journal = open_journal(path)
    await journal.append(append("a", entry("r", "1"), raises=("kill",)))
    with sqlite3.connect(path) as stranger:
        stranger.execute("DELETE FROM epoch")
    stranger.close()
    answer = await journal.append(append("b", raises=("kill",)))
    rows = sqlite3.connect(path)
    count = rows.execute("SELECT count(*) FROM epoch").fetchone()
    rows.close()
    await journal.close()
    assert isinstance(answer, Appended) and count == (1,)


async def test_many_tenants_are_not_all_kept_in_memory(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "KEPT_LOGS", 3)
    journal = open_journal(path)
    for turn in range(2):
        for tenant in range(8):
            answer = await journal.append(numbered(turn, tenant=f"t{tenant}"))
            assert isinstance(answer, Appended) and answer.first == turn
    assert len(journal.tenants()) == 8
    await journal.close()


@pytest.mark.parametrize("suffix", ["", "@0", "@0@1", "?"])
async def test_an_append_is_known_again_however_it_is_named_after_its_record(path: Path, suffix: str) -> None:
    one, other = entry("r", "1"), entry("r", "2@3")
    wanted = append(one.id + suffix, one, other)
    first = await (journal := open_journal(path)).append(wanted)
    await journal.close()
    journal = open_journal(path)
    crowd = [journal.append(wanted), *(journal.append(numbered(n)) for n in range(10, 16))]
    again = [await journal.append(wanted), (await asyncio.gather(*crowd))[0]]
    strangers = [await journal.append(append(id)) for id in (one.id + "@9", "r/2", other.id, other.id + "@0")]
    await journal.close()
    assert first == Appended(first=0, size=2)
    assert again == [Appended(first=0, size=2, repeated=True)] * 2
    assert [answer.repeated for answer in strangers if isinstance(answer, Appended)] == [False] * 4


@pytest.mark.parametrize(
    ("kind", "columns"),
    [(RunRow, ["state"]), (RunRow, ["state", "session"]), (RunRow, ["parent"]), (PendingRow, ["state"]),
     (PendingRow, ["state", "run"]), (PendingRow, ["run", "kind"]), (KeyRow, ["person"])],
)  # fmt: skip
async def test_a_filtered_view_goes_by_an_index_and_never_reads_the_whole_log(
    path: Path, kind: type[Row], columns: list[str]
) -> None:
    await open_journal(path).close()
    with contextlib.closing(sqlite3.connect(path)) as opened:
        statement = TABLES[kind].some(columns)
        ((*_, plan),) = opened.execute(f"EXPLAIN QUERY PLAN {statement}", [None] * (1 + len(columns)))
    assert f"USING INDEX {kind.TABLE}_" in plan and any(f"{name}=?" in plan for name in columns)


async def test_a_row_from_memory_is_never_that_of_a_batch_that_was_not_committed(path: Path) -> None:
    full = list[bool]()

    def before(sql: str) -> None:
        if sql == "COMMIT" and full:
            raise sqlite_error(sqlite3.SQLITE_FULL)

    journal = watched_journal(path, before)
    await journal.append(numbered(1, raises=("kill",)))
    full.append(True)
    refused = await journal.append(numbered(2, raises=("kill",)))
    row = journal.row("acme", EpochRow, "kill")
    full.clear()
    answer = await journal.append(numbered(3, raises=("kill",)))
    rows = [row, journal.row("acme", EpochRow, "kill"), journal.view("acme").row(EpochRow, "kill")]
    await journal.close()
    assert isinstance(refused, Refused) and isinstance(answer, Appended)
    assert rows == [EpochRow(id="kill", value=value) for value in (1, 2, 2)]
