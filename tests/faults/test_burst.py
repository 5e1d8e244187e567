"""Many model calls at once, against a provider that counts what it is owed: never more than the budget allows."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.faults.burst import MAX_TOKENS

BURST = Path(__file__).with_name("burst.py")
# What the provider counts for each question, less than what is reserved for its longest text.
READ = 300
TOKENS, MICRO_USD = READ + MAX_TOKENS, READ + 4 * MAX_TOKENS


class Provider:
    """What it was asked, whether or not anybody took the answer. It knows how many were under way at most."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.url, self.asked, self.now, self.most = "", 0, 0, 0

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked, self.now = self.asked + 1, self.now + 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self.takes)
        self.now -= 1
        usage = {"prompt_tokens": READ, "completion_tokens": MAX_TOKENS}
        choice = {"message": {"content": "Something."}, "finish_reason": "stop"}
        return web.json_response({"id": "c", "model": "burst-1", "choices": [choice], "usage": usage})


@asynccontextmanager
async def provider(takes: float) -> AsyncIterator[Provider]:
    made, app = Provider(takes), web.Application()
    app.router.add_post("/v1/chat/completions", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield made
    finally:
        await runner.cleanup()


async def begun(folder: Path, url: str, runs: int, usd: str, tokens: int) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    args = (sys.executable, BURST, folder, url, str(runs), usd, str(tokens))
    worker = await asyncio.create_subprocess_exec(*args, stdout=pipe, stderr=pipe)
    assert worker.stdout is not None and worker.stderr is not None
    async with asyncio.timeout(60):
        if await worker.stdout.readline() != b"ready\n":
            pytest.fail((await worker.stderr.read()).decode())
    return worker


async def burst(
    folder: Path, *, runs: int, usd: str, tokens: int, kills: int, takes: float = 0.05
) -> tuple[Provider, dict[str, Any]]:
    """All runs at once, killed so often while calls are under way, then to the end. What the provider is owed, and what
    the log says."""
    async with provider(takes) as remote:
        for _ in range(kills):
            before = remote.asked
            worker = await begun(folder, remote.url, runs, usd, tokens)
            while worker.returncode is None and remote.asked < before + max(3, runs // 20):
                await asyncio.sleep(0.005)
            if worker.returncode is None:
                os.kill(worker.pid, signal.SIGKILL)
            await worker.communicate()
        worker = await begun(folder, remote.url, runs, usd, tokens)
        async with asyncio.timeout(240):
            out, err = await worker.communicate()
        assert worker.returncode == 0, err.decode()
    return remote, json.loads(out)


def holds(remote: Provider, told: dict[str, Any], *, runs: int, usd: int, tokens: int) -> None:
    assert told["verified"] and sum(told["ended"].values()) == runs
    assert set(told["ended"]) == {"completed", "budget_exhausted"}
    assert 0 < remote.asked * MICRO_USD <= usd and remote.asked * TOKENS <= tokens
    # What is on record is never less than what is owed, nor more than what was allowed, and nothing stays reserved.
    assert remote.asked * MICRO_USD <= told["spent"]["usd"] <= usd
    assert remote.asked * TOKENS <= told["spent"]["tokens"] <= tokens
    assert not told["held"].get("usd") and not told["held"].get("tokens")


@pytest.mark.promise("gate-no-overspend")
async def test_a_burst_of_model_calls_that_is_killed_never_spends_more_than_its_budget(tmp_path: Path) -> None:
    remote, told = await burst(tmp_path, runs=60, usd="0.03", tokens=10**9, kills=1)
    holds(remote, told, runs=60, usd=30_000, tokens=10**9)


@pytest.mark.slow
@pytest.mark.parametrize(("usd", "tokens"), [("0.40", 10**9), ("9.00", 300_000)], ids=["money", "tokens"])
@pytest.mark.parametrize("kills", [0, 3])
async def test_a_thousand_model_calls_at_once_never_spend_more_than_their_budget(
    tmp_path: Path, usd: str, tokens: int, kills: int
) -> None:
    remote, told = await burst(tmp_path, runs=1_000, usd=usd, tokens=tokens, kills=kills, takes=8.0)
    holds(remote, told, runs=1_000, usd=round(float(usd) * 1_000_000), tokens=tokens)
    assert remote.most > 300, "they were not under way at once"
    print(f"asked {remote.asked}, at most {remote.most} at once, {told}")
