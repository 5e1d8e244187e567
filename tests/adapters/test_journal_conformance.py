"""Both journals keep every promise of the suite that is shipped to users."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import pytest

from flyball.adapters.journal_memory import MemoryJournal
from flyball.adapters.journal_sqlite.journal import SqliteJournal
from flyball.ports.journal import Journal
from flyball.testing.conformance.journal import PROMISES, Promise
from flyball.testing.conformance.writers import TwoWriters


class Chance:
    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class MemoryStore:
    def __init__(self) -> None:
        self.journal = MemoryJournal(Chance())

    def open(self) -> Journal:
        self.journal = self.journal.reopened()
        return self.journal


class SharedStore(MemoryStore):
    def open(self) -> Journal:
        self.journal = self.journal.reopened()
        return TwoWriters(self.journal, self.journal.beside())


class SqliteStore:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Journal:
        return SqliteJournal.open(self.path, entropy=Chance())


@pytest.mark.promise("journal-one-suite-two-journals")
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_journal_in_memory_promises(promise: Promise) -> None:
    asyncio.run(promise(MemoryStore()))


@pytest.mark.promise("journal-one-suite-two-journals")
@pytest.mark.promise("journal-bad-append-hurts-only-itself", case="a_bad_append_hurts_only_itself")
@pytest.mark.promise("journal-bodies-are-stored-once", case="a_body_is_kept_once")
@pytest.mark.promise("journal-cancelled-waiter", case="a_cancelled_waiter_hurts_nobody")
@pytest.mark.promise("journal-four-answers", case="a_closed_journal_refuses")
@pytest.mark.promise("journal-all-or-nothing", case="a_conflict_writes_nothing")
@pytest.mark.promise("journal-appends-have-an-id", case="a_known_append_changes_nothing")
@pytest.mark.promise("journal-t1-checks-epochs", case="a_moved_epoch_is_a_conflict")
@pytest.mark.promise("journal-inbox-moves-no-fence", case="a_parked_run_is_woken")
@pytest.mark.promise("gate-budgets-are-a-tree", case="a_reservation_is_granted_by_all_nodes_or_none")
@pytest.mark.promise("gate-caps-per-tenant", case="what_waits_counts_while_it_is_open")
@pytest.mark.promise("journal-step-recorded-once", case="a_step_is_recorded_once")
@pytest.mark.promise("journal-readers-have-deadlines", case="a_view_is_a_snapshot")
@pytest.mark.promise("gate-approval-used-once", case="an_approval_is_consumed_once")
@pytest.mark.promise("journal-first-outcome-wins", case="an_ended_run_takes_no_more")
@pytest.mark.promise("journal-group-commit", case="indexes_have_no_gap")
@pytest.mark.promise("journal-t1-is-fenced", case="one_of_two_drivers_wins")
@pytest.mark.promise("journal-t1-is-fenced", case="only_the_driver_appends")
@pytest.mark.promise("journal-parking-sleeps-over-nothing", case="parking_with_a_newer_inbox_makes_ready")
@pytest.mark.promise("journal-events-by-cursor", case="records_come_in_pages")
@pytest.mark.promise("gate-tenants-are-apart", case="tenants_do_not_see_each_other")
@pytest.mark.promise("journal-leaves-have-no-index", case="the_tree_is_that_of_the_leaves")
@pytest.mark.promise("journal-acknowledged-is-durable", case="what_was_answered_is_durable")
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_journal_in_sqlite_promises(promise: Promise, tmp_path: Path) -> None:
    asyncio.run(promise(SqliteStore(tmp_path / "journal.db")))


@pytest.mark.promise("journal-two-writers")
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_two_writers_over_one_content_promise(promise: Promise) -> None:
    asyncio.run(promise(SharedStore()))
