"""What the simulation found, each as the smallest case that showed it. Every one of these broke something once."""

from __future__ import annotations

import pytest

from flyball.testing.simulation.case import play
from flyball.testing.simulation.faults import parse
from flyball.testing.simulation.invariants import violations
from flyball.testing.simulation.scenarios import SCENARIOS

FOUND = [
    ("the driver of a run was cancelled, and nobody drove it again", "key", "j6=cancel"),
    ("a branch was cancelled, and its run ended as an internal error", "abreast", "j3=cancel"),
    ("a branch was cancelled after its effect", "abreast", "j6=cancel_after"),
    ("an outcome without its result could not be told again", "key", "j7=full"),
    ("a flow's own outcome did not fit on the disk", "subflow", "j8=full"),
    ("a reservation of nothing was kept for ever", "key", "j5=stop"),
    ("a marker behind the last step was lost with a crash", "timers", "j15=crash"),
    ("a run that could not park for want of room was never driven again", "expire", "j4=full"),
    ("a run whose T1 did not fit on the disk was never driven again", "approve", "j7=full"),
    ("a decision that did not fit on the disk was called a conflict", "deny", "j5=full"),
    ("a start that was cancelled and made again was never closed", "budget", "j2=cancel"),
    ("a step that lost against its time limit before it began was taken for one never asked for", "hurry", "j4=long"),
    ("a clock set back while nobody ran made the log's time go back", "key", "j6=reboot"),
    ("a person acted through another process, and nobody told the driver", "approve", "p1=elsewhere"),
    ("a probe was believed while the call that was given up on was still at work", "timers", "r2.before=stubborn"),
    ("a stopped run whose process died left a call open for ever", "hurry", "r1.after=stop,j10=crash"),
    ("a step that had lost against its time limit was called a divergence", "hurry", "j12=crash"),
    (
        "a call that had lost its time limit stayed open when its process died",
        "overtake",
        "r1.before=slow,j9=crash_after",
    ),
    ("a run that told its result stayed open in a step when its process died", "timers", "r2.before=outage,j16=reboot"),
    ("a person's decision on a failing disk ended as a lost driver", "neither", "j4=torn,j11=io_lost"),
    ("an action whose driver was lost had nothing to tell", "act", "r1.before=notdone,j4=outage,j8=io_lost"),
    ("a run that nobody could take for want of room was left", "deny", "j7=cancel_after,j8=full"),
    ("what two owners did to one call was charged twice", "hurry", "r1.before=usurp"),
    (
        "an attempt whose earlier one came to something held its reservation for ever",
        "reads",
        "r1.applied=long,r2.before=stubborn,r3.applied=error",
    ),
    ("a person's word on an attempt that a crash interrupted did not verify", "window", "r1.part=crash,j6=full_long"),
    ("a call was made again whose T1 took longer than its key is remembered", "window", "r1.after=crash,j6=forward"),
    ("a clock set forward cut short the time after which a probe's no counts", "abreast", "r2.before=late,j6=forward"),
    ("gathered steps that a timer won over were taken for ones never awaited", "outrun", "j4=long"),
    ("a step that had not begun when its run was stopped looked like a missing record", "hurry", "j3=stop"),
    ("a run that was driven from within another one's time limit lost it too", "overtake", "r1.before=usurp"),
]


@pytest.mark.promise("journal-one-fault-breaks-nothing")
@pytest.mark.parametrize(("what", "name", "faults"), FOUND, ids=[what.replace(" ", "-") for what, *_ in FOUND])
def test_what_was_found_stays_repaired(what: str, name: str, faults: str) -> None:
    played = play(SCENARIOS[name], 0, parse(faults), audit=True)
    assert played.world.happened, f"{faults} is no longer met in {name}"
    assert violations(played) == [], what
