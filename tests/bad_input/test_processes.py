"""Real processes over one database on disk; what they did is counted by this one."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from flyball import Executed, FlyballError
from tests.bad_input.bank import KIM, on_disk, pay

TELLER = Path(__file__).with_name("teller.py")


async def start(folder: Path, *words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(sys.executable, TELLER, folder, *words, stdout=pipe, stderr=pipe)


async def told(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """What a process said before it ended."""
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert out, err.decode()
    said: dict[str, Any] = json.loads(out)
    return said


async def teller(folder: Path, *words: str) -> dict[str, Any]:
    return await told(await start(folder, *words))


def paid(folder: Path) -> list[int]:
    file = folder / "paid"
    return [int(line.split()[0]) for line in file.read_text().splitlines()] if file.exists() else []


@pytest.mark.promise("journal-t1-is-fenced")
async def test_two_processes_that_drive_one_run_make_one_effect_and_one_clear_refusal(tmp_path: Path) -> None:
    first = await start(tmp_path, "hold", "50")
    async with asyncio.timeout(20):
        while not paid(tmp_path):
            await asyncio.sleep(0.01)
    refused = await teller(tmp_path, "run", "50")
    assert refused["error"] == "journal_owned" and f"process {first.pid} owns it" in refused["said"]
    (tmp_path / "let").touch()
    done = await told(first)
    assert done == {"reason": "completed", "value": "paid 50", "verified": True}
    assert await teller(tmp_path, "run", "50") == done and paid(tmp_path) == [50]


@pytest.mark.promise("api-same-key-same-run")
async def test_processes_that_start_one_run_at_the_same_moment_make_one_effect(tmp_path: Path) -> None:
    said = await asyncio.gather(*[teller(tmp_path, "run", "50") for _ in range(3)])
    assert paid(tmp_path) == [50] and [s["value"] for s in said if "value" in s]
    assert {s["error"] for s in said if "error" in s} <= {"journal_owned"}


@pytest.mark.promise("gate-edit-is-a-new-proposal")
async def test_an_approval_edited_in_one_process_is_decided_again_and_sent_by_another(tmp_path: Path) -> None:
    asked = await teller(tmp_path, "run", "900")
    assert asked["reason"] == "waiting" and asked["arguments"] == {"cents": 900}
    again = await teller(tmp_path, "edit", "fay", asked["pending"], asked["over"])
    assert again["reason"] == "waiting" and again["arguments"] == {"cents": 150} and again["over"] != asked["over"]
    late, editor = await teller(tmp_path, "approve", "noor", asked["pending"], asked["over"]), None
    assert late["error"] == "conflict" and not paid(tmp_path)
    editor = await teller(tmp_path, "approve", "fay", again["pending"], again["over"])
    assert editor["error"] == "not_eligible" and not paid(tmp_path)
    done = await teller(tmp_path, "approve", "noor", again["pending"], again["over"])
    assert done == {"reason": "completed", "value": "paid 150", "verified": True} and paid(tmp_path) == [150]


@pytest.mark.promise("gate-approve-the-version-shown")
async def test_what_was_edited_between_show_and_approve_is_a_conflict_that_consumes_nothing(tmp_path: Path) -> None:
    asked = await teller(tmp_path, "run", "900")
    stale = await teller(tmp_path, "approve", "noor", asked["pending"], "0" * 64)
    assert stale["error"] == "conflict" and "not what you were shown" in stale["said"] and not paid(tmp_path)
    done = await teller(tmp_path, "approve", "noor", asked["pending"], asked["over"])
    assert done["value"] == "paid 900" and paid(tmp_path) == [900]


@pytest.mark.parametrize("kept", [(), (".root",), (".root", ".keys")], ids=["database", "root key", "keyring"])
async def test_a_first_start_that_was_killed_before_it_had_all_its_keys_is_begun_again(
    tmp_path: Path, kept: tuple[str, ...]
) -> None:
    async with on_disk(tmp_path):  # opened, and nothing was done with it
        pass
    for file in keys(tmp_path):
        file.unlink() if file.suffix not in kept else None
    async with on_disk(tmp_path) as app:
        assert isinstance(await app.act(pay, {"cents": 1}, by=KIM, call_id="1"), Executed)
        assert (await app.ledger.verify()).ok


@pytest.mark.promise("journal-keys-and-state-are-one-file")
@pytest.mark.parametrize("lost", [".keys", ".signer", ".root"])
async def test_a_key_that_is_lost_beside_a_log_is_an_error_until_it_is_there_again(tmp_path: Path, lost: str) -> None:
    async with on_disk(tmp_path) as app:
        await app.act(pay, {"cents": 1}, by=KIM, call_id="1")
    (file,) = [f for f in keys(tmp_path) if f.suffix == lost]
    away = file.rename(tmp_path / "away")
    for _ in range(2):  # the database is given back each time
        with pytest.raises(FlyballError, match="there is no"):
            await on_disk(tmp_path).__aenter__()
    away.rename(file)
    async with on_disk(tmp_path) as app:
        assert (await app.ledger.verify()).ok


def keys(folder: Path) -> list[Path]:
    return [f for f in folder.rglob("*") if f.suffix in (".root", ".keys", ".signer")]
