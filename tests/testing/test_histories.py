"""Histories: a recorded run is given to the code of today, and nothing is executed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flyball import Completed, Flow, FlyballError, Limits, Run, Stopped, Waiting, agent, flow
from flyball.testing import Lab, Say, propose
from flyball.testing.histories import read_history
from tests.runtime.till import FAY, POLICY, Drawer, drawer, lab, look, pay, ring, scripted

clerk = agent("clerk", instructions="Pay.", tools=[look, pay])


@flow
async def varied(run: Run, cents: int) -> list[Any]:
    began = run.now()
    n, _ = await run.gather(run.call(look, cents), run.call(ring, 1))
    run.call(look, 99)
    await run.sleep(timedelta(days=1))
    word = await run.ask("Really?", str, to="finance", within=timedelta(days=9), default="no")
    said = await run.agent(clerk, word)
    paid = await run.call(pay, n)
    return [began.isoformat(), str(run.uuid()), run.random().random(), word, said, paid]


@flow
async def counting(run: Run, n: int) -> str:
    await run.call(pay, n)
    if n > 1:
        run.continue_as(n - 1)
    return "done"


@flow
async def failing(run: Run, n: int) -> str:
    await run.call(pay, 200_000)
    return "never"


def selling(*cents: int, name: str = "selling") -> Flow[int, str]:
    @flow(name=name)
    async def sells(run: Run, n: int) -> str:
        for each in cents:
            await run.call(pay, each)
        return "sold"

    return sells


async def lived() -> tuple[Lab, Drawer, list[str]]:
    """A run with everything in it, and its history wherever it stood still."""
    till = Drawer()
    bench = scripted(till, clerk=[propose(look, 3), Say("six")])
    histories = []
    await bench.run(varied, 200, key="k")
    histories.append(bench.history("k"))
    await bench.advance(timedelta(days=1))
    asked = await bench.resume("k")
    histories.append(bench.history("k"))
    assert isinstance(asked, Waiting)
    asked = await bench.answer(asked.pending[0], "yes", by=FAY)
    histories.append(bench.history("k"))
    assert isinstance(asked, Waiting)
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)
    return bench, till, [*histories, bench.history("k")]


async def test_the_same_code_does_the_same_wherever_the_run_stood() -> None:
    bench, till, histories = await lived()
    done = list(till.calls)
    for history in histories:
        told = await bench.replay(history)
        assert told.ok, told.difference
    assert told.steps > 5 and till.calls == done


@pytest.mark.promise("api-lab-histories")
async def test_another_process_replays_a_history_from_its_file(tmp_path: Path) -> None:
    _, _, histories = await lived()
    (tmp_path / "golden.json").write_text(histories[-1])
    told = await Lab(policies=POLICY).replay(tmp_path / "golden.json", varied)
    assert told.ok, told.difference


async def test_a_run_that_was_denied_replays() -> None:
    bench = lab()
    assert isinstance(await bench.run(failing, 1, key="k"), Stopped)
    assert (await bench.replay(bench.history("k"))).ok


async def test_a_run_that_a_limit_ended_replays() -> None:
    bench = lab()
    ended = await bench.run(selling(1, 2, 3), 1, key="k", limits=Limits(calls=2))
    assert isinstance(ended, Stopped) and (await bench.replay(bench.history("k"))).ok


async def test_a_run_that_continued_replays() -> None:
    bench = lab()
    assert isinstance(await bench.run(counting, 3, key="k"), Completed)
    assert (await bench.replay(bench.history("k"))).ok


@pytest.mark.promise("api-lab-histories")
@pytest.mark.parametrize(
    ("code", "says"),
    [((5, 7), "other arguments"), ((5,), "never asked for"), ((5, 6, 7), "step 3"), ((), "never asked for")],
)
async def test_code_that_differs_is_shown(code: tuple[int, ...], says: str) -> None:
    till = Drawer()
    bench = lab(till)
    await bench.run(selling(5, 6), 1, key="k")
    told = await Lab(policies=POLICY, resources=[drawer.use(till)]).replay(bench.history("k"), selling(*code))
    assert not told.ok and says in told.difference and len(till.calls) == 2


async def test_code_that_goes_on_where_a_run_waited_is_the_same_until_there() -> None:
    bench = lab()
    await bench.run(selling(5, 200), 1, key="k")
    waiting = bench.history("k")
    assert (await bench.replay(waiting, selling(5, 200, 6))).ok
    told = await bench.replay(waiting, selling(5, 300))
    assert not told.ok and "other arguments" in told.difference


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"flyball_history": 2}'])
async def test_what_is_no_history_is_refused(text: str) -> None:
    with pytest.raises(FlyballError, match="no history"):
        await lab().replay(text)


async def test_a_history_of_another_format_is_refused() -> None:
    bench = lab()
    await bench.run(selling(5), 1, key="k")
    with pytest.raises(FlyballError, match="format 9"):
        read_history(bench.history("k").replace('"flyball_history": 1', '"flyball_history": 9'))


async def test_a_run_that_nobody_started_has_no_history() -> None:
    with pytest.raises(FlyballError, match="no run"):
        lab().history("k")
