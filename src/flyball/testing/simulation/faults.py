"""Faults: what can go wrong, where, and how it is written down.

    j9=torn            the 9th append of the case is torn: the process dies in the middle of it
    r2.applied=lost    the 2nd request reached the remote and was carried out; its response is lost
    m1.asked=crash     the process dies while the 1st model call is under way
    p1=elsewhere       what people do first, they do through another process, and nobody tells this one

Points are counted over the whole case, whichever process reaches them: a second fault may lie in the recovery from the
first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

JOURNAL: Final[Mapping[str, str]] = {
    "crash": "the process dies before the append is durable",
    "torn": "the process dies in the middle of the commit: nothing that waited in it is there",
    "crash_after": "the append is durable, the process dies before anybody is told",
    "full": "the disk has no room for this append",
    "full_long": "the disk has room for urgent appends only, until the process ends",
    "io_lost": "the commit reports an error and left nothing; the journal stops",
    "io_kept": "the commit reports an error although everything is there; the journal stops",
    "cancel": "whoever waits is cancelled before the append is made",
    "cancel_after": "whoever waits is cancelled, the append is durable",
    "slow": "it takes 20 seconds",
    "long": "it takes 2 hours",
    "twice": "it is delivered twice; the first answer counts",
    "repeated": "it is delivered twice; the first answer is lost",
    "forward": "the clock is set a day forward",
    "back": "the clock is set an hour back",
    "reboot": "the process dies, and the next one starts with a clock that was set an hour back",
    "usurp": "another process takes the runs over, while this one believes that it still has them",
    "closed": "policies that forbid every effect are put in force",
    "reopened": "the same policies are put in force again: an epoch moves, nothing else",
    "enrolled": "another key is enrolled: the directory's epoch moves, nothing else",
    "stop": "an operator stops the run",
    "outage": "the process dies, and the next one starts a day later",
}
REMOTE: Final[Mapping[str, str]] = {
    "crash": "the process dies",
    "error": "the connection fails",
    "cancel": "something inside the tool is cancelled",
    "outage": "the process dies, and the next one starts a day later",
    "usurp": "another process takes the runs over, while this one believes that it still has them",
    "long": "the process stands still for 2 hours",
    "closed": "policies that forbid every effect are put in force",
    "stop": "an operator stops the run",
}
# Where a request stands, in order, and what can happen there beside the faults of REMOTE.
STAGES: Final[Mapping[str, Mapping[str, str]]] = {
    "before": {
        "notdone": "the remote refuses: it certainly did not happen",
        "hang": "no answer ever comes, nothing happens",
        "late": "no answer comes in time; it happens an hour later",
        "stubborn": "the tool does not let itself be cancelled; it happens after its timeout",
        "slow": "it takes 20 seconds",
    },
    "part": {},
    "applied": {"again": "the network delivers the request once more"},
    "after": {"invalid": "the result is not what the tool promises"},
}
MODEL: Final[Mapping[str, str]] = {
    "crash": "the process dies", "error": "the provider is unavailable", "hang": "no answer ever comes",
    "garbage": "the reply cannot be used", "cancel": "something inside the call is cancelled",
    "outage": "the process dies, and the next one starts a day later",
}  # fmt: skip
MODEL_STAGES: Final = ("asked", "told")
PROBE: Final[Mapping[str, str]] = {
    "crash": "the process dies", "error": "the remote cannot be asked", "hang": "no answer ever comes",
}  # fmt: skip
PEOPLE: Final[Mapping[str, str]] = {
    "elsewhere": "they act through another process, and nobody tells this one",
    "twice": "they send it twice",
    "rival": "somebody else decides at the same moment",
    "slow": "they take an hour",
}
_WRITTEN: Final = re.compile(r"([jrmqp][1-9][0-9]*(?:\.[a-z]+)?)=([a-z_]+)")


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault: the point at which it happens, and its kind."""

    point: str
    kind: str

    def __str__(self) -> str:
        return f"{self.point}={self.kind}"


def parse(text: str) -> tuple[Fault, ...]:
    """Faults from `j9=torn,r2.applied=lost`; raises ValueError naming what is wrong."""
    found: list[Fault] = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        match = _WRITTEN.fullmatch(word)
        if match is None:
            raise ValueError(f"{word!r} is no fault: write it as j9=torn (j, r, m, q or p, a number, = and a kind)")
        if match[2] not in kinds_at(match[1]):
            raise ValueError(f"{word!r} is no fault: at {match[1]} there are {', '.join(kinds_at(match[1]))}")
        found.append(Fault(match[1], match[2]))
    return tuple(found)


def written(faults: Iterable[Fault]) -> str:
    """Faults as `parse` reads them."""
    return ",".join(str(fault) for fault in faults)


def kinds_at(point: str) -> tuple[str, ...]:
    """The kinds of fault that can happen at a point."""
    stage = point.partition(".")[2]
    if point.startswith("j"):
        return tuple(JOURNAL)
    if point.startswith("r"):
        return (*REMOTE, *STAGES.get(stage, {}))
    if point.startswith("m"):
        return tuple(MODEL) if stage == "asked" else ("crash", "cancel", "outage")
    return tuple(PROBE) if point.startswith("q") else tuple(PEOPLE)
