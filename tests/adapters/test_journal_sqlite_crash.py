"""Real processes, really killed: what was acknowledged is there, what is there is whole."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flyball.core.journal import Appended, ClaimRow, HoldRow
from flyball.core.merkle import leaf_hash, root_from_leaves
from tests.adapters.journal_appends import numbered, open_journal, with_this_path

WRITE = """
import asyncio, sys
from pathlib import Path
from flyball.core.budget import Amounts
from flyball.core.journal import Appended, Claim, Hold, Reserve
from tests.adapters.journal_appends import numbered, open_journal

async def main():
    journal = open_journal(Path(sys.argv[1]))
    start = journal.view("acme").tree()[1].size
    async def writes(offset):
        number = start + offset
        while True:
            answer = await journal.append(numbered(
                number, claims=(Claim(scope="key", key=str(number), digest="d", owner="o"),),
                reserve=Reserve(id=str(number), holds=(Hold(node="acme", amounts=Amounts(usd=1)),)),
            ))
            assert isinstance(answer, Appended), answer
            print(number, flush=True)
            number += 16
    await asyncio.gather(*(writes(offset) for offset in range(16)))

asyncio.run(main())
"""


def killed_while_writing(path: Path, after: int) -> set[int]:
    """What a process had been told was durable when it was killed."""
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_this_path()) as process:
        assert process.stdout is not None
        told = {int(process.stdout.readline()) for _ in range(after)}
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().splitlines(keepends=True)
    return told | {int(line) for line in rest if line.endswith("\n")}


@pytest.mark.promise("journal-all-or-nothing", "journal-acknowledged-is-durable")
@pytest.mark.parametrize("after", [1, 150, 700])
async def test_after_a_kill_all_that_was_acknowledged_is_there_and_whole(tmp_path: Path, after: int) -> None:
    path = tmp_path / "journal.db"
    told = killed_while_writing(path, after)
    journal = open_journal(path)
    view = journal.view("acme")
    records, (_, frontier) = view.records(), view.tree()
    there = {int(record.path) for record in records}
    claims = {int(row.id.removeprefix("key|")) for row in view.rows(ClaimRow)}
    holds = {int(row.id) for row in view.rows(HoldRow)}
    assert told <= there == claims == holds
    assert [record.index for record in records] == list(range(frontier.size))
    assert frontier.root() == root_from_leaves(leaf_hash(record.leaf) for record in records)
    answer = await journal.append(numbered(max(there)))
    assert isinstance(answer, Appended) and answer.repeated
    await journal.close()
