"""Late: what a call that was given up on comes to all the same settles what nobody knew."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from flyball import Call, Completed, Run, Waiting, flow, tool
from flyball.core.errors import FlyballError
from flyball.core.journal import BudgetRow, PendingRow
from flyball.testing import Lab
from tests.runtime.till import FAY, KIM, Drawer, drawer, lab

SOON = timedelta(milliseconds=20)


class Gate(Drawer):
    """A drawer that opens only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def wait(self, tool: str) -> None:
        self.calls.append(tool)
        self.open.wait(10)


@tool(effect="irreversible", timeout=SOON)
def push(call: Call, n: int) -> str:
    """Push, in a thread that nobody can stop."""
    call.get(drawer).wait("push")  # type: ignore[attr-defined]
    return f"pushed {n}"


@tool(effect="irreversible", timeout=SOON)
async def shove(call: Call, n: int) -> str:
    """Push, whatever is called off."""
    gate: Any = call.get(drawer)
    gate.calls.append("shove")
    while not gate.open.is_set():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            continue
    return f"shoved {n}"


@tool(effect="irreversible", timeout=SOON, idempotency="probe")
def pull(call: Call, n: int) -> str:
    """Pull, in a thread; whoever is asked meanwhile sees nothing yet."""
    call.get(drawer).wait("pull")  # type: ignore[attr-defined]
    return f"pulled {n}"


@pull.probe
async def pulled(call: Call, n: int) -> str | None:
    call.get(drawer).calls.append("pulled?")
    return None


@flow
async def pushing(run: Run, n: int) -> str:
    return await run.call(push, n)


@flow
async def shoving(run: Run, n: int) -> str:
    return await run.call(shove, n)


@flow
async def pulling(run: Run, n: int) -> str:
    return await run.call(pull, n)


async def ended(bench: Lab, key: str) -> Any:
    for _ in range(200):
        told = await bench.resume(key)
        if not isinstance(told, Waiting):
            return told
        await asyncio.sleep(0.01)
    return told


@pytest.mark.promise("journal-late-settles-unknown")
async def test_a_thread_that_ends_after_its_time_settles_what_was_unknown() -> None:
    till = Gate()
    bench = lab(till)
    asked = await bench.run(pushing, 3, key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    till.open.set()
    done = await ended(bench, "k")
    assert isinstance(done, Completed) and done.value == "pushed 3" and till.calls == ["push"]
    view = bench._bench.journal.view("local")
    assert view.rows(PendingRow)[0].state == "void"
    spent = view.row(BudgetRow, f"run/{done.run}")
    assert spent is not None and spent.reserved.effects == 0 and spent.spent.effects == 1
    assert [e.value for e in bench.effects] == ["pushed 3"] and (await bench.verify()).ok


async def test_a_coroutine_that_ignores_its_time_settles_what_was_unknown() -> None:
    till = Gate()
    bench = lab(till)
    assert isinstance(await bench.run(shoving, 3, key="k"), Waiting)
    till.open.set()
    done = await ended(bench, "k")
    assert isinstance(done, Completed) and done.value == "shoved 3" and (await bench.verify()).ok


@pytest.mark.promise("journal-a-probes-no")
async def test_a_probe_s_no_is_not_believed_while_the_thread_may_still_run() -> None:
    till = Gate()
    bench = lab(till)
    asked = await bench.run(pulling, 3, key="k")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    assert till.calls[0] == "pull" and set(till.calls[1:]) == {"pulled?"}
    till.open.set()
    done = await ended(bench, "k")
    assert isinstance(done, Completed) and done.value == "pulled 3" and (await bench.verify()).ok


@pytest.mark.promise("journal-late-settles-unknown")
async def test_late_evidence_counts_after_a_restart() -> None:
    till = Gate()
    bench = lab(till)
    await bench.run(pushing, 3, key="k")
    bench._bench._app.rooms.record.woken = lambda *_: None  # type: ignore[union-attr]
    till.open.set()
    while not any(r.kind == "late" for r in bench.records("k")):
        await asyncio.sleep(0.01)
    await bench.restart()
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "pushed 3" and till.calls == ["push"]
    assert (await bench.verify()).ok


@pytest.mark.promise("journal-late-settles-unknown", "journal-told-is-immutable")
async def test_what_a_person_said_before_stands() -> None:
    till = Gate()
    bench = lab(till)
    asked = await bench.run(pushing, 3, key="k")
    assert isinstance(asked, Waiting)
    told = await bench.resolve(asked.pending[0], "executed", by=FAY, result="seen")
    till.open.set()
    while not any(r.kind == "late" for r in bench.records("k")):
        await asyncio.sleep(0.01)
    assert isinstance(told, Completed) and told.value == "seen" and (await bench.verify()).ok


async def test_nobody_can_deny_what_has_come_to_light() -> None:
    till = Gate()
    bench = lab(till)
    asked = await bench.run(pushing, 3, key="k")
    assert isinstance(asked, Waiting)
    bench._bench._app.rooms.record.woken = lambda *_: None  # type: ignore[union-attr]
    till.open.set()
    while not any(r.kind == "late" for r in bench.records("k")):
        await asyncio.sleep(0.01)
    with pytest.raises(FlyballError) as refused:
        await bench.resolve(asked.pending[0], "failed", by=FAY)
    done = await ended(bench, "k")
    assert refused.value.code == "conflict" and isinstance(done, Completed) and done.value == "pushed 3"


@tool(effect="irreversible", timeout=SOON, idempotency="probe")
def drag(call: Call, n: int) -> str:
    """Drag, in a thread that ends once its probe was asked."""
    call.get(drawer).wait("drag")  # type: ignore[attr-defined]
    return f"dragged {n}"


@drag.probe
async def dragged(call: Call, n: int) -> str | None:
    call.get(drawer).open.set()  # type: ignore[attr-defined]
    await asyncio.sleep(0.1)
    return None


@flow
async def dragging(run: Run, n: int) -> str:
    return await run.call(drag, n)


async def test_what_its_probe_found_out_is_not_recorded_again_as_late() -> None:
    bench = lab(Gate())
    done = await bench.run(dragging, 3, key="k")
    await asyncio.sleep(0.1)
    kinds = [r.kind for r in bench.records("k")]
    assert isinstance(done, Completed) and done.value == "dragged 3" and "late" not in kinds, kinds


async def called_off(bench: Lab, what: Any) -> str:
    """A run whose driver was called off while its call was at work; it has gone on since."""
    app = await bench._bench.ready(what)
    handle = await app.start(what, 3, by=KIM, key="k")
    while not any(r.kind == "intent" and r.path == "1" for r in app.runs.records(handle.id)):
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.01)  # its thread has begun
    app.rooms.driver._driven["local", handle.id].task.cancel()
    return handle.id


@tool(effect="irreversible")
def heave(call: Call, n: int) -> str:
    """Heave, in a thread that nobody can stop."""
    call.get(drawer).wait("heave")  # type: ignore[attr-defined]
    return f"heaved {n}"


@flow
async def heaving(run: Run, n: int) -> str:
    return await run.call(heave, n)


@pytest.mark.promise("journal-late-settles-unknown")
async def test_what_a_cancelled_call_comes_to_is_evidence_too() -> None:
    till = Gate()
    bench = lab(till)
    run = await called_off(bench, heaving)
    app = await bench._bench.ready(heaving)
    asked = await app.runs.result(run)
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown"
    till.open.set()
    async with asyncio.timeout(5):
        while not isinstance(done := await app.runs.result(run), Completed):
            await asyncio.sleep(0.01)
    assert done.value == "heaved 3" and till.calls == ["heave"]
    assert [r.kind for r in app.runs.records(run) if r.path.startswith("1~")] == ["late"]
