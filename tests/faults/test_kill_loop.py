"""SIGKILL at any moment, again and again, while many runs are driven; the effects are counted by the remote alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.faults.remote import Remote

TOIL = Path(__file__).with_name("toil.py")


async def toil(folder: Path, remote: Remote, runs: int) -> asyncio.subprocess.Process:
    """A worker that has opened its project."""
    pipe = asyncio.subprocess.PIPE
    worker = await asyncio.create_subprocess_exec(
        sys.executable, TOIL, folder, remote.path, str(runs), stdout=pipe, stderr=pipe
    )
    assert worker.stdout is not None and worker.stderr is not None
    async with asyncio.timeout(60):
        if await worker.stdout.readline() != b"ready\n":
            pytest.fail((await worker.stderr.read()).decode())
    return worker


async def killed(folder: Path, remote: Remote, runs: int, after: float) -> bool:
    worker = await toil(folder, remote, runs)
    await asyncio.sleep(after)
    if worker.returncode is None:
        os.kill(worker.pid, signal.SIGKILL)
    await worker.communicate()
    return worker.returncode == -signal.SIGKILL


async def finished(folder: Path, remote: Remote, runs: int) -> dict[str, Any]:
    worker = await toil(folder, remote, runs)
    async with asyncio.timeout(120):
        out, err = await worker.communicate()
    assert worker.returncode == 0, err.decode()
    told: dict[str, Any] = json.loads(out)
    return told


async def survives(folder: Path, *, kills: int, runs: int, seed: int) -> None:
    chance = Random(seed)
    async with Remote(folder / "s") as remote:
        died = [await killed(folder, remote, runs, chance.uniform(0.0, 0.6)) for _ in range(kills)]
        told = await finished(folder, remote, runs)
    assert died[0] and told["verified"]
    for call in told["calls"]:
        happened, tool = remote.happened(call["key"]), call["tool"]
        assert happened == 1 if call["status"] == "executed" else happened <= 1, call
        assert call["status"] == "executed" or (tool == "ring" and call["status"] == "unknown"), call
        assert tool == "pay" or remote.requests[tool, call["key"]] <= 1, call
    assert {key for _, key in remote.effects} <= {call["key"] for call in told["calls"]}
    assert len({call["run"] for call in told["calls"]}) == runs


@pytest.mark.promise("journal-acknowledged-is-durable")
async def test_runs_survive_being_killed_at_any_moment(tmp_path: Path) -> None:
    await survives(tmp_path, kills=3, runs=6, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
async def test_runs_survive_being_killed_again_and_again(tmp_path: Path, seed: int) -> None:
    await survives(tmp_path, kills=20, runs=40, seed=seed)
