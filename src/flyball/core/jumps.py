"""How far somebody set the machine's clock forward: what expired only because of that is asked again (JOURNAL 6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from flyball.core.journal import Stored

_SET: Final = "clock_set"


def ahead(jumps: Iterable[tuple[int, int]], since: int, apart: Iterable[Stored] = ()) -> int:
    """By how many microseconds the clock went forward since a moment, beside the time that passed.

    `jumps` are those that this process saw (when, by how much), `apart` the tenant's records of no run: they tell of
    jumps that an earlier process saw.

    >>> ahead([(5, 100), (9, 30), (12, -20)], since=5)
    30
    """
    found = {(at, by) for at, by in jumps} | {_jump(one) for one in apart if one.kind == _SET}
    return sum(by for at, by in found if by > 0 and at > since)


def _jump(noted: Stored) -> tuple[int, int]:
    facts = msgspec.json.decode(noted.leaf)["facts"]
    return int(facts["at"]), int(facts["by"])
