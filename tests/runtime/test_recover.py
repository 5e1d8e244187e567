"""Recovery: what it closes counts as what was closed in time, and nothing is tried for ever."""

from __future__ import annotations

import pytest

from flyball import Completed, Run, Stopped, flow
from flyball.core.journal import EpochRow
from flyball.runtime.recover import MOST_READS
from flyball.testing import Crash
from tests.runtime.till import Drawer, lab, look, pay, post


@flow
async def posting(run: Run, text: str) -> str:
    return await run.call(post, text)


@flow
async def looking(run: Run, n: int) -> int:
    return await run.call(look, n)


@pytest.mark.promise("gate-untrusted-text-taints")
async def test_what_a_probe_finds_after_a_crash_taints_the_run_as_the_call_would_have() -> None:
    bench = lab()
    bench.crash_after(post)
    with pytest.raises(Crash):
        await bench.run(posting, "hello", key="k")
    done = await bench.resume("k")
    assert isinstance(done, Completed)
    row = bench._bench.journal.view("local").row(EpochRow, f"taint:{done.run}")
    assert row is not None and row.value == 1


@pytest.mark.promise("journal-interrupted-reads")
async def test_a_read_that_ends_the_process_each_time_is_failed_in_the_end() -> None:
    till, crashes = Drawer(), 0
    bench = lab(till)
    bench.crash_before(look)
    with pytest.raises(Crash):
        await bench.run(looking, 4, key="k")
    while crashes < 50:
        crashes += 1
        bench.crash_before(look)
        try:
            ended = await bench.resume("k")
        except Crash:
            continue
        break
    assert crashes == MOST_READS and isinstance(ended, Stopped) and ended.reason == "tool_failed"
    assert (await bench.verify()).ok


@pytest.mark.promise("journal-interrupted-reads")
async def test_a_run_s_reads_go_on_after_a_few_crashes() -> None:
    bench = lab()
    for _ in range(3):
        bench.crash_before(look)
        with pytest.raises(Crash):
            await (bench.resume("k") if bench.records("k") else bench.run(looking, 4, key="k"))
    assert isinstance(await bench.resume("k"), Completed)


@flow
async def paying(run: Run, cents: int) -> str:
    return await run.call(pay, cents)


@pytest.mark.promise("journal-stable-keys")
async def test_a_key_is_new_in_every_log() -> None:
    first, second = Drawer(), Drawer()
    here, there = lab(first), lab(second)
    there._bench._keyring = here._bench._keyring  # the same keys name the same run
    one, other = await here.run(paying, 5, key="k"), await there.run(paying, 5, key="k")
    assert one.run == other.run and first.paid.keys() != second.paid.keys()
