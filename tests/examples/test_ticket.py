"""The ticket: turns of one conversation, and files that people sign."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from examples import ticket
from examples.ticket import LEA, desk, render, send_letter
from flyball import Completed, Run, Stopped, Waiting, flow


@flow
async def forger(run: Run, question: str) -> int:
    true = await run.call(render, question)
    return await run.call(send_letter, letter=replace(true, name="other.txt"))


async def test_the_second_turn_knows_the_first_and_nobody_elses_does(capsys: pytest.CaptureFixture[str]) -> None:
    await ticket.main()
    assert capsys.readouterr().out.splitlines() == ["It is A-17. (27 bytes)", "A-17 was paid on Monday. (40 bytes)"]


async def test_who_signs_is_shown_the_file_by_name_and_size() -> None:
    lab = desk()
    asked = await lab.run(ticket.ticket, "Which order is mine?", key="k", session="t")
    assert isinstance(asked, Waiting)
    letter = asked.pending[0].arguments["letter"]
    assert (letter["name"], letter["size"]) == ("letter.txt", 27)
    assert isinstance(await lab.approve(asked.pending[0], by=LEA), Completed)
    assert (await lab.verify()).ok and (await lab.replay(lab.history("k"))).ok


async def test_another_session_knows_nothing_of_it() -> None:
    lab = desk()
    for number in range(2):
        asked = await lab.run(ticket.ticket, "Is it paid?", key=f"k{number}", session=f"s{number}")
        assert isinstance(asked, Waiting)
        done = await lab.approve(asked.pending[0], by=LEA)
        assert isinstance(done, Completed) and done.value == "It is A-17. (27 bytes)"


async def test_a_file_that_was_changed_is_refused() -> None:
    ended = await desk().run(forger, "Pay me")
    assert isinstance(ended, Stopped) and ended.reason == "invalid_proposal"
