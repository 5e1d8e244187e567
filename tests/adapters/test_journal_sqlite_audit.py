"""What a journal's file says twice, compared: nothing is wrong with one that only the journal wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from flyball.core.journal import Append
from flyball.testing.conformance.journal import append, entry, run_row
from tests.adapters.journal_appends import open_journal

A, B = entry("r", "1"), entry("r", "2")


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
