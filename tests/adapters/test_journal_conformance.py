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


class Chance:
    def bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)


class MemoryStore:
    def __init__(self) -> None:
        self.journal = MemoryJournal(Chance())

    def open(self) -> Journal:
        self.journal = self.journal.reopened()
        return self.journal


class SqliteStore:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> Journal:
        return SqliteJournal.open(self.path, entropy=Chance())


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_journal_in_memory_promises(promise: Promise) -> None:
    asyncio.run(promise(MemoryStore()))


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_journal_in_sqlite_promises(promise: Promise, tmp_path: Path) -> None:
    asyncio.run(promise(SqliteStore(tmp_path / "journal.db")))
