"""The simulation itself: the same case gives the same history, and what it plays is what its faults say."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from flyball.core.result import Completed, Stopped
from flyball.testing.simulation.__main__ import main
from flyball.testing.simulation.case import Played, play
from flyball.testing.simulation.faults import JOURNAL, MODEL, PEOPLE, PROBE, REMOTE, STAGES, kinds_at, parse, written
from flyball.testing.simulation.invariants import INVARIANTS, violations
from flyball.testing.simulation.loop import SimLoop, Stuck
from flyball.testing.simulation.matrix import GROUPS, Counted, shrunk, table
from flyball.testing.simulation.scenarios import SCENARIOS


def case(name: str, faults: str = "") -> Played:
    return play(SCENARIOS[name], 0, parse(faults))


@pytest.mark.parametrize("faults", ["", "j4=torn", "r1.applied=crash,j9=usurp", "j5=full_long"])
def test_the_same_case_has_the_same_history(faults: str) -> None:
    assert case("abreast", faults).history == case("abreast", faults).history


def test_another_seed_gives_other_ids_and_the_same_effects() -> None:
    one, other = play(SCENARIOS["key"], 0), play(SCENARIOS["key"], 1)
    assert one.runs[0].id != other.runs[0].id
    assert [e.tool for e in one.world.remote.effects] == [e.tool for e in other.world.remote.effects] == ["pay"]


def test_a_call_that_nobody_can_ask_about_is_made_once_and_a_person_is_asked() -> None:
    for faults in ("r1.before=crash", "r1.applied=crash", "r1.applied=error", "r1.before=late"):
        played = case("neither", faults)
        assert len(played.world.remote.requests) <= 1 and list(played.story.unknown.values()) == ["ring"], faults


def test_a_call_under_a_key_is_made_again_and_happens_once() -> None:
    played = case("key", "r1.applied=crash")
    assert len(played.world.remote.requests) == 2 and len(played.world.remote.effects) == 1
    assert not played.story.unknown


def test_a_refused_call_is_tried_again() -> None:
    played = case("neither", "r1.before=notdone")
    assert len(played.world.remote.requests) == 2 and len(played.world.remote.effects) == 1


def test_policies_that_forbid_it_end_what_waits() -> None:
    played = case("approve", "j7=closed")
    assert played.world.remote.effects == []
    assert isinstance(played.story.ended[-1], Completed) and played.story.ended[-1].value == ["policy_denied"]


def test_a_stopped_run_is_stopped() -> None:
    told = case("subflow", "j4=stop").story.ended[-1]
    assert isinstance(told, Stopped) and told.reason == "stopped"


def test_what_was_only_accepted_is_lost_with_a_torn_commit() -> None:
    point = next(p.name for p in case("reads").points if p.what == "intent")
    kept, torn = case("reads", f"{point}=crash_after"), case("reads", f"{point}=torn")
    assert violations(kept) == violations(torn) == [] and kept.world.lives == torn.world.lives


def test_faults_are_written_as_they_are_read() -> None:
    for text in ("j9=torn", "r2.before=late,m1.asked=hang", "p1=elsewhere,q1=error", ""):
        assert written(parse(text)) == text
    for wrong in ("j9", "j0=torn", "r1.before=torn", "x1=crash"):
        with pytest.raises(ValueError, match="no fault"):
            parse(wrong)
    assert "torn" in kinds_at("j1") and "late" in kinds_at("r1.before") and "late" not in kinds_at("r1.after")


def test_a_loop_in_which_everybody_waits_for_somebody_else_says_so() -> None:
    loop = SimLoop()
    with pytest.raises(Stuck):
        loop.run_until_complete(loop.create_future())
    loop.close()


def test_time_passes_only_where_nobody_has_anything_to_do() -> None:
    loop = SimLoop()

    async def sleeps() -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    assert loop.run_until_complete(sleeps()) == pytest.approx(86_400)
    loop.close()


def test_only_the_faults_that_matter_are_left() -> None:
    def broken(name: str, faults: str) -> str:
        return written(shrunk(SCENARIOS[name], 0, parse(faults)))

    assert broken("key", "j5=slow,j6=slow") == "j5=slow,j6=slow"  # nothing breaks: nothing is left out


def test_the_command_replays_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "--faults", "r1.applied=crash"]) == 0
    said = capsys.readouterr().out
    assert "effect pay 5" in said and "lives: 4" in said


def test_the_matrix_is_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["act", "--modes", "pairs", "--pairs", "2", "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "scenario" in said and "false executed: 0" in said and "2 cases, 0 violations" in said
    assert table(Counted()).startswith("scenario")


def test_its_policies_are_part_of_the_package() -> None:
    assert Path(str(main.__code__.co_filename)).with_name("policies").joinpath("shop.cedar").exists()


def test_the_page_of_the_matrix_names_what_there_is() -> None:
    page = Path(__file__).parents[2].joinpath("docs/reference/fault-matrix.md").read_text("utf-8")
    assert all(f"`{check.__name__}`" in page for check in INVARIANTS)
    kinds = {kind for group in GROUPS.values() for kind in group}
    assert kinds == {*JOURNAL, *REMOTE, *MODEL, *PROBE, *PEOPLE, *(k for stage in STAGES.values() for k in stage)}
    named = {word for word in re.findall(r"`([a-z_]+)`", page.partition("## Fault points")[2]) if word in SCENARIOS}
    assert {"approve", "two_people", "budget", "window", "agent"} <= named
