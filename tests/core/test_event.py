from __future__ import annotations

import msgspec
import pytest

from flyball.core import event
from flyball.core.event import (
    Answered,
    Decided,
    Delta,
    Ended,
    Event,
    Executed,
    Progress,
    Proposed,
    StepStarted,
    Waiting,
)

PLACE = {"sequence": 7, "run": "r-1", "path": "3", "time": 1}
EVENTS = [
    StepStarted(**PLACE, what="handle", kind="flow"),
    Decided(**PLACE, action="pay", outcome="deny", policies=("project/p",), arguments={"cents": 1}),
    Executed(**PLACE, action="pay", status="failed", code="timeout", attempt=2),
    Proposed(**PLACE, action="model", status="executed", by="clerk", calls=({"name": "pay", "arguments": "{}"},)),
    Waiting(**PLACE, pending=("p-1",), about="pay", groups=("finance",)),
    Answered(**PLACE, what="approved", pending="p-1", by="user:fay"),
    Progress(**PLACE, message="half", done=0.5),
    Delta(**PLACE, text="I would", start=0, attempt=1, by="clerk"),
    Ended(**PLACE, reason="completed", ok=True),
]


@pytest.mark.promise("api-watch")
@pytest.mark.parametrize("one", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_reads_back_from_json_with_its_sequence(one: Event) -> None:
    back = msgspec.json.decode(msgspec.json.encode(one), type=type(one))
    assert back == one and back.sequence == 7


def test_there_is_an_example_of_every_event() -> None:
    kinds = {v for v in vars(event).values() if isinstance(v, type) and issubclass(v, Event)}
    assert kinds == {type(e) for e in EVENTS} | {Event}


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        EVENTS[0].run = "r-2"  # type: ignore[misc]
