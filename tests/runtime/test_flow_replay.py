"""Replay: what the log holds decides, and code that would do something else is stopped."""

from __future__ import annotations

import pytest

from flyball import Blocked, Completed, Failed, Flow, FlyballError, NotDone, Run, Stopped, Waiting, flow
from flyball.testing import Crash
from tests.runtime.till import FAY, NOOR, Drawer, lab, look, pay, post, ring


@flow(ensures=[pay])
async def selling(run: Run, cents: int) -> str:
    n = await run.call(look, cents)
    return await run.call(pay, n)


@flow(ensures=[pay])
async def claiming(run: Run, cents: int) -> str:
    return "paid, believe me"


@flow
async def ringing(run: Run, times: int) -> str:
    return await run.call(ring, times)


@flow
async def posting(run: Run, text: str) -> str:
    return await run.call(post, text)


@flow
async def counting(run: Run, n: int) -> str:
    await run.call(pay, n)
    run.call(look, n)
    if n > 0:
        run.continue_as(n - 1)
    return f"down to {n}"


@flow
async def waits_later(run: Run, cents: int) -> str:
    if cents < 200:
        await run.call(ring, cents)
        run.continue_as(200)
    return await run.call(pay, cents)


def version(*steps: str) -> Flow[int, str]:
    @flow(name="steady")
    async def steady(run: Run, cents: int) -> str:
        for step in steps:
            if step == "look":
                await run.call(look, 1)
            elif step == "ring":
                await run.call(ring, 1)
            elif step == "more":
                await run.call(pay, cents + 1)
            else:
                await run.call(pay, cents)
        return "done"

    return steady


@flow
async def broken(run: Run, n: int) -> int:
    return 1 // 0


@flow
async def lies(run: Run, n: int) -> int:
    return "not a number"  # type: ignore[return-value]


@pytest.mark.promise("api-ensures")
async def test_a_run_that_did_not_do_what_it_promised_is_not_believed() -> None:
    ended = await lab().run(claiming, 1)
    assert isinstance(ended, Stopped) and ended.reason == "claim_unproven" and "pay" in ended.detail


@pytest.mark.promise("api-ensures")
async def test_a_run_that_did_what_it_promised_completes() -> None:
    assert isinstance(await lab().run(selling, 7), Completed)


@pytest.mark.promise("api-same-key-same-run")
async def test_the_same_key_is_the_same_run() -> None:
    till = Drawer()
    bench = lab(till)
    first, second = await bench.run(selling, 7, key="k"), await bench.run(selling, 7, key="k")
    assert first == second and len(till.paid) == 1


@pytest.mark.promise("gate-keys-are-of-one-principal")
async def test_the_same_key_with_another_input_is_refused() -> None:
    bench = lab()
    await bench.run(selling, 7, key="k")
    with pytest.raises(FlyballError, match="started another run"):
        await bench.run(selling, 8, key="k")


@pytest.mark.promise("gate-keys-are-of-one-principal")
async def test_the_same_key_of_another_person_is_another_run() -> None:
    till = Drawer()
    bench = lab(till)
    await bench.run(selling, 7, key="k")
    await bench.run(selling, 7, key="k", by=NOOR)
    assert len(till.paid) == 2


@pytest.mark.promise("journal-recovery-calls-or-asks")
@pytest.mark.parametrize("point", ["T1", "effect", "T2", "done", "run_ended"])
async def test_a_crash_anywhere_around_an_effect_under_a_key_pays_once(point: str) -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_at(point, pay if point != "run_ended" else "")
    with pytest.raises(Crash):
        await bench.run(selling, 7, key="k")
    assert isinstance(await bench.resume("k"), Completed) and list(till.paid.values()) == [14]
    assert (await bench.verify()).ok


@pytest.mark.promise("journal-t1-before-the-effect")
async def test_a_crash_before_t1_has_asked_nobody_and_done_nothing() -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_at("T1", ring)
    with pytest.raises(Crash):
        await bench.run(ringing, 1, key="k")
    assert not till.calls and isinstance(await bench.resume("k"), Completed) and till.calls == ["ring"]


@pytest.mark.promise("journal-recovery-calls-or-asks")
@pytest.mark.parametrize(("point", "rung"), [("effect", 0), ("T2", 1)])
async def test_an_effect_that_nobody_can_ask_about_waits_for_a_person(point: str, rung: int) -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_at(point, ring)
    with pytest.raises(Crash):
        await bench.run(ringing, 1, key="k")
    asked = await bench.resume("k")
    assert isinstance(asked, Waiting) and asked.pending[0].kind == "unknown" and till.calls == ["ring"] * rung
    done = await bench.resolve(asked.pending[0], "executed", by=FAY, result="rang 1", reason="I heard it")
    assert isinstance(done, Completed) and done.value == "rang 1" and till.calls == ["ring"] * rung
    assert (await bench.verify()).ok


@pytest.mark.promise("journal-recovery-calls-or-asks")
@pytest.mark.parametrize("point", ["effect", "T2"])
async def test_a_probe_finds_out_what_happened(point: str) -> None:
    till = Drawer()
    bench = lab(till)
    bench.crash_at(point, post)
    with pytest.raises(Crash):
        await bench.run(posting, "dear", key="k")
    done = await bench.resume("k")
    assert isinstance(done, Completed) and done.value == "posted dear" and till.calls.count("post") == 1
    assert "posted?" in till.calls and (await bench.verify()).ok


async def test_a_crash_while_parking_asks_once() -> None:
    bench = lab()
    bench.crash_at("run_parked")
    with pytest.raises(Crash):
        await bench.run(selling, 200, key="k")
    asked = await bench.resume("k")
    assert isinstance(asked, Waiting) and len(asked.pending) == 1
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)


async def test_a_crash_before_the_approval_is_recorded_leaves_it_to_be_given() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(selling, 200)
    assert isinstance(asked, Waiting)
    bench.crash_at("approved")
    with pytest.raises(Crash):
        await bench.approve(asked.pending[0], by=FAY)
    assert not till.paid
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed) and len(till.paid) == 1


@pytest.mark.promise("journal-continue-as")
async def test_continue_as_goes_on_with_a_fresh_history() -> None:
    till = Drawer()
    bench = lab(till)
    done = await bench.run(counting, 2, key="k")
    assert isinstance(done, Completed) and done.value == "down to 0" and till.calls == ["pay"] * 3
    assert len([r for r in bench.records("k") if r.kind == "run_continued"]) == 2 and (await bench.verify()).ok


@pytest.mark.promise("journal-continue-as")
async def test_a_run_that_continued_can_wait_and_crash() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(waits_later, 1, key="k")
    assert isinstance(asked, Waiting)
    await bench.restart()
    bench.crash_after(pay)
    with pytest.raises(Crash):
        await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(await bench.resume("k"), Completed) and list(till.paid.values()) == [200]
    assert till.calls[0] == "ring" and till.calls.count("ring") == 1 and (await bench.verify()).ok


@pytest.mark.promise("journal-divergence-stops")
async def test_a_step_that_the_code_does_differently_now_stops_the_run() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(version("look", "pay"), 200)
    assert isinstance(asked, Waiting)
    await bench.restart(version("ring", "pay"))
    ended = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(ended, Stopped) and ended.reason == "replay_diverged" and till.calls == ["look"]
    assert "step 1" in ended.detail and "look" in ended.detail and "ring" in ended.detail


@pytest.mark.promise("journal-divergence-stops")
async def test_other_arguments_are_another_step() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(version("look", "pay"), 200)
    assert isinstance(asked, Waiting)
    await bench.restart(version("look", "more"))
    ended = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(ended, Stopped) and ended.reason == "replay_diverged" and "other arguments" in ended.detail
    assert not till.paid


@pytest.mark.promise("journal-divergence-stops")
async def test_steps_that_the_code_no_longer_asks_for_stop_the_run() -> None:
    bench = lab()
    asked = await bench.run(version("look", "pay"), 200)
    assert isinstance(asked, Waiting)
    await bench.restart(version("look"))
    ended = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(ended, Stopped) and ended.reason == "replay_diverged" and "never asked for" in ended.detail


async def test_code_that_does_the_same_goes_on() -> None:
    bench = lab()
    asked = await bench.run(version("look", "pay"), 200)
    assert isinstance(asked, Waiting)
    await bench.restart(version("look", "pay", "ring"))
    assert isinstance(await bench.approve(asked.pending[0], by=FAY), Completed)


async def test_an_error_in_a_flow_is_a_named_ending() -> None:
    ended = await lab().run(broken, 1)
    assert isinstance(ended, Stopped) and ended.reason == "internal_error" and "ZeroDivisionError" in ended.detail


async def test_a_result_that_does_not_fit_its_flow_is_no_success() -> None:
    bench = lab()
    ended = await bench.run(lies, 1)
    assert isinstance(ended, Stopped) and not ended.ok and (await bench.verify()).ok


async def test_one_action_without_a_flow_is_the_same_action_for_ever() -> None:
    till = Drawer()
    bench = lab(till)
    first = await bench.act(pay, {"cents": 5}, call_id="1")
    assert await bench.act(pay, {"cents": 5}, call_id="1") == first and list(till.paid.values()) == [5]
    assert not isinstance(first, Failed)


@flow
async def quoting(run: Run, cents: int) -> str:
    told = await run.attempt(pay, 200_000)
    await run.call(post, f"{told}")
    return await run.call(pay, cents)


@pytest.mark.promise("journal-told-is-immutable")
async def test_a_refusal_reads_the_same_at_every_replay() -> None:
    till = Drawer()
    bench = lab(till)
    asked = await bench.run(quoting, 200, key="k")
    assert isinstance(asked, Waiting)
    await bench.restart()
    done = await bench.approve(asked.pending[0], by=FAY)
    assert isinstance(done, Completed) and till.calls.count("post") == 1


@flow
async def both_ways(run: Run, cents: int) -> list[bool]:
    told = [await run.attempt(pay, 200_000), await run.attempt(post, "a")]
    raised: list[Exception] = []
    for step in (run.call(pay, 200_001), run.call(look, 1)):
        try:
            await step
        except (Blocked, Failed) as error:
            raised.append(error)
    return [isinstance(t, Exception) and type(t) is type(r) for t, r in zip(told, raised, strict=True)]


@pytest.mark.promise("api-call-raises-attempt-returns")
async def test_call_raises_what_attempt_returns() -> None:
    till = Drawer()
    till.faults = {name: [NotDone("closed") for _ in range(3)] for name in ("post", "look")}
    done = await lab(till).run(both_ways, 1)
    assert isinstance(done, Completed) and done.value == [True, True] and not till.paid
