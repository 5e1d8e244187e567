"""What failed in other products and is shown by no other test: docs/reference/measured-elsewhere.md names them all."""

from __future__ import annotations

import ast
import asyncio
import sqlite3
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from flyball import Blocked, Call, Completed, Executed, FlyballError, Run, Waiting, flow, tool
from flyball.adapters.journal_memory import MemoryView
from flyball.core.config import Journal
from tests.bad_input.bank import KIM, PERMIT, POLICY, Books, books, in_memory, lab, look, memory, on_disk, pay, paying

SOURCES = Path(__file__).resolve().parents[2] / "src" / "flyball"
UNSAFE = {"dill", "cloudpickle", "marshal", "pickle", "shelve"}


@tool(effect="irreversible")
async def drop(call: Call, table: str, action: str = "read") -> str:
    """Drop a table, whatever its own argument calls that."""
    return str(await call.get(books).happen("drop", call))


@tool(effect="irreversible")
async def show(call: Call, table: str, action: str = "read") -> str:
    """Show a table; its arguments are those of drop."""
    return str(await call.get(books).happen("show", call))


@flow
async def looking(run: Run, times: int) -> int:
    for n in range(times):
        await run.call(look, n)
    return times


@pytest.mark.parametrize("arguments", [{}, {"action": "show"}, {"action": ""}, {"action": "DROP"}])
async def test_the_action_that_policy_sees_is_the_tool_and_no_argument_of_it(arguments: dict[str, str]) -> None:
    kept = Books()
    forbids = PERMIT + '@id("kept") forbid (principal, action == Action::"drop", resource);'
    async with lab(kept, forbids) as bank:
        assert isinstance(await bank.act(show, {"table": "users", **arguments}, call_id="0"), Executed)
        told = await bank.act(drop, {"table": "users", **arguments}, call_id="1")
        assert isinstance(told, Blocked) and told.reason == "policy_denied" and kept.calls == ["show"]


@pytest.mark.parametrize("name", ["PAY", "Pay", " pay", "pay ", "p\u0430y", "pay\u200b", "ｐａｙ", ""])
async def test_a_tool_has_one_spelling_and_another_one_calls_nothing(tmp_path: Path, name: str) -> None:
    kept = Books()
    async with in_memory(memory(), tmp_path, kept, POLICY) as app:
        with pytest.raises(FlyballError):
            await app.act(name, {"cents": 500}, by=KIM, call_id="1")
        assert not kept.calls and app.runs.list() == []


async def test_what_was_answered_is_in_the_file_that_the_configuration_names(tmp_path: Path) -> None:
    named = tmp_path / "elsewhere" / "named.db"
    async with on_disk(tmp_path, journal=Journal(path=str(named))) as app:
        assert isinstance(await app.act(pay, {"cents": 5}, by=KIM, call_id="1"), Executed)
        with closing(sqlite3.connect(f"file:{named}?mode=ro", uri=True)) as reader:
            ids = [row[0] for row in reader.execute("SELECT leaf FROM record")]
    assert [sum(f'"kind":"{kind}"'.encode() in leaf for leaf in ids) for kind in ("intent", "outcome")] == [1, 1]


async def test_what_waits_for_a_person_is_rows_and_neither_a_thread_nor_a_task(tmp_path: Path) -> None:
    async with in_memory(memory(), tmp_path, Books(), POLICY) as app:

        async def park(many: range) -> tuple[int, int]:
            for n in many:
                run = await app.start(paying, {"cents": 500}, by=KIM, key=str(n))
                assert isinstance(await run.result(), Waiting)
            await asyncio.sleep(0)
            return len(asyncio.all_tasks()), threading.active_count()

        few, many = await park(range(2)), await park(range(2, 30))
        assert many[0] < few[0] + 5 and many[1] <= few[1]  # the last one's driver may still be putting itself away
        assert len(app.approvals.list()) == 30


async def test_a_step_reads_no_more_of_the_log_the_longer_its_run_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, real = [0], MemoryView.records

    def counted(self: MemoryView, **asked: Any) -> Any:
        found = real(self, **asked)
        read[0] += len(found) if asked.get("run") else 0  # the signer reads whatever is new, whenever it likes
        return found

    monkeypatch.setattr(MemoryView, "records", counted)
    async with in_memory(memory(), tmp_path, Books(), PERMIT, sys.modules[__name__]) as app:

        async def reads(times: int) -> int:
            read[0] = 0
            assert isinstance(await app.run(looking, times, by=KIM), Completed)
            return read[0]

        short = await reads(20)
        assert await reads(40) <= short + 20


def test_nothing_that_was_stored_is_read_by_what_runs_code() -> None:
    def imported(file: Path) -> set[str]:
        found = [n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(n, ast.Import | ast.ImportFrom)]
        return {a.name.split(".")[0] for n in found if isinstance(n, ast.Import) for a in n.names} | {
            (n.module or "").split(".")[0] for n in found if isinstance(n, ast.ImportFrom)
        }

    assert {file.name: imported(file) & UNSAFE for file in SOURCES.rglob("*.py") if imported(file) & UNSAFE} == {}
